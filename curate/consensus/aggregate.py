"""Aggregate the judgements of people, or else the proposals of models, to one label per item."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.consensus.columns import FieldColumns, answers_of, decide_all, joined_lists, per_item, repeated
from curate.consensus.evidence import Evidence, gather
from curate.consensus.modelled import aligned_traces, estimated, evaluator_weighted
from curate.consensus.settings import MODELLED, FieldSettings, settings_of
from curate.corpus.spec import table_spec
from curate.labels import Field, LabelSchema

_BLOCK = 100_000


def aggregate(
    labels: LabelSchema,
    annotations: pa.Table,
    prelabels: pa.Table,
    *,
    settings: FieldSettings | None = None,
    by_field: Mapping[str, FieldSettings] | None = None,
    blind_only: bool = False,
    arms: Collection[str] = (),
) -> pa.Table:
    """Return one row of ``labels`` for every judged item, sorted by item.

    If people judged an item, only their judgements count: the newest of each person, and all of unnamed people.
    Proposals are combined by majority, whatever the settings. Raises ``InvalidInput`` if a method needs to know who
    judged and does not.
    """
    settings = settings or FieldSettings()
    evidence = gather(labels, annotations, prelabels, blind_only=blind_only, arms=arms)
    chosen = settings_of(labels, settings, by_field or {})
    of_people = _of_people(evidence)
    columns: dict[str, FieldColumns] = {}
    for name, field in labels.fields.items():
        if of_people.any():
            columns[name] = _field_columns(field, evidence, of_people, chosen[name])
        else:
            columns[name] = decide_all(field, evidence, answers_of(field, evidence), FieldSettings())
    return _assembled(labels, evidence, columns, of_people, settings.method)


def _of_people(evidence: Evidence) -> NDArray[np.bool_]:
    return evidence.by_people[evidence.starts]


def _field_columns(
    field: Field, evidence: Evidence, of_people: NDArray[np.bool_], settings: FieldSettings
) -> FieldColumns:
    """Return the columns of a field: people's judgements by its settings, proposals by majority."""
    answers = answers_of(field, evidence)
    by_people = evidence.by_people[answers.rows]
    judged = answers._replace(rows=answers.rows[by_people], codes=answers.codes[by_people])
    if settings.method == "aligned_mean" and len(judged.rows):
        judged = aligned_traces(evidence, judged)
    columns = decide_all(field, evidence, judged, settings)
    if settings.method in MODELLED and len(judged.rows):
        columns = estimated(field, evidence, judged, settings, columns)
    elif settings.method == "ewe" and len(judged.rows):
        columns = evaluator_weighted(field, evidence, judged, columns)
    if of_people.all():
        return columns
    proposed = answers._replace(rows=answers.rows[~by_people], codes=answers.codes[~by_people])
    return _both(columns, decide_all(field, evidence, proposed, FieldSettings()))


def _both(first: FieldColumns, second: FieldColumns) -> FieldColumns:
    """Return the columns of two sets of items as one."""
    offset = len(first.values)
    of_item = np.where(first.pattern_of_item >= 0, first.pattern_of_item, second.pattern_of_item + offset)
    of_item[(first.pattern_of_item < 0) & (second.pattern_of_item < 0)] = -1
    values, soft, agreement, facts = (
        pa.concat_arrays([a, b.cast(a.type)]) for a, b in zip(first[:4], second[:4], strict=True)
    )
    return FieldColumns(values, soft, agreement, facts, of_item)


def _assembled(
    labels: LabelSchema,
    evidence: Evidence,
    columns: Mapping[str, FieldColumns],
    of_people: NDArray[np.bool_],
    method: str,
) -> pa.Table:
    applicable = _applicable_items(labels, evidence, columns)
    answers = {
        name: np.bincount(evidence.items[np.asarray(evidence.column(name).is_valid())], minlength=evidence.item_count)
        for name in labels.fields
    }
    counts = np.diff(np.append(evidence.starts, len(evidence.items)))
    offsets = pa.array(np.append(0, np.cumsum(counts)), pa.int32())
    table = {
        "item_id": evidence.item_ids,
        "label_source": pa.array(["model", "human"]).take(pa.array(of_people.astype(np.int64))),
        "raters": pa.array(np.where(of_people, counts, 0), pa.int32()),
        "arms": evidence.per_item(evidence.column("arm")),
        "method": repeated(method, evidence.item_count),
        "evidence": pa.ListArray.from_arrays(offsets, evidence.column("evidence")),
    }
    schema = table_spec("labels", labels).schema
    blocks = [schema.empty_table()]
    # The lists are put together for some items at a time, so that only the result is as long as the corpus.
    for start in range(0, evidence.item_count, _BLOCK):
        part = slice(start, start + _BLOCK)
        block = {name: column[part] for name, column in table.items()}
        lists: dict[str, list[pa.Array]] = {"soft": [], "agreement": [], "decisions": []}
        for name, field_columns in columns.items():
            of_item = np.where(applicable[name][part], field_columns.pattern_of_item[part], -1)
            block[name] = per_item(field_columns.values, of_item)
            agreement, facts = (per_item(column, of_item) for column in (field_columns.agreement, field_columns.facts))
            lists["soft"].append(per_item(field_columns.soft, of_item))
            lists["agreement"].append(_entries(agreement, {"field": name, "value": agreement}))
            members = {key: facts.field(key) for key in ("method", "entropy", "decided_by")}
            raters = pa.array(answers[name][part], pa.int32())
            lists["decisions"].append(_entries(facts, {"field": name, "raters": raters, **members}))
        for name, of_fields in lists.items():
            block[name] = joined_lists(of_fields, schema.field(name).type)
        blocks.append(pa.table({name: block[name] for name in schema.names}, schema=schema))
    return pa.concat_tables(blocks)


def _applicable_items(
    labels: LabelSchema, evidence: Evidence, columns: Mapping[str, FieldColumns]
) -> dict[str, NDArray[np.bool_]]:
    """Return for each field the items whose labels say that it is asked."""
    applicable: dict[str, NDArray[np.bool_]] = {}

    def is_asked(name: str) -> NDArray[np.bool_]:
        if name not in applicable:
            applicable[name] = np.ones(evidence.item_count, dtype=np.bool_)
            for condition, wanted in labels.fields[name].when.items():
                values = columns[condition].values.to_pylist()
                labels_of = labels.fields[condition].labels_of
                met = [value is not None and not set(wanted).isdisjoint(labels_of(value)) for value in values]
                of_item = columns[condition].pattern_of_item
                applicable[name] = is_asked(condition) & np.array([*met, False], np.bool_)[of_item]
        return applicable[name]

    return {name: is_asked(name) for name in labels.fields}


def _entries(valid: pa.Array, members: Mapping[str, Any]) -> pa.Array:
    """Return a list column with one struct in each row in which ``valid`` is, and none in others."""
    present = np.asarray(valid.is_valid())
    rows = pa.array(np.flatnonzero(present))
    arrays = [
        repeated(member, len(rows)) if isinstance(member, str) else member.take(rows) for member in members.values()
    ]
    entries = pa.StructArray.from_arrays(arrays, list(members))
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(present)), pa.int32()), entries)
