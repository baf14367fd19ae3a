"""Text files whose lines follow patterns, such as the evaluation files of IEMOCAP, as rows of text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curate.annotation.importing.line_settings import Lines
from curate.errors import InvalidRow
from curate.media.words.encodings import is_unicode
from curate.stages.tables.delimited import Row, encoding_of

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".txt", ".csv", ".tsv")
_MAX_LINE_CHARS = 100_000
_MAX_BYTES = 500_000_000
_MAX_QUOTED = 60


def line_rows(path: Path, lines: Lines, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the lines that are rows, by their numbers, with what the patterns take out of them and of lines above.

    A line that fits no pattern has a problem, and so do the rows below it if it may have said what they are of. Raises
    ``InvalidRow`` if the file is too large or no text.
    """
    import polars as pl

    problems = dict[int, str]()
    numbers, texts = list[int](), list[str]()
    for number, text in _lines(path):
        if len(text) > _MAX_LINE_CHARS:
            problems[number], shown = f"the line is longer than {_MAX_LINE_CHARS} characters", ""
        elif "\0" in text or not is_unicode(text):
            problems[number], shown = "the line is not UTF-8 text; save the file as UTF-8", ""
        else:
            shown = text
        numbers.append(number)
        texts.append(shown)
    series = pl.Series(texts, dtype=pl.String)
    rows, heads = _groups(series, lines.row), _groups(series, lines.under)
    skipped = _fits(series, lines.skip)
    head: tuple[int | None, dict[str, str | None] | None] = (None, None)
    for index, number in enumerate(numbers):
        if heads[index] is not None:
            head = (number, heads[index])
        elif (row := rows[index]) is not None:
            yield _row(number, row, lines, head, columns)
        elif number in problems or not skipped[index]:
            text = texts[index]
            short = text[:_MAX_QUOTED] + ("…" if len(text) > _MAX_QUOTED else "")
            yield Row(number, [], problems.get(number) or f"{short!r} fits none of the patterns of `lines`")
            head = (number, None)


def _row(
    number: int,
    row: dict[str, str | None],
    lines: Lines,
    head: tuple[int | None, dict[str, str | None] | None],
    columns: Sequence[str],
) -> Row:
    above, groups = head
    if lines.under is None:
        groups = {}
    if groups is None:
        reason = "no line above it says what it is of"
        return Row(number, [], reason if above is None else f"line {above}, which may say what it is of, is not read")
    cells: dict[str, str | None] = {**groups, **row}
    return Row(number, [cells.get(name) or "" for name in columns])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, by their numbers from 1."""
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidRow(f"it is longer than {_MAX_BYTES // 10**6} MB")
    try:
        with path.open(encoding=encoding_of(path), errors="surrogateescape") as file:
            for number, line in enumerate(file, start=1):
                if text := line.strip():
                    yield number, text
    except UnicodeDecodeError as error:
        raise InvalidRow(f"it is damaged {error.encoding} text: save it as UTF-8") from error


def _fits(texts: "pl.Series", pattern: str | None) -> list[bool]:
    """Return which texts fit a pattern as a whole; none if there is no pattern."""
    return [False] * len(texts) if pattern is None else texts.str.contains(f"^(?:{pattern})$").to_list()


def _groups(texts: "pl.Series", pattern: str | None) -> list[dict[str, str | None] | None]:
    """Return the named groups of each text that fits a pattern as a whole; None for the others."""
    fits = _fits(texts, pattern)
    if pattern is None or not any(fits):
        return [None] * len(texts)
    groups = texts.str.extract_groups(f"^(?:{pattern})$").to_list()
    return [group if is_fit else None for group, is_fit in zip(groups, fits, strict=True)]
