"""The columns of each table: the YAML files of ``schemas/tables`` as Arrow schemas."""

import re
from functools import cache
from typing import NamedTuple

import pyarrow as pa
import yaml

from curate.assets import shipped_folder
from curate.labels import LabelSchema, compile_arrow
from curate.storage.delta import Table, TableSpec
from curate.storage.workspace import Workspace

_SCALARS: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
}


class _TableFile(NamedTuple):
    schema: pa.Schema
    key: str
    parent: str
    repeats: str | None
    per_label_schema: bool


def table_spec(name: str, labels: LabelSchema) -> TableSpec:
    """Return the spec of table ``name``. A table that carries labels has a column for each field of the label schema.

    Raises ``ValueError`` if there is no such table.
    """
    file = _load(name)
    if not file.per_label_schema:
        return TableSpec(name, file.schema, file.key)
    return TableSpec(name, pa.schema([*file.schema, *compile_arrow(labels)]), file.key, labels.name)


def table_columns(name: str) -> pa.Schema:
    """Return the columns that table ``name`` has under every label schema."""
    return _load(name).schema


def open_table(workspace: Workspace, name: str, labels: LabelSchema) -> Table:
    """Open table ``name`` of a workspace, with the columns of the label schema if it carries labels."""
    return workspace.table(table_spec(name, labels))


def parent_column(name: str) -> str:
    """Return the column with the id of the input that a row of table ``name`` was made from."""
    return _load(name).parent


def repeats_column(name: str) -> str | None:
    """Return the column that marks a row of table ``name`` as a repeat of another, to be left out; or None."""
    return _load(name).repeats


@cache
def _load(name: str) -> _TableFile:
    path = shipped_folder("schemas") / "tables" / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"there is no table {name!r}")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    columns = [pa.field(column, parse_type(details["type"])) for column, details in values["columns"].items()]
    return _TableFile(
        pa.schema(columns),
        values["key"],
        values["parent"],
        values.get("repeats"),
        bool(values.get("per_label_schema")),
    )


def parse_type(text: str) -> pa.DataType:
    """Parse an Arrow type, such as ``string``, ``list<float32>`` or ``struct<a: string, b: list<int32>>``."""
    text = text.strip()
    if text in _SCALARS:
        return _SCALARS[text]
    if match := re.fullmatch(r"list<(.+)>", text, re.DOTALL):
        return pa.list_(parse_type(match[1]))
    if match := re.fullmatch(r"struct<(.+)>", text, re.DOTALL):
        members = (part.partition(":") for part in _split_members(match[1]))
        return pa.struct([pa.field(name.strip(), parse_type(kind)) for name, _, kind in members])
    raise ValueError(f"{text!r} is not a column type")


def _split_members(text: str) -> list[str]:
    """Return the members of a struct, split at the commas outside of angle brackets."""
    members, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += {"<": 1, ">": -1}.get(char, 0)
        if char == "," and depth == 0:
            members.append(text[start:index])
            start = index + 1
    return [*members, text[start:]]
