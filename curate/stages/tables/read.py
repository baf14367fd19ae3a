"""Read the tables that a mapping names: the columns that it uses, as text, with file and line of every row."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from curate.annotation.importing.rows import LINE, TableRows, no_problems
from curate.annotation.importing.settings import FILE_COLUMN, INDEX_COLUMN, Join, Table
from curate.corpus.sources import RawFolders
from curate.errors import InvalidRow
from curate.media.tiers.open import SUFFIXES as TIERS
from curate.media.tiers.open import is_tier_file
from curate.stages.tables.audformat import SUFFIXES as DATABASES
from curate.stages.tables.audformat import database_columns, database_rows
from curate.stages.tables.delimited import Row, Rows, listed, open_rows
from curate.stages.tables.documents import json_columns, json_rows, parquet_columns, read_parquet
from curate.stages.tables.exports import export_columns
from curate.stages.tables.nested import nested_columns, nested_rows
from curate.stages.tables.plain import read_plain
from curate.stages.tables.shards import SUFFIXES as SHARDS
from curate.stages.tables.shards import is_shard, shard_columns, shard_rows
from curate.stages.tables.sheets import SUFFIXES as SHEETS
from curate.stages.tables.sheets import sheet_columns, sheet_rows
from curate.stages.tables.text_lines import SUFFIXES as TEXTS
from curate.stages.tables.text_lines import line_rows
from curate.stages.tables.tiers import COLUMNS as TIER_COLUMNS
from curate.stages.tables.tiers import tier_rows

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", *SHEETS, *DATABASES, *TIERS)
_NESTED = (".json", ".jsonl", ".ndjson", ".parquet")
DELIMITED = (".csv", ".tsv", ".txt")
_ROWS = 50_000


def columns_of(path: Path, table: Table | Join, wanted: Collection[str]) -> list[str]:
    """Return the names of the columns of a file. Raises ``InvalidRow`` or ``OSError`` if it cannot be read."""
    suffix = path.suffix.lower()
    if isinstance(table, Table) and table.format is not None:
        return export_columns(path, table)
    if table.sheet is not None and suffix not in (*SHEETS, *DATABASES):
        raise InvalidRow(f"it has no sheets, so it cannot have {table.sheet!r}")
    if table.lines is not None:
        if suffix not in TEXTS:
            raise InvalidRow(f"`lines` are of {', '.join(TEXTS)} files")
        return list(table.lines.columns)
    if table.rows is not None:
        if suffix not in _NESTED:
            raise InvalidRow(f"`rows` is a path in {', '.join(_NESTED)} files")
        return list(dict.fromkeys((*table.columns, *nested_columns(path, table.rows, wanted))))
    if suffix in DATABASES:
        return database_columns(path, table.sheet)
    if is_tier_file(path):
        return list(TIER_COLUMNS)
    if table.columns:
        return list(table.columns)
    if suffix in SHEETS:
        return sheet_columns(path, table.sheet)
    if suffix in DELIMITED:
        with _open(path, table, wanted) as rows:
            return rows.names
    if suffix == ".parquet":
        return parquet_columns(path)
    if is_shard(path):
        return shard_columns(path)
    if suffix in SUFFIXES:
        return json_columns(path)
    raise InvalidRow(f"it is none of {', '.join((*SUFFIXES, *SHARDS))}")


def _own_columns(table: Table | Join) -> tuple[str, ...]:
    """Return the columns that are in no file; rows within JSON have their own index."""
    return (FILE_COLUMN, INDEX_COLUMN) if table.rows is None else (FILE_COLUMN,)


def missing_columns(path: Path, file: str, table: Table | Join, wanted: Collection[str]) -> str | None:
    """Return a sentence that names the columns a file lacks and those that it has; None if it has all of ``wanted``."""
    try:
        names = columns_of(path, table, wanted)
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    except InvalidRow as error:
        return f"{file} cannot be read as a table: {error.message}"
    if not any(names):
        return f"{file} is empty: its first line names no columns"
    absent = [name for name in wanted if name not in (*names, *_own_columns(table))]
    if absent:
        noun = "column" if len(absent) == 1 else "columns"
        return f"{file} has no {noun} {listed(absent)}; its columns are {listed(names)}"
    twice = [name for name in wanted if names.count(name) > 1]
    return f"{file} has {names.count(twice[0])} columns named {listed(twice[:1])}" if twice else None


def read_file(path: Path, file: str, table: Table | Join, wanted: Sequence[str]) -> TableRows:
    """Return the columns ``wanted`` of a file, blank cells as null, and its unusable rows.

    Raises ``InvalidRow`` with a sentence if the file as a whole cannot be used, such as if it lacks a column.
    """
    import polars as pl

    if problem := missing_columns(path, file, table, wanted):
        raise InvalidRow(problem)
    columns = [name for name in wanted if name not in _own_columns(table)]
    problems: list[tuple[str, int, str, str, str]] = []
    if path.suffix.lower() == ".parquet" and table.rows is None:
        frame = pl.DataFrame(read_parquet(path, file, columns)).with_row_index(LINE, 1).cast({LINE: pl.Int64})
    elif path.suffix.lower() in DELIMITED and table.lines is None and not is_tier_file(path):
        with _open(path, table, wanted) as opened:
            indices = [opened.names.index(name) for name in columns]
            plain = _read_plain(path, table, opened, indices) if opened.is_plain and not _is_ragged(table) else None
            if plain is not None:
                frame = plain.rename({str(index): name for index, name in zip(indices, columns, strict=True)})
            else:
                frame = _to_frame(opened.rows, indices, columns, file, problems)
    else:
        rows = read_rows(path, file, table, columns)
        frame = _to_frame(rows, list(range(len(columns))), columns, file, problems)
    blank = [pl.when(pl.col(name).str.strip_chars() == "").then(None).otherwise(pl.col(name)) for name in columns]
    frame = frame.with_columns([cell.alias(name) for cell, name in zip(blank, columns, strict=True)])
    unusable = pl.DataFrame(problems, schema=no_problems().schema, orient="row")
    if INDEX_COLUMN in wanted and table.rows is None:
        has_names = path.suffix.lower() in (*DELIMITED, *SHEETS) and not table.columns and table.lines is None
        frame = frame.with_columns((pl.col(LINE) - (2 if has_names else 1)).cast(pl.String).alias(INDEX_COLUMN))
    return TableRows(frame.with_columns(pl.lit(file).alias(FILE_COLUMN)), unusable)


def read_rows(path: Path, file: str, table: Table | Join, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a file that has no delimiters, with the cells of ``columns`` as text, None for those without.

    Raises ``InvalidRow`` if it cannot be read.
    """
    if table.lines is not None:
        return line_rows(path, table.lines, columns)
    if table.rows is not None:
        return nested_rows(path, table.rows, columns, table.columns)
    if path.suffix.lower() in DATABASES:
        return database_rows(path, file, table.sheet, columns)
    if path.suffix.lower() in SHEETS:
        return sheet_rows(path, table.sheet, columns, table.columns)
    if is_tier_file(path):
        return tier_rows(path, file, columns)
    return shard_rows(path, file, columns) if is_shard(path) else json_rows(path, columns, table.columns)


