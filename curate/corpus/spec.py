"""What a table looks like: the YAML files of ``schemas/tables`` as Arrow schemas."""

import re
from functools import cache
from typing import NamedTuple

import pyarrow as pa
import yaml

from curate.assets import shipped
from curate.labels import LabelSchema, compile_arrow

_SCALARS: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
}


class TableSpec(NamedTuple):
    """A table's name, Arrow schema, key column and the column that names the input a row came from."""

    name: str
    schema: pa.Schema
    key: str
    parent: str
    per_label_schema: bool


@cache
def table_names() -> tuple[str, ...]:
    """The names of all tables, in alphabetical order."""
    return tuple(sorted(path.stem for path in (shipped("schemas") / "tables").glob("*.yaml")))


def table_spec(name: str, labels: LabelSchema) -> TableSpec:
    """The table ``name``; those that carry labels get one column for each field of the label schema."""
    spec = _load(name)
    if not spec.per_label_schema:
        return spec
    return spec._replace(schema=pa.schema([*spec.schema, *compile_arrow(labels)]))


def parent_column(name: str) -> str:
    """The column that names the input a row of table ``name`` came from."""
    return _load(name).parent


@cache
def _load(name: str) -> TableSpec:
    text = (shipped("schemas") / "tables" / f"{name}.yaml").read_text(encoding="utf-8")
    raw = yaml.safe_load(text)
    columns = [pa.field(column, parse_type(about["type"])) for column, about in raw["columns"].items()]
    return TableSpec(name, pa.schema(columns), raw["key"], raw["parent"], bool(raw.get("per_label_schema")))


def parse_type(text: str) -> pa.DataType:
    """The Arrow type written as ``string``, ``list<float32>`` or ``struct<a: string, b: list<int32>>``."""
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
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += {"<": 1, ">": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]
