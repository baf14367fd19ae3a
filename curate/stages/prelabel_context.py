"""What a labeller is told round an item: the turns of its conversation, and items that people have corrected."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from curate.stage import Tools
from curate.stages.prelabel_settings import ContextSettings
from curate.stages.splitting import splits_of
from curate.storage.corpus import Corpus

Row = dict[str, Any]
COLUMN = "context"
TURNS = pa.list_(pa.struct([("speaker", pa.string()), ("text", pa.string()), ("own", pa.bool_())]))
_NEEDED = ("item_id", "source_id", "start_s", "speaker", "text", "dialogue", "turn")


def with_context(items: pa.Table, settings: ContextSettings) -> pa.Table:
    """The items with a column ``context``: the turns round each in order, itself among them; null where it stands alone.

    The turns are those of the item's dialogue where it has one, else the items of its source in order of time.
    """
    rows = items.select(list(_NEEDED)).to_pylist()
    by_source: dict[str, list[tuple[float, str, int]]] = defaultdict(list)
    for at, row in enumerate(rows):
        if row["text"] and row["start_s"] is not None:
            by_source[row["source_id"]].append((row["start_s"], row["item_id"], at))
    for places in by_source.values():
        places.sort()
    contexts = [_turns(row, by_source[row["source_id"]], rows, settings) for row in rows]
    return items.append_column(COLUMN, pa.array(contexts, TURNS))


def _turns(
    row: Row, neighbours: Sequence[tuple[float, str, int]], rows: Sequence[Row], settings: ContextSettings
) -> list[Row] | None:
    if row["dialogue"]:
        turns = [{"speaker": t["speaker"], "text": t["text"], "own": t["turn"] == row["turn"]} for t in row["dialogue"]]
        own = next((at for at, turn in enumerate(turns) if turn["own"]), None)
    elif row["text"] and row["start_s"] is not None:
        own = bisect_left(neighbours, (row["start_s"], row["item_id"]))
        turns = []
        first, last = max(0, own - settings.before), own + settings.after + 1
        for _, item_id, at in neighbours[first:last]:
            turns.append(
                {"speaker": rows[at]["speaker"], "text": rows[at]["text"], "own": item_id == row["item_id"]}
            )
        return turns if len(turns) > 1 else None
    else:
        return None
    if own is None:
        return turns
    return turns[max(0, own - settings.before) : own + settings.after + 1]


def shown_turns(turns: Sequence[Row] | None) -> str:
    """Turns as lines, counted from 0 as answers about them count, the item's own marked; empty for none."""
    lines = []
    for number, turn in enumerate(turns or ()):
        name = f" {turn['speaker']}:" if turn["speaker"] else ""
        own = " (to be judged)" if turn.get("own") else ""
        lines.append(f"[{number}]{name} {turn['text']}{own}")
    return "\n".join(lines)


def corrected_items(corpus: Corpus, tools: Tools) -> list[Row]:
    """The items whose label people gave, with the label's fields, of no split but the one that models learn from.

    Splits are those of the recipe's release; the one to learn from is ``train``, else the first.
    """
    labels = corpus.read("labels", ["item_id", "label_source", *tools.labels.fields]).to_pylist()
    given = {row["item_id"]: row for row in labels if row["label_source"] == "human"}
    if not given:
        return []
    items = corpus.read("items")
    if tools.split is not None:
        splits = splits_of(items, corpus.read("sources"), corpus, tools.split)
        names = list(tools.split.ratios)
        learnt = "train" if "train" in names else names[0]
        given = {item_id: row for item_id, row in given.items() if splits.get(item_id) == learnt}
    return [{**item, **given[item["item_id"]]} for item in items.to_pylist() if item["item_id"] in given]
