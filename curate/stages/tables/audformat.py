"""Databases of audformat: a header ``db.yaml``, and beside it a CSV or Parquet file for each table.

Format: https://audeering.github.io/audformat/data-format.html
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from curate.document import load_document, parse_model
from curate.errors import InvalidInput, InvalidRow
from curate.stages.tables.delimited import Row, listed, open_rows
from curate.stages.tables.documents import read_parquet

SUFFIXES = (".yaml",)
FILE, START, END, SPLIT = "file", "start_s", "end_s", "<split>"
_INDEX = {"file": FILE, "start": START, "end": END}
_SUFFIXES_OF_TABLES = (".parquet", ".csv")
_DURATION = re.compile(r"(?:(-?\d+) days? )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_MIDNIGHT = re.compile(r"[ T]00:00:00(?:\.0+)?$")
_ROWS = 10_000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


def _or_empty(value: Any) -> Any:
    return {} if value is None else value


Names = Annotated[dict[str, Any], BeforeValidator(_or_empty)]


class Scheme(_Part):
    """What the values of a column are."""

    dtype: str = "str"
    minimum: float | None = None
    maximum: float | None = None
    labels: list[str | int | float | bool] | dict[str | int, Any] | str | None = None
    """Labels; what is known of each; or the table that lists them"""


class Column(_Part):
    """A column of a table."""

    scheme_id: str | None = None
    rater_id: str | None = None


class AudioTable(_Part):
    """A table of files, or of segments of files."""

    type: Literal["filewise", "segmented"]
    split_id: str | None = None
    columns: Annotated[dict[str, Column], BeforeValidator(_or_empty)] = Field(default={})


class MiscTable(_Part):
    """A table of something else, such as of speakers."""

    levels: dict[str, str] | list[str] = Field(default={})
    columns: Annotated[dict[str, Column], BeforeValidator(_or_empty)] = Field(default={})


class Header(_Part):
    """The header of a database: its tables, and what the values in them are."""

    name: str
    license: str | None = None
    usage: str | None = None
    schemes: Annotated[dict[str, Scheme], BeforeValidator(_or_empty)] = Field(default={})
    tables: Annotated[dict[str, AudioTable], BeforeValidator(_or_empty)] = Field(default={})
    misc_tables: Annotated[dict[str, MiscTable], BeforeValidator(_or_empty)] = Field(default={})

    def scheme_of(self, column: Column) -> Scheme | None:
        """Return the scheme of a column; None if it has none."""
        return self.schemes.get(column.scheme_id) if column.scheme_id is not None else None

    def label_columns(self, column: Column) -> Sequence[str]:
        """Return the names of what is known of each label of a column, such as the gender of a speaker."""
        labels = scheme.labels if (scheme := self.scheme_of(column)) is not None else None
        if isinstance(labels, str):
            return list(self.misc_tables[labels].columns) if labels in self.misc_tables else []
        rows = labels.values() if isinstance(labels, dict) else ()
        return list(dict.fromkeys(name for row in rows if isinstance(row, Mapping) for name in row))


def load_header(path: Path) -> Header:
    """Return the header of a database. Raises ``InvalidRow`` with a sentence if a file is not one."""
    try:
        document = load_document(path)
        if not {"tables", "schemes", "name"} & document.data.keys():
            raise InvalidRow("it is not the header of an audformat database: it has no tables")
        return parse_model(Header, document.data, document)
    except InvalidInput as error:
        raise InvalidRow("; ".join((error.problems or (error.message,))[:3])) from error


def database_files(path: Path) -> list[Path]:
    """Return the files of all tables of a database. Raises ``InvalidRow`` if its header cannot be read."""
    header = load_header(path)
    paths = (_find_table(path, name) for name in (*header.tables, *header.misc_tables))
    return [table_path for table_path in paths if table_path is not None]


def database_columns(path: Path, table: str | None) -> list[str]:
    """Return the columns of a table: ``file``, ``start_s`` and ``end_s`` for segments, ``<split>``, and its own.

    What is known of labels has columns such as ``speaker.gender``. Raises ``InvalidRow`` if there is no such table, or
    there are several and none is named.
    """
    header = load_header(path)
    name = _choose(header, table)
    _table_path(path, name)
    if name in header.misc_tables:
        misc = header.misc_tables[name]
        return [*misc.levels, *misc.columns]
    chosen = header.tables[name]
    index = [FILE] if chosen.type == "filewise" else [FILE, START, END]
    further = [f"{column}.{inner}" for column, c in chosen.columns.items() for inner in header.label_columns(c)]
    own_names = [*index, *chosen.columns, SPLIT]
    return [*own_names, *(name for name in further if name not in own_names)]


def database_rows(path: Path, file: str, table: str | None, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a table, numbered as in its file, with times in seconds and None for missing values.

    Files are named relative to where ``file``, the name of the header, is. A segment without an end lasts to the end of
    its file: its ``end_s`` is blank.
    """
    header = load_header(path)
    name = _choose(header, table)
    own = header.tables[name].columns if name in header.tables else header.misc_tables[name].columns
    is_audio = name in header.tables
    kinds = {column: scheme.dtype for column, c in own.items() if (scheme := header.scheme_of(c)) is not None}
    kinds |= {"start": "time", "end": "time"} if is_audio else {}
    index = {_INDEX[column]: column for column in _INDEX} if is_audio else {}
    stored_names = index | {column: column for column in (*own, *(() if is_audio else header.misc_tables[name].levels))}
    lookups = {column: _lookup(path, header, own, column) for column in columns if column not in (*stored_names, SPLIT)}
    split = header.tables[name].split_id if is_audio else None
    folder = PurePosixPath(file).parent
    needed = list(dict.fromkeys(_stored(column, stored_names, lookups) for column in columns if column != SPLIT))
    for number, cells, problem in _stored_rows(_table_path(path, name), needed):
        if problem is not None:
            yield Row(number, [], problem)
            continue
        values = dict(zip(needed, cells, strict=True))
        try:
            values |= {
                column: _READERS[kind](values[column]) for column in needed if (kind := kinds.get(column)) in _READERS
            }
        except ValueError as error:
            yield Row(number, [], str(error))
            continue
        if is_audio and values.get("file"):
            values["file"] = str(folder / values["file"])
        row: list[Any] = []
        for column in columns:
            value = split if column == SPLIT else values[_stored(column, stored_names, lookups)]
            row.append(lookups[column][1].get(value or "") if column in lookups else value)
        yield Row(number, row)


