"""What models see around an item: the turns of its conversation, and the pool of corrected items."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.sessions import SessionFile
from curate.corpus.view import Corpus
from curate.llm.prompts.examples import ExamplePool, build_pool
from curate.media.words.sentences import normalize_text
from curate.stages.capabilities import Dividing
from curate.stages.contract import Tools
from curate.stages.divide import planned_splits
from curate.stages.prelabel.settings import ContextSettings

Row = dict[str, Any]
AROUND = ("around", "around_turn")
"""The columns that ``with_neighbours`` adds."""
_TURNS = pa.list_(pa.struct([("turn", pa.int32()), ("speaker", pa.string()), ("text", pa.string())]))
_SAME_TURN_S = 1.0
_COLUMNS = ("item_id", "source_id", "start_s", "speaker", "text", "dialogue")


class _TimedRow(NamedTuple):
    start_s: float
    item_id: str
    row_index: int


def with_neighbours(
    items: pa.Table, settings: ContextSettings, sessions: Mapping[str, SessionFile] = MappingProxyType({})
) -> pa.Table:
    """Return the items with the turns around each in its source, and which of those turns is the item's.

    Turns of all files of a session are one conversation, in the order of their common clock; what two microphones heard
    is there once. Both columns are null for items that have a dialogue themselves or no neighbours.
    """
    rows = items.select(list(_COLUMNS)).to_pylist()
    conversations: dict[tuple[str, str], list[_TimedRow]] = defaultdict(list)
    for index, row in enumerate(rows):
        if row["text"] and row["start_s"] is not None:
            own = sessions.get(row["source_id"])
            key = ("session", own.session) if own else ("source", row["source_id"])
            start_s = row["start_s"] + (own.offset_s if own else 0.0)
            conversations[key].append(_TimedRow(start_s, row["item_id"], index))
    around: list[list[Row] | None] = [None] * len(rows)
    item_turns: list[int | None] = [None] * len(rows)
    for timed_rows in conversations.values():
        timed_rows.sort()
        turns, turn_of = _distinct_turns(timed_rows, rows)
        for timed, position in zip(timed_rows, turn_of, strict=True):
            first = max(0, position - settings.before)
            window = turns[first : position + settings.after + 1]
            if len(window) > 1 and not rows[timed.row_index]["dialogue"]:
                around[timed.row_index] = [
                    {"turn": turn, "speaker": rows[other.row_index]["speaker"], "text": rows[other.row_index]["text"]}
                    for turn, other in enumerate(window)
                ]
                item_turns[timed.row_index] = position - first
    columns = zip(AROUND, (pa.array(around, _TURNS), pa.array(item_turns, pa.int32())), strict=True)
    for name, column in columns:
        items = items.append_column(name, column)
    return items


def _distinct_turns(timed_rows: Sequence[_TimedRow], rows: Sequence[Row]) -> tuple[list[_TimedRow], list[int]]:
    """Return the turns, without those that another file has in the same words then, and which of them each row is."""
    turns: list[_TimedRow] = []
    turn_of: list[int] = []
    for timed in timed_rows:
        row = rows[timed.row_index]
        position = len(turns)
        while position > 0 and timed.start_s - turns[position - 1].start_s <= _SAME_TURN_S:
            position -= 1
            earlier = rows[turns[position].row_index]
            is_other_file = earlier["source_id"] != row["source_id"]
            if is_other_file and normalize_text(earlier["text"]) == normalize_text(row["text"]):
                break
        else:
            position = len(turns)
            turns.append(timed)
        turn_of.append(position)
    return turns, turn_of


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