def locate(name: str, raw: RawFolders) -> Path | None:
    """Return the path of a table of a mapping; None if there is none. Raises ``InvalidInput`` if it leads outside."""
    path = raw.join(name)
    return raw.path(name) if path.is_file() else None


def _open(path: Path, table: Table | Join, wanted: Collection[str]) -> AbstractContextManager[Rows]:
    delimiter = table.delimiter if isinstance(table, Table) else None
    quotes = table.quotes if isinstance(table, Table) else True
    if path.suffix.lower() == ".tsv":
        delimiter = delimiter or "\t"
    ragged = _is_ragged(table)
    return open_rows(path, wanted=wanted, names=table.columns, delimiter=delimiter, quotes=quotes, ragged=ragged)


def _is_ragged(table: Table | Join) -> bool:
    return isinstance(table, Table) and table.ragged


def _read_plain(path: Path, table: Table | Join, opened: Rows, indices: Sequence[int]) -> "pl.DataFrame | None":
    return read_plain(
        path,
        indices,
        count=len(opened.names),
        delimiter=opened.delimiter,
        quotes=table.quotes if isinstance(table, Table) else True,
        has_header=not table.columns,
    )


def _to_frame(
    rows: Iterator[Row],
    indices: Sequence[int],
    columns: Sequence[str],
    file: str,
    problems: list[tuple[str, int, str, str, str]],
) -> "pl.DataFrame":
    """Return the cells of rows, some at a time, so that only their columns are in memory as a whole."""
    import polars as pl

    schema = {LINE: pl.Int64, **dict.fromkeys(columns, pl.String)}
    parts = [pl.DataFrame(schema=schema)]
    while block := list(islice(rows, _ROWS)):
        usable = [row for row in block if row.problem is None]
        problems += [(file, row.line, "", "invalid", row.problem) for row in block if row.problem is not None]
        cells = {name: [row.cells[index] for row in usable] for name, index in zip(columns, indices, strict=True)}
        parts.append(pl.DataFrame({LINE: [row.line for row in usable], **cells}, schema=schema))
    return pl.concat(parts, rechunk=True)
