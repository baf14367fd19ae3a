"""Stretches of recordings in the rows of a table: where each begins and ends."""

import re
from typing import TYPE_CHECKING

from curate.annotation.importing.item_settings import Item
from curate.annotation.importing.rows import MAX_QUOTED, no_problems, problems_of
from curate.annotation.importing.value_settings import Value
from curate.annotation.importing.values import Coded, read_values, text_of, translate

if TYPE_CHECKING:
    import polars as pl

TIMES = ("start_s", "end_s")
MAX_S = 1e7
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")


def to_seconds(text: str) -> float:
    """Return a time in seconds, from seconds or h:mm:ss.mmm. Raises ``ValueError`` for anything else."""
    text = text.strip()
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds = int(match[1] or 0), int(match[2]), float(match[3].replace(",", "."))
        if minutes < 60 and seconds < 60:
            return hours * 3600 + minutes * 60 + seconds
    try:
        # Python reads 1_2 as twelve.
        seconds = float(text.replace("_", "?"))
    except ValueError:
        seconds = -1.0
    if 0 <= seconds <= MAX_S:
        return seconds
    raise ValueError(f"{text[:MAX_QUOTED]!r} is not a time in seconds or h:mm:ss")


def read_seconds(frame: "pl.DataFrame", value: Value, part: str) -> Coded:
    """Return the times that a value holds, and the rows in which it is none."""
    return read_values(frame, text_of(frame, value).fill_null(""), part, lambda text: _translated(text, value))


def read_times(frame: "pl.DataFrame", item: Item) -> "tuple[list[pl.Series], pl.DataFrame]":
    """Return start and end of each row, null if rows are whole files, and the rows whose times are no stretch."""
    import polars as pl

    if not item.times:
        return [
            pl.repeat(None, frame.height, dtype=pl.Float64, eager=True).alias(name) for name in TIMES
        ], no_problems()
    coded = [read_seconds(frame, value, name) for name, value in zip(TIMES, item.times, strict=True)]
    start, end = (
        pl.Series(column.values, dtype=pl.Float64).gather(column.codes).alias(name)
        for name, column in zip(TIMES, coded, strict=True)
    )
    backward = frame.with_columns(start.alias("<start>"), end.alias("<end>")).filter((end <= start).fill_null(False))
    sentence = pl.format("it ends at {} s, and starts at {} s", "<end>", "<start>")
    problems = [*(column.problems for column in coded), problems_of(backward, sentence)]
    return [start, end], pl.concat([part.with_columns(pl.lit("").alias("part")) for part in problems])


def _translated(text: str, value: Value) -> float:
    meaning = translate(text, value)
    if meaning is None:
        raise ValueError(f"{text[:MAX_QUOTED]!r} is mapped to no time")
    return to_seconds(meaning)
