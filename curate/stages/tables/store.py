"""Store judgements of tables as acts in ``annotations``."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.importing.acts import ORIGIN, NewActs, new_acts
from curate.corpus.tombstones import Tombstones
from curate.corpus.view import Corpus
from curate.sentences import count_of, verb_of
from curate.stages.capabilities import Judged
from curate.stages.contract import Receipt, Tools


def store_judgements(corpus: Corpus, tools: Tools) -> Receipt:
    """Bring ``annotations`` to what the tables of the recipe hold now, in one transaction."""
    tables = [
        (stage.collection, judgements)
        for stage in tools.stages
        if isinstance(stage, Judged) and (judgements := stage.judgements(tools)) is not None
    ]
    if not tables:
        return Receipt(False, {})
    changes = [
        changes_of(
            corpus,
            pa.concat_tables([rows for name, rows in tables if name == collection]),
            keyed_items(corpus, collection),
            origin=f"{ORIGIN}:{collection or ''}",
            withdraws=True,
        )
        for collection in dict.fromkeys(name for name, _ in tables)
    ]
    append(corpus, changes)
    judged = sum(rows.num_rows for _, rows in tables)
    without = sum(change.without_item for change in changes)
    counts = {"judgements": judged - without, "new": sum(change.new for change in changes)}
    messages = []
    if without:
        items = sum(change.items_without for change in changes)
        verb = verb_of(without, "is", "are")
        lost = f"{count_of(without, 'judgement')} in tables {verb} of {count_of(items, 'item')} that no stage kept"
        messages.append(f"{lost}: `curate status --rejected`")
    return Receipt(bool(counts["new"]), counts, "; ".join(messages))


def changes_of(corpus: Corpus, judgements: pa.Table, items: pa.Table, *, origin: str, withdraws: bool) -> NewActs:
    """Return the acts that ``annotations`` lacks of these judgements, but for forgotten raters.

    ``items`` has ``item_id`` and ``key``.
    """
    stored = corpus.table("annotations").read(where=("server", [origin]))
    now = datetime.now(UTC)
    is_forgotten = Tombstones.read(corpus.workspace).forgotten_rows(judgements.select(["annotator"]))
    judgements = judgements.filter(pc.invert(is_forgotten))
    return new_acts(judgements, items, stored, corpus.labels, origin=origin, now=now, withdraws=withdraws)


def append(corpus: Corpus, changes: list[NewActs]) -> None:
    """Append acts in one transaction."""
    rows = pa.concat_tables([change.rows for change in changes])
    corpus.table("annotations").commit(rows, metadata={"stage": "annotate", "from": ORIGIN})


def keyed_items(corpus: Corpus, collection: str | None) -> pa.Table:
    """Return ``item_id`` and ``key`` of the items of tables of a collection; only whole sources are judged there."""
    items = corpus.read("items", ["item_id", "source_id"])
    sources = corpus.read("sources", ["source_id", "key", "collection"])
    is_own = pc.is_null(sources["collection"]) if collection is None else pc.equal(sources["collection"], collection)
    sources = sources.filter(pc.and_(is_own, pc.is_valid(sources["key"])))
    rows = pc.index_in(items["source_id"], value_set=sources["source_id"])
    items = items.append_column("key", sources["key"].take(rows)).filter(pc.is_valid(rows))
    return items.select(["item_id", "key"])