_Lookup = tuple[str, Mapping[str, str | None]]


def _stored(column: str, stored_names: Mapping[str, str], lookups: Mapping[str, _Lookup]) -> str:
    return lookups[column][0] if column in lookups else stored_names.get(column, column)


def _lookup(path: Path, header: Header, own: Mapping[str, Column], column: str) -> _Lookup:
    """Return the column of labels that a name such as ``speaker.gender`` begins with, and the value for each label."""
    for name, settings in own.items():
        inner = column.removeprefix(f"{name}.")
        if inner == column or inner not in header.label_columns(settings):
            continue
        labels = scheme.labels if (scheme := header.scheme_of(settings)) is not None else None
        if isinstance(labels, dict):
            members = {str(label): row.get(inner) for label, row in labels.items() if isinstance(row, Mapping)}
            return name, {label: None if value is None else str(value) for label, value in members.items()}
        key = next(iter(header.misc_tables[str(labels)].levels))
        rows = _stored_rows(_table_path(path, str(labels)), [key, inner])
        return name, {cells[0]: cells[1] for _, cells, problem in rows if problem is None and cells[0]}
    return column, {}


def _stored_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[Any], str | None]]:
    """Yield number, cells and problem of each row of the file of a table."""
    if path.suffix == ".parquet":
        table = read_parquet(path, path.name, columns)
        for start in range(0, table.num_rows, _ROWS):
            block = table.slice(start, _ROWS)
            rows = zip(*(block[column].to_pylist() for column in columns), strict=True)
            yield from ((number, list(row), None) for number, row in enumerate(rows, start=start + 1))
        return
    with open_rows(path, wanted=columns, delimiter=",") as opened:
        if missing := [column for column in columns if column not in opened.names]:
            raise InvalidRow(f"{path.name} lacks column {listed(missing[:1])}, which the header names")
        indices = [opened.names.index(column) for column in columns]
        for row in opened.rows:
            cells = [row.cells[index] or None for index in indices] if row.problem is None else []
            yield row.line, cells, row.problem


def _choose(header: Header, table: str | None) -> str:
    names = [*header.tables, *header.misc_tables]
    if table is not None:
        if table not in names:
            raise InvalidRow(f"it has no table {table!r}; its tables are {listed(names)}")
        return table
    if len(header.tables) == 1:
        return next(iter(header.tables))
    raise InvalidRow(f"it has the tables {listed(names)}: name one of them in `sheet`")


def _table_path(path: Path, table: str) -> Path:
    if (stored := _find_table(path, table)) is not None:
        return stored
    if path.with_name(f"{path.stem}.{table}.pkl").exists():
        raise InvalidRow(f"its table {table} is only there as .pkl, which may run code: save it as CSV or Parquet")
    raise InvalidRow(f"its table {table} is not there: {path.stem}.{table}.csv or .parquet")


def _find_table(path: Path, table: str) -> Path | None:
    if "/" in table or "\0" in table:
        raise InvalidRow(f"{table[:60]!r} cannot name a table")
    for suffix in _SUFFIXES_OF_TABLES:
        candidate = path.with_name(f"{path.stem}.{table}{suffix}")
        if candidate.is_file():
            if candidate.resolve().parent != path.resolve().parent:
                raise InvalidRow(f"{candidate.name} is a link out of its folder")
            return candidate
    return None


def _seconds(value: str | None) -> str | None:
    """Return a duration in seconds, as text. Raises ``ValueError`` for anything else."""
    if value is None:
        return None
    match = _DURATION.fullmatch(value.strip())
    try:
        if match is None:
            seconds = Decimal(value.strip())
        else:
            days, hours, minutes, rest = (Decimal(part or 0) for part in match.groups())
            seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
        return format(seconds.normalize(), "f")
    except (InvalidOperation, ValueError) as error:
        raise ValueError(f"{value[:60]!r} is not a duration such as 0 days 00:00:01.500000") from error


def _day(value: str | None) -> str | None:
    return None if value is None else _MIDNIGHT.sub("", value)


_READERS = {"time": _seconds, "date": _day}
