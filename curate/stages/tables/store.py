"""Store judgements of tables as acts in ``annotations``."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import __version__
from curate.annotation.importing.acts import ORIGIN, NewActs, new_acts
from curate.annotation.importing.holding import CONTEXT_COLUMNS, Held, hold_to_items, needs_items
from curate.annotation.importing.rows import KEY
from curate.corpus.tombstones import Tombstones
from curate.corpus.view import Corpus
from curate.errors import StorageFailed
from curate.files import digest, read_json_object, sha256_of_file, write_whole
from curate.sentences import count_of, verb_of
from curate.stages.capabilities import Judged
from curate.stages.contract import Receipt, Tools

if TYPE_CHECKING:
    import polars as pl


_NOTE = ".judgements.json"


def store_judgements(corpus: Corpus, tools: Tools) -> Receipt:
    """Bring ``annotations`` to what the tables of the recipe hold now, in one transaction.

    Tables that are as they were last time are not read again, unless items or judgements have changed since.
    """
    stages = [stage for stage in tools.stages if isinstance(stage, Judged) and stage.has_judgements]
    if not stages:
        return Receipt(False, {})
    path = corpus.workspace.local / _NOTE
    note = read_json_object(path)
    if note.get("key") is not None and note.get("key") == _key(stages, corpus, tools):
        return Receipt(False, {"judgements": note["judgements"], "new": 0}, note["message"])
    receipt = _store(stages, corpus, tools)
    with suppress(StorageFailed):  # then the next run only takes longer
        state = {"key": _key(stages, corpus, tools), "message": receipt.message}
        write_whole(path, json.dumps({**state, "judgements": receipt.counts["judgements"]}))
    return receipt


def _key(stages: Sequence[Judged], corpus: Corpus, tools: Tools) -> str | None:
    """Return a hash of all that decides what ``_store`` does; None if it cannot be known."""
    files = [stage.judgement_files(tools) for stage in stages]
    try:
        hashes = [[sha256_of_file(path) for path in paths] for paths in files if paths is not None]
    except OSError:
        return None
    if len(hashes) < len(files):
        return None
    identities = [stage.identity(tools) for stage in stages]
    state = corpus.table("annotations").state()
    return digest([__version__, corpus.labels.sha256, identities, hashes, corpus.fingerprint(), state])


def _store(stages: Sequence[Judged], corpus: Corpus, tools: Tools) -> Receipt:
    judgements_by_stage = [(stage.collection, stage.judgements(tools)) for stage in stages]
    read = [(collection, rows) for collection, rows in judgements_by_stage if rows is not None]
    tables = [(collection, rows.table) for collection, rows in read]
    left_out = sum((Counter(rows.left_out) for _, rows in read), Counter[str]())
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
    repeated = sum(change.repeated for change in changes)
    misfits = [sentence for change in changes for sentence in change.misfits]
    counts = {"judgements": judged - without - repeated - len(misfits), "new": sum(change.new for change in changes)}
    messages = []
    if without:
        items = sum(change.items_without for change in changes)
        verb = verb_of(without, "is", "are")
        lost = f"{count_of(without, 'judgement')} in tables {verb} of {count_of(items, 'item')} that no stage kept"
        messages.append(f"{lost}: `curate status --rejected`")
    if repeated:
        verb = verb_of(repeated, "repeats", "repeat")
        again = f"{count_of(repeated, 'judgement')} in tables {verb} one of the same rater and item"
        messages.append(f"{again}: the first counts")
    if outside := sum(change.outside for change in changes):
        verb = verb_of(outside, "marks", "mark")
        messages.append(f"{count_of(outside, 'judgement')} in tables {verb} time outside of the item: that is left out")
    if misfits:
        verb = verb_of(len(misfits), "marks", "mark")
        messages.append(f"{count_of(len(misfits), 'judgement')} {verb} what is not in the item: {misfits[0]}")
    if left_out:
        messages.append(f"left out of exports: {listed_counts(left_out)}")
    return Receipt(bool(counts["new"]), counts, "; ".join(messages))


def listed_counts(left_out: Mapping[str, int]) -> str:
    """Return what is left out of exports in words, the most first."""
    ordered = sorted(left_out.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{count:,} {name}" for name, count in ordered)


def changes_of(corpus: Corpus, judgements: pa.Table, items: pa.Table, *, origin: str, withdraws: bool) -> NewActs:
    """Return the acts that ``annotations`` lacks of these judgements, but for forgotten raters.

    ``items`` has ``item_id`` and ``key``.
    """
    stored = corpus.table("annotations").read(matching=("server", [origin]))
    now = datetime.now(UTC)
    is_forgotten = Tombstones.read(corpus.workspace).forgotten_rows(judgements.select(["annotator"]))
    held = _held(corpus, judgements.filter(pc.invert(is_forgotten)), items)
    acts = new_acts(held.judgements, items, stored, corpus.labels, origin=origin, now=now, withdraws=withdraws)
    return acts._replace(misfits=held.misfits, outside=held.outside)


def _held(corpus: Corpus, judgements: pa.Table, items: pa.Table) -> Held:
    rows: dict[str, Mapping[str, Any]] = {}
    if needs_items(judgements, corpus.labels):
        contexts = {item["item_id"]: item for item in corpus.read("items", CONTEXT_COLUMNS).to_pylist()}
        keys = zip(items["key"].to_pylist(), items["item_id"].to_pylist(), strict=True)
        rows = {key: contexts[item_id] for key, item_id in keys if item_id in contexts}
    return hold_to_items(judgements, rows, corpus.labels)


def append(corpus: Corpus, changes: list[NewActs]) -> None:
    """Append acts in one transaction."""
    rows = pa.concat_tables([change.rows for change in changes])
    corpus.table("annotations").commit(rows, metadata={"stage": "annotate", "from": ORIGIN})


def keyed_items(corpus: Corpus, collection: str | None) -> pa.Table:
    """Return ``item_id`` and ``key`` of the items of a collection: their ids in its tables, or else their raw files."""
    sources = corpus.read("sources", ["source_id", "key", "file", "collection"])
    is_own = pc.is_null(sources["collection"]) if collection is None else pc.equal(sources["collection"], collection)
    named = _named(corpus, sources.filter(pc.fill_null(is_own, False)), ("key", "file"))
    unambiguous = named.filter(named["items"] == 1)
    return pa.table(
        {
            name: unambiguous[column].to_arrow().cast(pa.string())
            for name, column in (("item_id", "item_id"), ("key", KEY))
        }
    )


def named_items(corpus: Corpus, *, with_texts: bool = False) -> "pl.DataFrame":
    """Return the names that items go by (``KEY``), one ``item_id`` of each, and how many ``items`` share the name.

    An item goes by its id, its id in the tables of its corpus, its raw file, and the last part of that file's path;
    with ``with_texts``, also by its text.
    """
    import polars as pl

    named = _named(corpus, corpus.read("sources", ["source_id", "key", "file"]), ("key", "file", "name"))
    items = pl.DataFrame(corpus.read("items", ["item_id", "text"] if with_texts else ["item_id"]))
    by_id = items.select(pl.col("item_id").alias(KEY), "item_id", pl.lit(1, pl.UInt32).alias("items"))
    every = pl.concat([by_id, named.join(by_id, on=KEY, how="anti")])
    if not with_texts:
        return every
    texts = items.select(pl.col("text").str.strip_chars().alias(KEY), "item_id").filter(pl.col(KEY).str.len_bytes() > 0)
    by_text = texts.group_by(KEY).agg(pl.col("item_id").min(), pl.len().cast(pl.UInt32).alias("items"))
    return pl.concat([every, by_text.join(every, on=KEY, how="anti")])


def _named(corpus: Corpus, sources: pa.Table, kinds: Sequence[str]) -> "pl.DataFrame":
    import polars as pl

    rows = pl.DataFrame(sources).with_columns(pl.col("file").str.split("/").list.last().alias("name"))
    items = pl.DataFrame(corpus.read("items", ["item_id", "source_id", "key"]))
    joined = items.join(rows, on="source_id", suffix=" of source")
    # A stretch of a recording has a key of its own; without one, an item has that of its source.
    joined = joined.with_columns(pl.coalesce("key", "key of source").alias("key"))
    pairs = pl.concat([joined.select(pl.col(kind).alias(KEY), "item_id") for kind in kinds]).drop_nulls().unique()
    return pairs.group_by(KEY).agg(pl.col("item_id").min(), pl.len().cast(pl.UInt32).alias("items"))
