"""Aggregate the judgements of people, or else the proposals of models, to one label per item."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.judgements import current_judgements
from curate.labels import LabelSchema


def aggregate(labels: LabelSchema, annotations: pa.Table, prelabels: pa.Table, *, method: str) -> list[dict[str, Any]]:
    """Return one row of ``labels`` for every judged item, sorted by item.

    If people judged an item, only their judgements count: the newest of each person.
    """
    human: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for act in current_judgements(annotations).to_pylist():
        human[act["item_id"]][act["annotator"]] = act
    model: dict[str, list[dict[str, Any]]] = defaultdict(list)
    usable = pc.and_(prelabels["final"], pc.equal(prelabels["outcome"], "ok"))
    for proposal in prelabels.filter(usable).to_pylist():
        model[proposal["item_id"]].append(proposal)
    rows = []
    for item_id in sorted({*human, *model}):
        if item_id in human:
            judgements = list(human[item_id].values())
            evidence = [act["annotation_id"] for act in judgements]
            rows.append(_label(labels, item_id, judgements, evidence, source="human", method=method))
        else:
            judgements = model[item_id]
            evidence = sorted(proposal["prelabel_id"] for proposal in judgements)
            rows.append(_label(labels, item_id, judgements, evidence, source="model", method=method))
    return rows


def _label(
    labels: LabelSchema,
    item_id: str,
    judgements: Sequence[Mapping[str, Any]],
    evidence: list[str],
    *,
    source: str,
    method: str,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "item_id": item_id,
        "label_source": source,
        "raters": len(judgements) if source == "human" else 0,
        "method": method,
        "evidence": sorted(evidence),
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
