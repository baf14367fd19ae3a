"""Values of rows: columns, templates and constants, translated by maps and ranges. Each distinct text is read once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.annotation.importing.rows import MAX_QUOTED, problems_of
from curate.annotation.importing.value_settings import Value

if TYPE_CHECKING:
    import polars as pl

CODE = "<code>"


class Coded(NamedTuple):
    """A column of values: a code for each row (null: no value) and the values by code."""

    codes: "pl.Series"
    values: list[Any]
    problems: "pl.DataFrame"


def text_of(frame: "pl.DataFrame", value: Value) -> "pl.Series":
    """Return the text of a value in each row, before it is translated; null if a column of it is blank."""
    texts = _source_text(frame, value)
    for old, new in value.replace.items():
        texts = texts.str.replace_all(old, new or "", literal=True)
    return texts


def _source_text(frame: "pl.DataFrame", value: Value) -> "pl.Series":
    import polars as pl

    if value.column is not None:
        return frame[value.column]
    if value.constant is not None:
        return pl.repeat(value.constant, frame.height, dtype=pl.String, eager=True)
    template, parts, rest = value.template or "", list[pl.Expr](), value.template or ""
    for column in value.columns:
        before, _, rest = rest.partition(f"{{{column}}}")
        parts += [pl.lit(before), pl.col(column)]
    if not parts:
        return pl.repeat(template, frame.height, dtype=pl.String, eager=True)
    return frame.select(pl.concat_str(*parts, pl.lit(rest)).alias("<text>")).to_series()


def read_values(frame: "pl.DataFrame", texts: "pl.Series", part: str, read: Callable[[str], Any]) -> Coded:
    """Return what ``read`` makes of each distinct text. Its ``ValueError`` makes problems of the rows with the text."""
    import polars as pl

    distinct = texts.unique().drop_nulls()
    values: list[Any] = []
    codes: list[int | None] = []
    wrong: dict[str, str] = {}
    for text in distinct.to_list():
        try:
            value = read(text)
        except ValueError as error:
            wrong[text] = str(error)
            codes.append(None)
            continue
        codes.append(None if value is None else len(values))
        if value is not None:
            values.append(value)
    coded = texts.replace_strict(distinct, pl.Series(codes, dtype=pl.Int64), default=None, return_dtype=pl.Int64)
    problems = []
    if wrong:
        bad = frame.with_columns(texts.alias("<text>")).filter(texts.is_in(list(wrong)).fill_null(False))
        sentence = pl.col("<text>").replace_strict(wrong, return_dtype=pl.String)
        problems.append(problems_of(bad, sentence, part=part))
    return Coded(coded.alias(CODE), values, pl.concat(problems) if problems else problems_of(frame.clear(), ""))


def read_texts(frame: "pl.DataFrame", value: Value, part: str) -> "tuple[pl.Series, pl.DataFrame]":
    """Return a value that is a text, such as a rater's name, for each row, and the rows in which it has no meaning."""
    import polars as pl

    texts = text_of(frame, value).str.strip_chars()
    if not value.map and not value.ranges:
        return texts, problems_of(frame.clear(), "")
    coded = read_values(frame, texts, part, lambda text: translate(text, value, is_closed=True))
    values = pl.Series(coded.values, dtype=pl.String)
    return values.gather(coded.codes), coded.problems


def translate(text: str, value: Value, *, is_closed: bool = False) -> str | None:
    """Return what a text means by the map and the ranges of a value, else the text itself.

    Raises ``ValueError`` if it is in no range; with ``is_closed``, also if it is not in the map.
    """
    text = text.strip()
    if value.map:
        key = text if text in value.map else similar(text, list(value.map))
        if key is not None:
            return value.map[key]
    if value.ranges:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        for first, last, meaning in value.number_ranges:
            if first <= number <= last:
                return meaning
        raise ValueError(f"{text[:MAX_QUOTED]!r} is in none of the ranges {', '.join(value.ranges)}")
    if value.map and is_closed:
        raise ValueError(f"{text[:MAX_QUOTED]!r} is not in the map: {', '.join(list(value.map)[:20])}")
    return text


def similar(text: str, names: list[str]) -> str | None:
    """Return the only one of the names that differs from a text in nothing but case and spaces; None if there is none.

    Cells may have spaces around them, and a label another case than the taxonomy gives it.
    """
    key = " ".join(text.split()).casefold()
    matching = [name for name in names if " ".join(name.split()).casefold() == key]
    return matching[0] if len(matching) == 1 else None
