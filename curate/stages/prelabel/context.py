"""What a labeller is told round an item: the turns of its conversation, and items that people have corrected."""

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.splits import split_items
from curate.corpus.view import Corpus
from curate.llm.prompts.examples import ExamplePool, build_pool
from curate.release.versions import Releases
from curate.stages.contract import Tools
from curate.stages.prelabel.settings import ContextSettings

Row = dict[str, Any]
AROUND = ("around", "around_turn")
"""The columns that ``with_neighbours`` adds."""
_TURNS = pa.list_(pa.struct([("turn", pa.int32()), ("speaker", pa.string()), ("text", pa.string())]))
_NEEDED = ("item_id", "source_id", "start_s", "speaker", "text", "dialogue")


def with_neighbours(items: pa.Table, settings: ContextSettings) -> pa.Table:
    """The items with what is said round each in its source, and which turn of that is its own.

    Null for items that have a dialogue of their own, or that stand alone.
    """
    rows = items.select(list(_NEEDED)).to_pylist()
    by_source: dict[str, list[tuple[float, str, int]]] = defaultdict(list)
    for at, row in enumerate(rows):
        if row["text"] and row["start_s"] is not None:
            by_source[row["source_id"]].append((row["start_s"], row["item_id"], at))
    around: list[list[Row] | None] = [None] * len(rows)
    own: list[int | None] = [None] * len(rows)
    for places in by_source.values():
        places.sort()
        for number, (_, _, at) in enumerate(places):
            first = max(0, number - settings.before)
            near = places[first : number + settings.after + 1]
            if len(near) > 1 and not rows[at]["dialogue"]:
                shown = [rows[place] for *_, place in near]
                around[at] = [
                    {"turn": k, "speaker": row["speaker"], "text": row["text"]} for k, row in enumerate(shown)
                ]
                own[at] = number - first
    columns = zip(AROUND, (pa.array(around, _TURNS), pa.array(own, pa.int32())), strict=True)
    for name, column in columns:
        items = items.append_column(name, column)
    return items


def open_pool(corpus: Corpus, tools: Tools) -> ExamplePool:
    """The items whose label people gave, to take examples from; none of the split that models are tested on."""
    judged = [row for row in corpus.read("labels").to_pylist() if row["label_source"] == "human"]
    if not judged:
        return build_pool(tools.labels, (), ())
    items, sources = corpus.read("items"), corpus.read("sources")
    splits = None
    if tools.split is not None:
        releases = Releases(corpus.workspace.releases)
        earlier = releases.earlier_splits(corpus.workspace.recipe or "corpus", tools.split.identity)
        splits = split_items(items, sources, tools.split, earlier)
    known = {row["item_id"] for row in judged}
    people = dict(zip(sources["source_id"].to_pylist(), sources["participant"].to_pylist(), strict=True))
    labelled = items.filter(pc.is_in(items["item_id"], value_set=pa.array(sorted(known), pa.string()))).to_pylist()
    told = [{**row, "participant": people.get(row["source_id"])} for row in labelled]
    return build_pool(tools.labels, told, judged, splits=splits)
