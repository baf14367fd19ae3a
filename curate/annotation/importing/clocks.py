"""Bring the times of judgements from the clock of the recording to that of the item, and cut them at its ends."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.importing.rows import CLOCK, KEY, RECORDING
from curate.labels import LabelSchema, to_context

CONTEXT_COLUMNS = ("item_id", "start_s", "end_s", "layout", "frame_rate_hz")
"""The columns of ``items`` that decide where something is in an item."""


class TimedJudgements(NamedTuple):
    """Judgements whose times count from the start of their items, and how many marked something outside of these."""

    table: pa.Table
    outside: int


def has_recording_times(judgements: pa.Table) -> bool:
    """Return whether any judgement has times of its recording."""
    return bool(pc.any(pc.equal(judgements[CLOCK], RECORDING)).as_py())


def to_item_times(judgements: pa.Table, items: Mapping[str, Mapping[str, Any]], labels: LabelSchema) -> TimedJudgements:
    """Return judgements with the times of their items, which are rows with ``CONTEXT_COLUMNS`` by key.

    What lies outside an item is left out, and a judgement of which nothing is left. Those of no item stay as they are.
    """
    rows = pc.indices_nonzero(pc.fill_null(pc.equal(judgements[CLOCK], RECORDING), False)).to_pylist()
    keys = judgements[KEY].to_pylist()
    is_kept = [True] * judgements.num_rows
    outside: set[int] = set()
    columns: dict[str, Any] = {}
    for name, field in labels.fields.items():
        timed = [row for row in rows if judgements[name][row].is_valid and keys[row] in items]
        if not timed:
            continue
        values = judgements[name].to_pylist()
        for row in timed:
            item, before = items[keys[row]], values[row]
            try:
                values[row] = field.within(before, to_context(item), start_s=item["start_s"] or 0.0)
            except ValueError:
                values[row] = None
            if values[row] is None or _size(values[row]) < _size(before):
                outside.add(row)
            is_kept[row] = values[row] is not None
        columns[name] = pa.array(values, field.arrow_type)
    table = pa.table({name: columns.get(name, judgements[name]) for name in judgements.column_names})
    return TimedJudgements(table.filter(pa.array(is_kept)), len(outside))


def _size(value: Any) -> int:
    """Return of how many parts a value consists."""
    parts = value["values"] if isinstance(value, Mapping) else value
    return sum(part is not None for part in parts)
