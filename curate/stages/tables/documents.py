"""Tables in JSON, JSON lines and Parquet: rows of text with the number of each."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.importing.exports.files import parse_json
from curate.corpus.archives.cells import media_columns, parquet_errors, read_cells
from curate.corpus.sources import MEMBER
from curate.errors import InvalidRow
from curate.media.words.encodings import is_unicode
from curate.stages.tables.delimited import Row

_MAX_JSON_BYTES = 500_000_000
_MAX_LINE_BYTES = 8_000_000
_TOO_LONG = f"the line is longer than {_MAX_LINE_BYTES // 10**6} MB"
_PARQUET_ROWS = 1_000
KEY, VALUE = "key", "value"
"""The columns of a JSON object of lists: the name of a list, and each of its members."""


def json_columns(path: Path) -> list[str]:
    """Return the names of the members that rows of a JSON or JSON lines file have.

    Raises ``InvalidRow`` if its rows are lists, whose members have no names.
    """
    names: dict[str, None] = {}
    has_lists = False
    for _, row in _objects(path):
        has_lists = has_lists or isinstance(row, list)
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
    if has_lists and not names:
        raise InvalidRow("its rows are lists, whose members have no names: name them in `columns`")
    return list(names)


def json_rows(path: Path, columns: Collection[str], names: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a JSON or JSON lines file, with cells as text and None for what a row does not have.

    A file in JSON is a list of objects, an object of lists, whose rows have the columns ``key`` and ``value``, or a
    list of lists, whose members are called ``names``.
    """
    for number, row in _objects(path):
        is_named = isinstance(row, list) and len(row) == len(names)
        members = dict(zip(names, row, strict=True)) if is_named else row
        if isinstance(members, dict):
            yield text_row(number, [to_text(members.get(name)) for name in columns])
        elif isinstance(row, list) and names:
            yield Row(number, [], f"the row has {len(row)} members, `columns` names {len(names)}")
        else:
            yield Row(number, [], row if isinstance(row, str) else "it is not a JSON object")


def text_row(number: int, cells: list[Any]) -> Row:
    """Return a row of texts; one with a problem if JSON escapes made of them what is no text."""
    if all(cell is None or cell.isascii() or is_unicode(cell) for cell in cells):
        return Row(number, cells)
    return Row(number, [], r"the row is not Unicode text: it has half of a pair such as \ud83d\ude00")


def documents(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the content of a JSON file, of each line of a JSON lines file or of each row of Parquet.

    Instead of the content, ``InvalidRow`` says why a line cannot be read; it is raised for a file as a whole.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        yield 1, _json_document(path)
    elif suffix == ".parquet":
        from pyarrow import parquet

        with parquet_errors(), parquet.ParquetFile(path) as opened:
            media = set(media_columns(opened.schema_arrow))
            columns = [name for name in opened.schema_arrow.names if name not in media]
            batches = opened.iter_batches(_PARQUET_ROWS, columns=columns)
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), start=1)
    else:
        yield from _json_lines(path)


def _objects(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the object of each row; a sentence instead of the object if it cannot be read."""
    if path.suffix.lower() == ".json":
        yield from enumerate(_json_list(path), start=1)
        return
    for number, document in _json_lines(path):
        yield number, document.message if isinstance(document, InvalidRow) else document


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if not text:
                continue
            try:
                yield number, parse_json(text) if len(text) <= _MAX_LINE_BYTES else InvalidRow(_TOO_LONG)
            except (ValueError, RecursionError) as error:
                yield number, InvalidRow(f"it is not JSON: {error}")


def _json_list(path: Path) -> list[Any]:
    content = _json_document(path)
    if isinstance(content, dict) and content and all(isinstance(members, list) for members in content.values()):
        return [{KEY: name, VALUE: member} for name, members in content.items() for member in members]
    if not isinstance(content, list):
        raise InvalidRow("it is neither a list of objects or lists nor an object of lists: name where its `rows` are")
    return content


def _json_document(path: Path) -> Any:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise InvalidRow(f"it is longer than {_MAX_JSON_BYTES // 10**6} MB: use JSON lines (.jsonl)")
    try:
        return parse_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise InvalidRow(f"it is not JSON: {error}") from error


def to_text(value: Any) -> str | None:
    """Return a value of JSON as the text of a cell; lists and objects as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | Mapping) else str(value)


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns of a Parquet file. Raises ``InvalidRow`` if it is not one."""
    from pyarrow import parquet

    with parquet_errors():
        return list(parquet.read_schema(path).names)


def read_parquet(path: Path, file: str, columns: Collection[str]) -> pa.Table:
    """Return columns of a Parquet file as text. Raises ``InvalidRow``.

    Lists and groups are JSON, class labels are the names that the file's features give them, and media are the names
    of their cells as members of ``file``.
    """
    from pyarrow import parquet

    with parquet_errors(), parquet.ParquetFile(path) as opened:
        media = set(media_columns(opened.schema_arrow))
        table = opened.read(columns=[name for name in columns if name not in media])
        names = _class_names(opened.schema_arrow)
        texts = {name: _cell_names(opened, name, file) for name in columns if name in media}
        texts |= {name: _column_to_text(_named(table[name], names.get(name))) for name in table.column_names}
        return pa.table({name: texts[name] for name in columns})


def _cell_names(opened: Any, column: str, file: str) -> pa.Array:
    names = (
        cell.name if cell.data is None or cell.name is None else f"{file}{MEMBER}{cell.name}"
        for cell in read_cells(opened, column)
    )
    return pa.array(names, pa.string())


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names of class labels by column, as ``datasets`` writes them into a file; empty if it did not."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names_by_column = {name: _class_feature(feature) for name, feature in features.items()}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}
    return {name: names for name, names in names_by_column.items() if names}


def _class_feature(feature: Any) -> list[str] | None:
    """Return the names of a class label, or of a list of them."""
    while isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    while isinstance(feature, Mapping) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        feature = feature.get("feature")
    if not isinstance(feature, Mapping) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    return [str(name) for name in names] if isinstance(names, list) else None


def _named(column: pa.ChunkedArray, names: list[str] | None) -> pa.ChunkedArray:
    """Return a column with names in place of the numbers of class labels; -1 stands for no label."""
    if names is None:
        return column
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        if not pa.types.is_integer(column.type.value_type):
            return column
        rows = [None if row is None else [_name(number, names) for number in row] for row in column.to_pylist()]
        return pa.chunked_array([pa.array(rows, pa.list_(pa.string()))])
    if not pa.types.is_integer(column.type):
        return column
    is_named = pc.and_(pc.greater_equal(column, 0), pc.less(column, len(names)))
    label_names = pa.array(names, pa.string()).take(pc.if_else(is_named, column, None))
    return pc.coalesce(label_names, pc.if_else(pc.equal(column, -1), None, column.cast(pa.string())))


def _name(number: int | None, names: list[str]) -> str | None:
    if number is None or number == -1:
        return None
    return names[number] if 0 <= number < len(names) else str(number)


def _column_to_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _column_to_text(column.cast(kind.value_type))
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind):
        return pa.chunked_array([pa.array([to_text(value) for value in column.to_pylist()], pa.string())])
    if pa.types.is_duration(kind):
        nanoseconds = pc.cast(column.cast(pa.duration("ns")), pa.int64())
        return pa.chunked_array([pa.array([_seconds(value) for value in nanoseconds.to_pylist()], pa.string())])
    return column.cast(pa.string())


def _seconds(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else format(Decimal(nanoseconds).scaleb(-9).normalize(), "f")
