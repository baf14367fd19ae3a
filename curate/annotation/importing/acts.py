"""Judgements of tables as rows of ``annotations``: new, changed and withdrawn ones, each once."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.importing.provenance import CREATED, PROVENANCE, SKIPPED, from_json
from curate.annotation.importing.rows import KEY
from curate.corpus.identity import json_rows
from curate.corpus.judgements import newest_acts, time_after, to_deletion
from curate.files import sha256_of
from curate.labels import LabelSchema

FIELDS = "<fields>"
"""The column of judgements with the fields that their table is about."""
_ORIGINS = pa.list_(pa.struct([("field", pa.string()), ("origin", pa.string())]))
ORIGIN = "table"
"""The server of judgements that come from tables."""
_READ = ("annotation_id", "judgement_id", "item_id", "action", "acted_at")


class NewActs(NamedTuple):
    """Rows to append to ``annotations``, and how many judgements are new, changed, withdrawn or without an item."""

    rows: pa.Table
    created: int = 0
    updated: int = 0
    deleted: int = 0
    without_item: int = 0
    items_without: int = 0
    """The ids in the tables that no item now has"""
    misfits: tuple[str, ...] = ()
    """A sentence for each judgement that is left out, since it marks something that is not in its item"""
    repeated: int = 0
    """Judgements of a named rater beyond the first of the same item, arm and fields"""
    outside: int = 0
    """Judgements that mark time outside of their item, of which that is left out"""

    @property
    def new(self) -> int:
        """The number of new acts."""
        return self.created + self.updated + self.deleted


def new_acts(
    judgements: pa.Table,
    items: pa.Table,
    stored: pa.Table,
    labels: LabelSchema,
    *,
    origin: str,
    now: datetime,
    withdraws: bool,
) -> NewActs:
    """Return what to append so that ``annotations`` (``stored``) holds these judgements, and nothing twice.

    ``stored`` has the acts of ``origin``; ``items`` has the columns ``item_id`` and ``key``. A judgement is identified
    by its item, rater, arm and fields, of which the first counts; one of an unnamed rater also by its answers, of which
    equal ones are counted. A judgement takes the place of an earlier one of the same rater, item and arm whose answers
    it gives with others, such as by a mapping that has come to read more. With ``withdraws``, judgements of the same
    ``origin`` that are no longer there count as deleted, unless their item is gone.
    """
    rows = pc.index_in(judgements[KEY], value_set=items["key"])
    lost = judgements.filter(pc.is_null(rows))
    judged = judgements.filter(pc.is_valid(rows))
    item_ids = items["item_id"].take(rows.drop_null())
    identified = _identified(judged, item_ids, labels, origin)
    acts = _first_of_each(identified)
    newest = newest_acts(stored)
    position = pc.index_in(acts["judgement_id"], value_set=newest["judgement_id"])
    is_new = pc.is_null(position)
    last_ids = newest["annotation_id"].take(position)
    # What is stored as it was first said needs no second look, which is nearly all in a run that repeats another.
    may_differ = pc.fill_null(pc.not_equal(last_ids, acts["annotation_id"]), False)
    changed: dict[int, Mapping[str, Any]] = {}
    for index in pc.indices_nonzero(may_differ).to_pylist():
        last = newest.select(_READ).slice(position[index].as_py(), 1).to_pylist()[0]
        if last["action"] == "deleted" or last["annotation_id"] != _later(last, acts["annotation_id"][index].as_py()):
            changed[index] = last
    parts = [acts.filter(is_new), _revised(acts, changed, now)]
    created, updated = parts[0].num_rows, len(changed)
    is_there = pc.is_in(newest["item_id"], value_set=items["item_id"])
    is_gone = pc.invert(pc.is_in(newest["judgement_id"], value_set=acts["judgement_id"]))
    is_live = pc.not_equal(newest["action"], "deleted")
    gone = newest.filter(pc.and_(pc.and_(is_gone, is_there), is_live)).select(acts.column_names)
    deleted = _deletions(gone if withdraws else _replaced(gone, acts, labels), labels, now)
    parts.append(deleted.cast(acts.schema))
    ids_without = len(lost[KEY].unique())
    repeated = identified.num_rows - acts.num_rows
    counts = (created, updated, deleted.num_rows, lost.num_rows, ids_without)
    return NewActs(pa.concat_tables(parts), *counts, repeated=repeated)


def _identified(judged: pa.Table, item_ids: Any, labels: LabelSchema, origin: str) -> pa.Table:
    """Return judgements as rows of ``annotations``."""
    values = list(json_rows(judged.select(list(labels.fields))))
    repeat_counts: dict[str, int] = {}
    judgement_ids, annotation_ids = [], []
    unknown = from_json(None)
    made = [unknown if text is None else from_json(text) for text in judged[PROVENANCE].to_pylist()]
    facts = zip(
        item_ids.to_pylist(),
        judged["annotator"].to_pylist(),
        judged["arm"].to_pylist(),
        judged[FIELDS].to_pylist(),
        values,
        made,
        strict=True,
    )
    for item_id, rater, arm, fields, answers, act in facts:
        # Somebody who skipped an item said something else than somebody who answered nothing.
        value = answers if act.action == CREATED else f"{act.action}\n{answers}"
        if rater is None:
            name = f"{origin}\n{item_id}\n\n{arm or ''}\n{fields}\n{value}"
            number = repeat_counts[name] = repeat_counts.get(name, 0) + 1
            judgement_id = sha256_of(f"{name}\n{number}")
        else:
            judgement_id = sha256_of(f"{origin}\n{item_id}\n{rater}\n{arm or ''}\n{fields}")
        judgement_ids.append(judgement_id)
        annotation_ids.append(sha256_of(f"{judgement_id}\n{value}"))
    count = judged.num_rows
    origins = [[{"field": name, "origin": text} for name, text in act.origins.items()] or None for act in made]
    columns = {
        "annotation_id": pa.array(annotation_ids, pa.string()),
        "judgement_id": pa.array(judgement_ids, pa.string()),
        "item_id": item_ids,
        "annotator": judged["annotator"],
        "arm": judged["arm"],
        "action": pa.array([act.action for act in made], pa.string()),
        "server": pa.array([origin] * count, pa.string()),
        "acted_at": pa.array([act.acted_at for act in made], pa.timestamp("us", "UTC")),
        "lead_time_s": pa.array([act.lead_time_s for act in made], pa.float64()),
        "origins": pa.array(origins, _ORIGINS),
        **{name: judged[name] for name in labels.fields},
    }
    return pa.table(columns)


def _first_of_each(acts: pa.Table) -> pa.Table:
    """Return the first act upon each judgement: two would be one after the other in an order that nothing decides."""
    import polars as pl

    return acts.filter(pl.Series(acts["judgement_id"]).is_first_distinct().to_arrow())


def _later(last: Mapping[str, Any], revision: str) -> str:
    """Return the id that an act has which says ``revision`` after other acts; equal if ``last`` is that act."""
    return sha256_of(f"{revision}\n{last['acted_at']}")


def _revised(acts: pa.Table, changed: Mapping[int, Mapping[str, Any]], now: datetime) -> pa.Table:
    """Return acts that say something new of judgements that were there before."""
    rows = acts.take(pa.array(list(changed), pa.int64()))
    said_at = [time or now for time in rows["acted_at"].to_pylist()]
    times = [time_after(last, time) for last, time in zip(changed.values(), said_at, strict=True)]
    actions = [
        action if action == SKIPPED else "restored" if last["action"] == "deleted" else "updated"
        for action, last in zip(rows["action"].to_pylist(), changed.values(), strict=True)
    ]
    ids = [
        _later({"acted_at": time}, revision)
        for time, revision in zip(times, rows["annotation_id"].to_pylist(), strict=True)
    ]
    columns = {name: rows[name] for name in rows.column_names}
    columns |= {
        "annotation_id": pa.array(ids, pa.string()),
        "action": pa.array(actions, pa.string()),
        "acted_at": pa.array(times, pa.timestamp("us", "UTC")),
    }
    return pa.table(columns)


def _replaced(gone: pa.Table, acts: pa.Table, labels: LabelSchema) -> pa.Table:
    """Return those of the judgements that an act, of the same rater, item and arm, has an answer of."""
    gone = gone.filter(pc.is_valid(gone["annotator"]))
    again = acts.filter(pc.is_in(acts["item_id"], value_set=gone["item_id"].unique()))
    columns = ["item_id", "annotator", "arm", *labels.fields]
    answered: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in again.select(columns).to_pylist():
        answered[row["item_id"], row["annotator"], row["arm"]] |= _answered(row, labels)
    is_replaced = [
        bool(answered.get((row["item_id"], row["annotator"], row["arm"]), set()) & _answered(row, labels))
        for row in gone.select(columns).to_pylist()
    ]
    return gone.filter(pa.array(is_replaced, pa.bool_()))


def _answered(row: Mapping[str, Any], labels: LabelSchema) -> set[str]:
    return {name for name in labels.fields if row[name] is not None}


def _deletions(gone: pa.Table, labels: LabelSchema, now: datetime) -> pa.Table:
    """Return the acts that withdraw judgements."""
    rows = [to_deletion(act, labels, now) for act in gone.to_pylist()]
    return pa.Table.from_pylist([{name: row[name] for name in gone.column_names} for row in rows], schema=gone.schema)
