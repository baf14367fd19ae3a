"""Tables in JSON, JSON lines and Parquet: rows of text with the number of each."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.errors import InvalidRow
from curate.stages.tables.delimited import Row

_MAX_JSON_BYTES = 500_000_000
_MAX_LINE_BYTES = 8_000_000
KEY, VALUE = "key", "value"
"""The columns of a JSON object of lists: the name of a list, and each of its members."""


def json_columns(path: Path) -> list[str]:
    """Return the names of the members that rows of a JSON or JSON lines file have."""
    names: dict[str, None] = {}
    for _, row in _objects(path):
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
    return list(names)


def json_rows(path: Path, columns: Collection[str]) -> Iterator[Row]:
    """Yield the rows of a JSON or JSON lines file, with cells as text and None for what a row does not have.

    A file in JSON is a list of objects, or an object of lists, whose rows have the columns ``key`` and ``value``.
    """
    for number, row in _objects(path):
        if isinstance(row, dict):
            cells: list[Any] = [_to_text(row.get(name)) for name in columns]
            yield Row(number, cells, None)
        else:
            yield Row(number, [], row if isinstance(row, str) else "it is not a JSON object")


def _objects(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the object of each row; a sentence instead of the object if it cannot be read."""
    if path.suffix.lower() == ".json":
        yield from enumerate(_json_list(path), start=1)
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if not text:
                continue
            try:
                yield number, _parse(text) if len(text) <= _MAX_LINE_BYTES else "the line is longer than 8 MB"
            except (ValueError, RecursionError) as error:
                yield number, f"it is not JSON: {error}"


def _json_list(path: Path) -> list[Any]:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise InvalidRow(f"it is longer than {_MAX_JSON_BYTES // 10**6} MB: use JSON lines (.jsonl)")
    try:
        content = _parse(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise InvalidRow(f"it is not JSON: {error}") from error
    if isinstance(content, dict) and content and all(isinstance(members, list) for members in content.values()):
        return [{KEY: name, VALUE: member} for name, members in content.items() for member in members]
    if not isinstance(content, list):
        raise InvalidRow("it is neither a list of objects nor an object of lists")
    return content


def _parse(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=_unique_members)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"two members are named {next(name for name in names if names.count(name) > 1)[:60]}")
    return members


def _to_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | Mapping) else str(value)


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns of a Parquet file. Raises ``InvalidRow`` if it is not one."""
    from pyarrow import parquet

    try:
        return list(parquet.read_schema(path).names)
    except pa.ArrowException as error:
        raise InvalidRow(f"it cannot be read as Parquet: {str(error).partition(chr(10))[0]}") from error


def read_parquet(path: Path, columns: Collection[str]) -> pa.Table:
    """Return columns of a Parquet file as text; lists and groups as JSON. Raises ``InvalidRow``."""
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, columns=list(columns))
        return pa.table({name: _column_to_text(table[name]) for name in columns})
    except pa.ArrowException as error:
        raise InvalidRow(f"it cannot be read as Parquet: {str(error).partition(chr(10))[0]}") from error


def _column_to_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _column_to_text(column.cast(kind.value_type))
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind):
        return pa.chunked_array([pa.array([_to_text(value) for value in column.to_pylist()], pa.string())])
    return column.cast(pa.string())
