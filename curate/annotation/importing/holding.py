"""Hold places in judgements to the items that they are about: their text, their time and their picture."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.importing.rows import CLOCK, KEY, LINE, RECORDING
from curate.annotation.importing.settings import FILE_COLUMN
from curate.labels import Field, LabelSchema, to_context
from curate.labels.fields.marks import to_marks

TIMED = ("ranges", "trace")
"""What fields compare whose values have times."""
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


def needs_items(judgements: pa.Table, labels: LabelSchema) -> bool:
    """Return whether judgements hold places, or times of a recording, which only their items can tell right."""
    has_places = any(judgements[name].null_count < judgements.num_rows for name in _marked(labels))
    return has_places or bool(pc.any(pc.equal(judgements[CLOCK], RECORDING)).as_py())


class Held(NamedTuple):
    """Judgements whose places are in their items, a sentence for each that has one elsewhere, and counts.

    ``outside`` counts judgements that marked time before or after their item: that is left out.
    """

    judgements: pa.Table
    misfits: tuple[str, ...]
    outside: int


def hold_to_items(judgements: pa.Table, items: Mapping[str, Mapping[str, Any]], labels: LabelSchema) -> Held:
    """Return judgements with places as values of their fields, and times that count from the start of their items.

    ``items`` has rows with ``CONTEXT_COLUMNS`` by the key of judgements. A judgement with a place that is not in its
    item is left out, and one of which no time is within its item. Judgements of other items keep no places, since
    nothing can be said of them; they are left out later.
    """
    misfits: list[str] = []
    outside: set[int] = set()
    is_kept = [True] * judgements.num_rows
    is_gone = [False] * judgements.num_rows
    keys, clocks = judgements[KEY].to_pylist(), judgements[CLOCK].to_pylist()
    columns: dict[str, pa.Array] = {}
    for name, field in labels.fields.items():
        is_marked = field.marked_taxonomy is not None
        judged = pc.indices_nonzero(judgements[name].is_valid()).to_pylist()
        is_timed = field.comparison in TIMED
        rows = [row for row in judged if keys[row] in items and (is_marked or (is_timed and clocks[row] == RECORDING))]
        if not is_marked and not rows:
            continue
        stored = judgements[name].to_pylist()
        values: list[Any] = [None] * len(stored) if is_marked else list(stored)
        for row in rows:
            try:
                value = json.loads(stored[row]) if is_marked else stored[row]
                values[row], is_cut = _within(value, field, items[keys[row]], clocks[row])
            except ValueError as error:
                is_kept[row] = False
                place = f"{judgements[FILE_COLUMN][row].as_py()}#{judgements[LINE][row].as_py()}:{name}"
                misfits.append(f"{place}: {error}")
                continue
            if is_cut:
                outside.add(row)
                is_gone[row] = is_gone[row] or values[row] is None
        columns[name] = pa.array(values, field.arrow_type)
    table = pa.table({name: columns.get(name, judgements[name]) for name in judgements.column_names})
    for row in (row for row, is_left_out in enumerate(is_gone) if is_left_out):
        is_kept[row] = is_kept[row] and any(table[name][row].is_valid for name in labels.fields)
    return Held(table.filter(pa.array(is_kept, pa.bool_())), tuple(misfits), len(outside))


def _within(value: Any, field: Field, item: Mapping[str, Any], clock: str | None) -> tuple[Any, bool]:
    """Return a value as its item has it, and whether some of it lies before or after the item. Raises ``ValueError``.

    Exports count time from the start of a recording, of which the item may be a part.
    """
    context = to_context(item)
    marked = to_marks(value)
    if marked is None and clock != RECORDING:
        return field.check(value, context), False
    whole = value if marked is None else field.from_marks(marked, context)
    part = field.within(whole, context, start_s=item.get("start_s") or 0.0)
    return part, part is None or _size(part) < _size(whole)


def _size(value: Any) -> int:
    """Return of how many parts a value consists."""
    parts = value.get("values", value.get("spans")) if isinstance(value, Mapping) else value
    return sum(part is not None for part in parts)


def _marked(labels: LabelSchema) -> list[str]:
    return [name for name, field in labels.fields.items() if field.marked_taxonomy is not None]
