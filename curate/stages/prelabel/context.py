"""What models see around an item: the turns of its conversation, and the pool of corrected items."""

from collections import defaultdict
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.view import Corpus
from curate.llm.prompts.examples import ExamplePool, build_pool
from curate.stages.capabilities import Dividing
from curate.stages.contract import Tools
from curate.stages.divide import planned_splits
from curate.stages.prelabel.settings import ContextSettings

Row = dict[str, Any]
AROUND = ("around", "around_turn")
"""The columns that ``with_neighbours`` adds."""
_TURNS = pa.list_(pa.struct([("turn", pa.int32()), ("speaker", pa.string()), ("text", pa.string())]))
_COLUMNS = ("item_id", "source_id", "start_s", "speaker", "text", "dialogue")


class _TimedRow(NamedTuple):
    start_s: float
    item_id: str
    row_index: int


def with_neighbours(items: pa.Table, settings: ContextSettings) -> pa.Table:
    """Return the items with the turns around each in its source, and which of those turns is the item's.

    Both are null for items that have a dialogue themselves or no neighbours.
    """
    rows = items.select(list(_COLUMNS)).to_pylist()
    by_source: dict[str, list[_TimedRow]] = defaultdict(list)
    for index, row in enumerate(rows):
        if row["text"] and row["start_s"] is not None:
            by_source[row["source_id"]].append(_TimedRow(row["start_s"], row["item_id"], index))
    around: list[list[Row] | None] = [None] * len(rows)
    item_turns: list[int | None] = [None] * len(rows)
    for timed_rows in by_source.values():
        timed_rows.sort()
        for position, (_, _, index) in enumerate(timed_rows):
            first = max(0, position - settings.before)
            window = timed_rows[first : position + settings.after + 1]
            if len(window) > 1 and not rows[index]["dialogue"]:
                around[index] = [
                    {"turn": turn, "speaker": rows[timed.row_index]["speaker"], "text": rows[timed.row_index]["text"]}
                    for turn, timed in enumerate(window)
                ]
                item_turns[index] = position - first
    columns = zip(AROUND, (pa.array(around, _TURNS), pa.array(item_turns, pa.int32())), strict=True)
    for name, column in columns:
        items = items.append_column(name, column)
    return items


def open_pool(corpus: Corpus, tools: Tools) -> ExamplePool:
    """Return the items that people labelled, without those of the split that models are tested on."""
    label_rows = [row for row in corpus.read("labels").to_pylist() if row["label_source"] == "human"]
    if not label_rows:
        return build_pool(tools.labels, (), ())
    items, sources = corpus.read("items"), corpus.read("sources")
    planned = planned_splits(corpus, tools)
    held_out = next((stage.held_out for stage in tools.stages if isinstance(stage, Dividing)), ())
    splits = None
    if planned is not None:
        splits = dict(zip(planned["item_id"].to_pylist(), planned["split"].to_pylist(), strict=True))
    labelled_ids = pa.array(sorted({row["item_id"] for row in label_rows}), pa.string())
    labelled = items.filter(pc.is_in(items["item_id"], value_set=labelled_ids)).to_pylist()
    participants = dict(zip(sources["source_id"].to_pylist(), sources["participant"].to_pylist(), strict=True))
    with_participants = [{**row, "participant": participants.get(row["source_id"])} for row in labelled]
    return build_pool(tools.labels, with_participants, label_rows, splits=splits, held_out=held_out)
