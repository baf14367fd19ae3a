"""Rows of a table as text: columns that patterns and joins add, and rows that cannot be used."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from curate.annotation.importing.settings import FILE_COLUMN, KnownBad, Table

if TYPE_CHECKING:
    import polars as pl

LINE = "<line>"
"""The column with the last line of each row, or its number if the file has no lines."""
KEY = "<key>"
"""The column with the id of the item that a row is about."""
PLACE = "<place>"
"""The column of exports that names the record of each row for people, such as ``task 7, annotation 12``."""
CLOCK, RECORDING = "<clock>", "recording"
"""The column that says of which clock the times of a judgement are: of the recording, or of the item (null)."""
MAX_QUOTED = 60


class TableRows(NamedTuple):
    """The rows of a table, and those that cannot be used: file, line, part (a column), reason and sentence."""

    frame: "pl.DataFrame"
    problems: "pl.DataFrame"


def no_problems() -> "pl.DataFrame":
    """Return an empty table of problems."""
    import polars as pl

    texts = dict.fromkeys(("part", "reason", "sentence"), pl.String)
    return pl.DataFrame(schema={FILE_COLUMN: pl.String, LINE: pl.Int64, **texts})


def problems_of(
    rows: "pl.DataFrame", sentence: "pl.Expr | str", *, part: str = "", reason: str = "invalid"
) -> "pl.DataFrame":
    """Return the problems of rows; ``sentence`` may be made of their columns."""
    import polars as pl

    words = pl.lit(sentence) if isinstance(sentence, str) else sentence
    return rows.select(
        FILE_COLUMN,
        LINE,
        pl.lit(part).alias("part"),
        pl.lit(reason).alias("reason"),
        words.cast(pl.String).alias("sentence"),
    )


def quoted(column: str) -> "pl.Expr":
    """Return the cells of a column as they are shown in sentences."""
    import polars as pl

    cell = pl.col(column)
    short = pl.when(cell.str.len_chars() > MAX_QUOTED).then(cell.str.slice(0, MAX_QUOTED) + "…").otherwise(cell)
    return pl.when(cell.is_null()).then(pl.lit("a blank cell")).otherwise(pl.format("'{}'", short))


def prepare(rows: TableRows, table: Table, joined: "Sequence[pl.DataFrame]") -> TableRows:
    """Return the rows with the columns of patterns and joins, without those that are known to be bad.

    ``joined`` holds the rows of each table in ``table.join``. Raises ``ValueError`` if one has two rows for a key.
    """
    import polars as pl

    frame = rows.frame.filter(_where(rows.frame, table))
    early = {column: pattern for column, pattern in table.extract.items() if column in frame.columns}
    late = {column: pattern for column, pattern in table.extract.items() if column not in early}
    frame, unfit = _extract(frame, early)
    problems = [rows.problems, unfit]
    for join, lookup in zip(table.join, joined, strict=True):
        left_keys, right_keys = list(join.by), list(join.by.values())
        if not lookup.select(right_keys).is_duplicated().any():
            frame = frame.join(lookup, left_on=left_keys, right_on=right_keys, how="left", maintain_order="left")
            continue
        twice = lookup.filter(lookup.select(right_keys).is_duplicated()).row(0, named=True)
        raise ValueError(f"{join.table} has several rows for {', '.join(f'{n} {twice[n]!r}' for n in right_keys)}")
    frame, unfit = _extract(frame, late)
    problems.append(unfit)
    frame = frame.filter(_where(frame, table))
    for bad in table.known_bad:
        fits = frame.select(_fits(bad)).to_series()
        problems.append(problems_of(frame.filter(fits), bad.reason, reason="known_bad"))
        frame = frame.filter(~fits)
    return TableRows(frame, pl.concat(problems))


def _extract(frame: "pl.DataFrame", patterns: Mapping[str, str]) -> "tuple[pl.DataFrame, pl.DataFrame]":
    """Return the rows that fit the patterns, with a column for each group, and the problems of the others."""
    import polars as pl

    problems = [no_problems()]
    for column, pattern in patterns.items():
        anchored = f"^(?:{pattern})$"
        fits = frame[column].str.contains(anchored).fill_null(False)
        sentence = pl.concat_str(quoted(column), pl.lit(f" in column {column or repr(column)} does not fit {pattern}"))
        problems.append(problems_of(frame.filter(~fits), sentence))
        frame = frame.filter(fits)
        names = list(re.compile(pattern).groupindex)
        groups = frame[column].str.extract_groups(anchored).struct.unnest().select(names)
        if taken := [name for name in groups.columns if name in frame.columns]:
            raise ValueError(f"the pattern for {column!r} makes a column {taken[0]}, which there is already")
        frame = frame.with_columns(groups.get_columns())
    return frame, pl.concat(problems)


def where_pattern(texts: Sequence[str]) -> str:
    """Return a regular expression for cells that are one of these texts, in which ``*`` stands for any characters."""
    parts = ("".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", text)) for text in texts)
    return f"^(?s:{'|'.join(parts)})$"


def _where(frame: "pl.DataFrame", table: Table) -> "pl.Expr":
    """Return which rows the mapping is about, by those of its columns that are there."""
    import polars as pl

    columns = [(column, where_pattern(texts)) for column, texts in table.where.items() if column in frame.columns]
    conditions = [pl.col(column).str.contains(pattern).fill_null(False) for column, pattern in columns]
    return pl.all_horizontal([pl.lit(True), *conditions])


def _fits(bad: KnownBad) -> "pl.Expr":
    import polars as pl

    conditions = [pl.col(column).is_in(list(values)).fill_null(False) for column, values in bad.when.items()]
    conditions += [(pl.col(bad.same[0]) == pl.col(column)).fill_null(False) for column in bad.same[1:]]
    return pl.all_horizontal(conditions)
