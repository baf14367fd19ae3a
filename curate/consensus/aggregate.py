"""Aggregate the judgements of people, or else the proposals of models, to one label per item."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.identity import json_rows
from curate.corpus.judgements import current_judgements
from curate.corpus.spec import table_spec
from curate.labels import LabelSchema

_ROWS = 50_000


def aggregate(labels: LabelSchema, annotations: pa.Table, prelabels: pa.Table, *, method: str) -> pa.Table:
    """Return one row of ``labels`` for every judged item, sorted by item.

    If people judged an item, only their judgements count: the newest of each person.
    """
    human: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for act in current_judgements(annotations).to_pylist():
        human[act["item_id"]][act["annotator"]] = act
    rows = []
    for item_id, by_annotator in human.items():
        judgements = list(by_annotator.values())
        evidence = [act["annotation_id"] for act in judgements]
        rows.append(_label(labels, judgements, source="human", method=method) | _about(item_id, evidence))
    usable = prelabels.filter(pc.and_(prelabels["final"], pc.equal(prelabels["outcome"], "ok")))
    usable = usable.filter(pc.invert(pc.is_in(usable["item_id"], value_set=pa.array(list(human), pa.string()))))
    counts = usable.group_by("item_id").aggregate([([], "count_all")])
    several = pc.is_in(usable["item_id"], value_set=counts.filter(pc.greater(counts["count_all"], 1))["item_id"])
    model: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for proposal in usable.filter(several).to_pylist():
        model[proposal["item_id"]].append(proposal)
    for item_id, judgements in model.items():
        evidence = [proposal["prelabel_id"] for proposal in judgements]
        rows.append(_label(labels, judgements, source="model", method=method) | _about(item_id, evidence))
    schema = table_spec("labels", labels).schema
    alone = _label_single_proposals(labels, usable.filter(pc.invert(several)), schema, method=method)
    return pa.concat_tables([pa.Table.from_pylist(rows, schema=schema), *alone]).sort_by("item_id")


def _label_single_proposals(
    labels: LabelSchema, proposals: pa.Table, schema: pa.Schema, *, method: str
) -> Iterator[pa.Table]:
    """Yield the labels of items with one proposal each; equal values are aggregated once."""
    numbers: dict[str, int] = {}
    distinct = schema.empty_table()
    for start in range(0, proposals.num_rows, _ROWS):
        part = proposals.slice(start, _ROWS)
        values = part.select(list(labels.fields))
        known = len(numbers)
        chosen = np.array([numbers.setdefault(key, len(numbers)) for key in json_rows(values)])
        _, first = np.unique(chosen[chosen >= known], return_index=True)
        new = values.take(np.flatnonzero(chosen >= known)[first])
        rows = [_label(labels, [row], source="model", method=method) for row in new.to_pylist()]
        distinct = pa.concat_tables([distinct, pa.Table.from_pylist(rows, schema=schema)]).combine_chunks()
        ids = part["prelabel_id"].combine_chunks()
        about = {"item_id": part["item_id"], "evidence": pa.ListArray.from_arrays(range(len(ids) + 1), ids)}
        columns = [about[name] if name in about else distinct[name].take(pa.array(chosen)) for name in schema.names]
        yield pa.Table.from_arrays(columns, schema=schema)


def _about(item_id: str, evidence: list[str]) -> dict[str, Any]:
    return {"item_id": item_id, "evidence": sorted(evidence)}


def _label(labels: LabelSchema, judgements: Sequence[Mapping[str, Any]], *, source: str, method: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "label_source": source,
        "raters": len(judgements) if source == "human" else 0,
        "method": method,
        "agreement": [],
        "soft": [],
    }
    for name, field in labels.fields.items():
        values = [judgement[name] for judgement in judgements if judgement[name] is not None]
        row[name], shares = field.aggregate(values) if values else (None, {})
        row["soft"] += [{"field": name, "label": label, "share": share} for label, share in shares.items()]
        agreement = field.pairwise_agreement(values) if values else None
        if agreement is not None:
            row["agreement"].append({"field": name, "value": agreement})
    not_asked = {name for name in labels.fields if not labels.is_asked(name, row)}
    row |= dict.fromkeys(not_asked)
    for column in ("soft", "agreement"):
        row[column] = [entry for entry in row[column] if entry["field"] not in not_asked]
    return row
