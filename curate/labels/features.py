"""Hugging Face features: how a released value is described, and the one Arrow type that follows from it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

Feature = dict[str, Any]
"""A feature as the ``datasets`` library writes it to JSON; a plain dict of features is a struct."""

_SCALARS: dict[str, pa.DataType] = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
}
_FILE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


def scalar(dtype: str) -> Feature:
    """Return the feature of a plain value."""
    return {"dtype": dtype, "_type": "Value"}


def list_of(feature: Feature) -> Feature:
    """Return the feature of a list."""
    return {"feature": feature, "_type": "List"}


def class_label(names: Sequence[str]) -> Feature:
    """Return the feature of a label, which is stored as its index in ``names``."""
    return {"names": list(names), "_type": "ClassLabel"}


def arrow_type(feature: Feature) -> pa.DataType:
    """Return the only Arrow type under which ``datasets`` recognises a feature."""
    match feature.get("_type"):
        case "Value":
            return _SCALARS[feature["dtype"]]
        case "ClassLabel":
            return pa.int64()
        case "Audio" | "Image" | "Video":
            return _FILE
        case "List":
            length = feature.get("length", -1)
            return pa.list_(arrow_type(feature["feature"]), length)
        case _:
            return pa.struct([pa.field(name, arrow_type(member)) for name, member in feature.items()])


def to_class_ids(entries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entries with the index of each ``label`` in ``names``, None for none.

    Raises ``ValueError`` for unknown labels.
    """
    return [{**entry, "label": None if entry["label"] is None else names.index(entry["label"])} for entry in entries]


def from_class_ids(entries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entries that ``to_class_ids`` was given."""
    return [{**entry, "label": None if entry["label"] is None else names[entry["label"]]} for entry in entries]
