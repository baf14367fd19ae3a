"""Hold labelled places in judgements to the items that they are about: their text, length and picture."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.importing.rows import KEY, LINE
from curate.annotation.importing.settings import FILE_COLUMN
from curate.labels import Field, LabelSchema, to_context
from curate.labels.fields.marks import to_marks

CONTEXT_COLUMNS = (
    "item_id",
    "text",
    "dialogue",
    "start_s",
    "end_s",
    "layout",
    "frame_rate_hz",
    "width_px",
    "height_px",
)
"""The columns of ``items`` that decide whether a place is in an item."""


def column_type(field: Field) -> pa.DataType:
    """Return the type of a field's answers in judgements; labelled places are JSON until they are held to items."""
    return pa.string() if field.marked_taxonomy is not None else field.arrow_type


def to_cell(value: Any, field: Field) -> Any:
    """Return a checked value of a field as ``column_type`` holds it."""
    return value if field.marked_taxonomy is None else json.dumps(value, ensure_ascii=False)


def has_marks(judgements: pa.Table, labels: LabelSchema) -> bool:
    """Return whether judgements hold labelled places."""
    return any(judgements[name].null_count < judgements.num_rows for name in _marked(labels))


class Held(NamedTuple):
    """Judgements whose places are in their items, and a sentence for each of the others."""

    judgements: pa.Table
    misfits: tuple[str, ...]


def hold_to_items(judgements: pa.Table, items: Mapping[str, Mapping[str, Any]], labels: LabelSchema) -> Held:
    """Return judgements with labelled places as values of their fields; one with a place outside its item is left out.

    ``items`` has rows with ``CONTEXT_COLUMNS`` by the key of judgements. Judgements of other items keep no places,
    since nothing can be said of them; they are left out later.
    """
    misfits: list[str] = []
    fits = [True] * judgements.num_rows
    columns: dict[str, pa.Array] = {}
    for name in _marked(labels):
        field = labels.fields[name]
        values: list[Any] = [None] * judgements.num_rows
        for row in pc.indices_nonzero(judgements[name].is_valid()).to_pylist():
            item = items.get(judgements[KEY][row].as_py())
            if item is None:
                continue
            try:
                values[row] = _value(judgements[name][row].as_py(), field, item)
            except ValueError as error:
                fits[row] = False
                place = f"{judgements[FILE_COLUMN][row].as_py()}#{judgements[LINE][row].as_py()}:{name}"
                misfits.append(f"{place}: {error}")
        columns[name] = pa.array(values, field.arrow_type)
    table = pa.table({name: columns.get(name, judgements[name]) for name in judgements.column_names})
    return Held(table.filter(pa.array(fits)) if misfits else table, tuple(misfits))


def _value(text: str, field: Field, item: Mapping[str, Any]) -> Any:
    value, context = json.loads(text), to_context(item)
    marked = to_marks(value)
    if marked is None:
        return field.check(value, context)
    # Exports count time from the start of a file, of which the item may be a part.
    start_s = item.get("start_s") or 0.0
    return field.from_marks(marked._replace(marks=tuple(mark.since(start_s) for mark in marked.marks)), context)


def _marked(labels: LabelSchema) -> list[str]:
    return [name for name, field in labels.fields.items() if field.marked_taxonomy is not None]
