"""The items of a corpus as cards: face, place, words, the proposal and the label."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.view import Corpus
from curate.labels import LabelSchema
from curate.report.page import show_span, thumbnail

MAX_ITEMS = 200

Row = dict[str, Any]


_COLUMNS = ("item_id", "layout", "start_s", "end_s", "speaker", "text", "face")


def item_cards(corpus: Corpus, tables: Mapping[str, pa.Table]) -> Mapping[str, Any]:
    """Return cards of at most 200 items, evenly spaced over the corpus, and the total number of items.

    The words and labels of no other items are read.
    """
    sources, items = tables["sources"], tables["items"]
    has_title = pc.greater(pc.utf8_length(pc.fill_null(sources["title"], "")), 0)
    titles = pc.if_else(has_title, sources["title"], sources["file"])
    source_indices = pc.index_in(items["source_id"], value_set=sources["source_id"])
    keys = pa.table(
        {"title": titles.take(source_indices), "start_s": pc.fill_null(items["start_s"], 0.0), "id": items["item_id"]}
    )
    order = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
    chosen = keys.take(order.take(pa.array(_spread(len(order), MAX_ITEMS), pa.int64())))
    ids, fields = chosen["id"].to_pylist(), tuple(corpus.labels.fields)
    rows = {row["item_id"]: row for row in corpus.read("items", _COLUMNS, where=("item_id", ids)).to_pylist()}
    labels = corpus.read("labels", ("item_id", "label_source", *fields), where=("item_id", ids)).to_pylist()
    by_item = {row["item_id"]: row for row in labels}
    columns = ("item_id", "final", "outcome", "detail", *fields)
    prelabels = corpus.read("prelabels", columns, where=("item_id", ids))
    failures = prelabels.filter(pc.fill_null(prelabels["final"], False)).to_pylist()
    proposals = {row["item_id"]: row for row in [*failures, *reversed(final_proposals(prelabels).to_pylist())]}
    cards = [
        _card(rows[item_id], title, by_item.get(item_id, {}), proposals.get(item_id, {}), corpus)
        for item_id, title in zip(ids, chosen["title"].to_pylist(), strict=True)
    ]
    return {"cards": cards, "total": len(order)}


def final_proposals(prelabels: pa.Table) -> pa.Table:
    """Return the usable proposals that count for their items."""
    return prelabels.filter(pc.and_(pc.fill_null(prelabels["final"], False), pc.equal(prelabels["outcome"], "ok")))


def rows_with(table: pa.Table, column: str, values: Iterable[str]) -> pa.Table:
    """Return the rows whose column has one of the values."""
    return table.filter(pc.is_in(table[column], value_set=pa.array(list(values), pa.string())))


def _spread(count: int, limit: int) -> list[int]:
    """Return at most ``limit`` indices, evenly spaced."""
    return list(range(count)) if count <= limit else [i * count // limit for i in range(limit)]


def _card(item: Row, title: str | None, label: Row, proposal: Row, corpus: Corpus) -> Row:
    failure = ""
    if proposal.get("outcome", "ok") != "ok":
        failure = ": ".join(filter(None, [proposal["outcome"], proposal["detail"]]))
    return {
        "picture": thumbnail(item["face"], corpus.workspace.blobs),
        "is_visual": bool(item["face"]) or item["layout"] in ("video", "image"),
        "place": list(filter(None, [title, show_span(item), item["speaker"]])),
        "source": label.get("label_source") or "none",
        "text": item["text"],
        "entries": label_entries(label, proposal, corpus.labels),
        "failure": failure,
    }


def label_entries(label: Row, proposal: Row, schema: LabelSchema) -> list[Row]:
    """Return the fields with a label or a proposal, both as words; a proposal that equals the label is left out."""
    entries = []
    for name, field in schema.fields.items():
        final, proposed = label.get(name), proposal.get(name)
        if final is not None or proposed is not None:
            entries.append(
                {
                    "name": name,
                    "label": field.show(final) if final is not None else [],
                    "proposal": field.show(proposed) if proposed not in (None, final) else [],
                }
            )
    return entries
