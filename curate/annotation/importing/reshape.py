"""Rows of a table that hold several: cells of like columns, or like parts of a cell, become rows of their own."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.annotation.importing.rows import LINE, TableRows, problems_of, quoted
from curate.annotation.importing.settings import CELL, FILE_COLUMN, Table

if TYPE_CHECKING:
    import polars as pl


def cell_columns(table: Table, names: Sequence[str]) -> list[str]:
    """Return those columns of a file that ``unpivot`` makes rows of. Raises ``ValueError`` if there are none."""
    if table.unpivot is None:
        return []
    columns = [name for name in names if re.fullmatch(table.unpivot, name)]
    if not columns:
        raise ValueError(f"no column fits {table.unpivot}, of which `unpivot` makes rows")
    return columns


def reshape(rows: TableRows, table: Table, cells: Sequence[str]) -> TableRows:
    """Return the rows that ``unpivot`` and ``matches`` make of rows; each has the line of the row it was part of."""
    import polars as pl

    frame, problems = rows
    parts = [problems]
    if cells:
        own = [name for name in frame.columns if name not in cells]
        blank = frame.filter(pl.all_horizontal(pl.col(cells).is_null()))
        parts.append(problems_of(blank, f"the row is blank from column {cells[0]} to {cells[-1]}"))
        frame = frame.unpivot(on=cells, index=own, variable_name="<name>", value_name=CELL)
        frame = frame.filter(pl.col(CELL).is_not_null())
        frame = _with_groups(frame, "<name>", table.unpivot or "").drop("<name>")
        frame = frame.sort(FILE_COLUMN, LINE, maintain_order=True)
    for column, pattern in table.matches.items():
        texts = frame[column]
        rest = texts.str.replace_all(pattern, "")
        # What is between the matches is punctuation, or the pattern misses something.
        fits = (texts.str.contains(pattern) & ~rest.str.contains(r"[\p{L}\p{N}]")).fill_null(False)
        sentence = pl.concat_str(quoted(column), pl.lit(f" in column {column} is not made of what fits {pattern}"))
        parts.append(problems_of(frame.filter(~fits), sentence))
        matched = frame.filter(fits).with_columns(pl.col(column).str.extract_all(pattern).alias("<match>"))
        frame = _with_groups(matched.explode("<match>"), "<match>", pattern).drop("<match>")
    return TableRows(frame, pl.concat(parts))


def _with_groups(frame: "pl.DataFrame", column: str, pattern: str) -> "pl.DataFrame":
    names = list(re.compile(pattern).groupindex)
    if taken := [name for name in names if name in frame.columns]:
        raise ValueError(f"the pattern {pattern} makes a column {taken[0]}, which there is already")
    if not names:
        return frame
    groups = frame[column].str.extract_groups(pattern).struct.unnest().select(names)
    return frame.with_columns(groups.get_columns())
