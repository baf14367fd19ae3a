"""Stretches of time that rows mark within items, as judgements: all rows of a rater about an item are one."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.annotation.importing.rows import CLOCK, KEY, MAX_QUOTED, RECORDING, problems_of
from curate.annotation.importing.spans import MarkedRows
from curate.annotation.importing.stretch_settings import Stretches
from curate.annotation.importing.stretches import read_seconds
from curate.annotation.importing.value_settings import Value
from curate.annotation.importing.values import CODE, Coded, read_values, similar, text_of, translate
from curate.labels import Field
from curate.labels.units import ItemContext

if TYPE_CHECKING:
    import polars as pl

_Entry = dict[str, Any]


def marked_times(frame: "pl.DataFrame", field: Field, marks: Stretches) -> MarkedRows:
    """Return the judgements in rows that mark stretches of time. A row that cannot be read costs its stretch only.

    Times are those of the recording, also if the item begins later.
    """
    import polars as pl

    value = marks.label or marks.value or Value(constant="")
    name = "label" if marks.label is not None else "value"

    def read(text: str) -> Any:
        return _label(text, value, field) if name == "label" else _number(text, value, field)

    coded = [
        read_seconds(frame, time, part) for part, time in (("start_s", marks.start_s), ("end_s", marks.end)) if time
    ]
    coded.append(read_values(frame, text_of(frame, value), field.name, read))
    begins, *later, values = (
        pl.Series(of_values.values, dtype=None if of_values.values else pl.Float64).gather(of_values.codes)
        for of_values in coded
    )
    begins = begins / marks.per_s
    ends = later[0] / marks.per_s if later else begins + marks.lasts_s
    problems = [of_values.problems for of_values in coded]
    if name == "label":
        blank = text_of(frame, value).str.strip_chars().fill_null("") == ""
        if "" not in value.map:
            problems.append(problems_of(frame.filter(blank), "the stretch has no label", part=field.name))
    rows = frame.with_columns(begins.alias("<begin>"), ends.alias("<end>"), values.alias("<value>"))
    rows = rows.with_row_index("<row>").filter(pl.all_horizontal(pl.col("<begin>", "<end>", "<value>").is_not_null()))
    backward = pl.col("<end>") < pl.col("<begin>")
    sentence = pl.format("the stretch ends {} s before it starts", (pl.col("<begin>") - pl.col("<end>")).round(3))
    problems.append(problems_of(rows.filter(backward), sentence, part=field.name))
    rows = rows.filter(~backward).with_columns(pl.lit(RECORDING).alias(CLOCK))
    judged = [KEY, "annotator", "arm"]
    if name == "value":
        again = ~rows.select(pl.struct(*judged, "<begin>").is_first_distinct()).to_series()
        sentence = pl.format("the rater has a value from {} s on already", pl.col("<begin>").round(3))
        problems.append(problems_of(rows.filter(again), sentence, part=field.name, reason="duplicate"))
        rows = rows.filter(~again)
    answers: list[Any] = []
    codes: list[int | None] = []
    wrong: dict[int, str] = {}
    for _, group in rows.group_by(judged, maintain_order=True):
        columns = (group["<row>"], group["<begin>"], group["<end>"], group["<value>"])
        entries = {
            row: {"start_s": begin, "end_s": end, name: answer}
            for row, begin, end, answer in zip(*columns, strict=True)
        }
        answer, faults = _answer(entries, field)
        wrong |= faults
        codes.append(None if answer is None else len(answers))
        answers += [] if answer is None else [answer]
    bad = rows.filter(pl.col("<row>").is_in(list(wrong)))
    sentences = pl.col("<row>").replace_strict(wrong, default=None, return_dtype=pl.String)
    problems.append(problems_of(bad, sentences, part=field.name))
    first = rows.unique(judged, keep="first", maintain_order=True).drop("<row>", "<begin>", "<end>", "<value>")
    return MarkedRows(first, Coded(pl.Series(CODE, codes, pl.Int64), answers, problems[0].clear()), pl.concat(problems))


def _answer(entries: Mapping[int, _Entry], field: Field) -> tuple[Any, dict[int, str]]:
    """Return the value that stretches make, and why some of them, by row, are left out of it."""
    try:
        return _value(list(entries.values()), field), {}
    except ValueError:
        pass
    kept: dict[int, _Entry] = {}
    wrong: dict[int, str] = {}
    last: _Entry | None = None
    for row, entry in sorted(entries.items(), key=lambda pair: (pair[1]["start_s"], pair[1]["end_s"])):
        try:
            _value([entry] if last is None else [last, entry], field)
        except ValueError as error:
            wrong[row] = str(error)
            continue
        kept[row] = last = entry
    try:
        return (_value(list(kept.values()), field) if kept else None), wrong
    except ValueError as error:
        return None, wrong | dict.fromkeys(kept, str(error))


def _value(entries: Sequence[_Entry], field: Field) -> Any:
    return field.from_answer(entries, ItemContext())


def _label(text: str, value: Value, field: Field) -> str | None:
    meaning = translate(text, value)
    if meaning is None:
        return None
    label = similar(meaning, list(field.labels))
    if label is None:
        raise ValueError(f"{meaning[:MAX_QUOTED]!r} is not a label of {field.name}: map it")
    return label


def _number(text: str, value: Value, field: Field) -> float | None:
    meaning = translate(text, value)
    if meaning is None:
        return None
    try:
        number = float(meaning.replace("_", "?"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{meaning[:MAX_QUOTED]!r} is not a number")
    lower, upper = field.ends or (-math.inf, math.inf)
    if value.scale is not None:
        first, last = value.scale
        if not min(first, last) <= number <= max(first, last):
            raise ValueError(f"{number:g} is not on the table's scale from {first:g} to {last:g}")
        number = lower + (number - first) * (upper - lower) / (last - first)
    if not lower <= number <= upper:
        raise ValueError(f"{number:g} is not from {lower:g} to {upper:g}")
    return number
