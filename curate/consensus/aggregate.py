"""Judgements of people, or where there are none the proposals of models, as one label an item."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.judgements import current_judgements
from curate.labels import LabelSchema


def aggregate(labels: LabelSchema, annotations: pa.Table, prelabels: pa.Table, *, method: str) -> list[dict[str, Any]]:
    """One row of ``labels`` for every item that somebody or something judged, sorted by item.

    People's judgements alone count where there are any; each person counts once an item, by their newest judgement.
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
        if not values:
            row[name] = None
            continue
        row[name], soft = field.aggregate(values)
        row["soft"] += [{"field": name, "label": label, "share": share} for label, share in soft.items()]
        agreed = field.agreement(values)
        if agreed is not None:
            row["agreement"].append({"field": name, "value": agreed})
    for name in labels.fields:
        if not labels.is_asked(name, row):
            row[name] = None
    return row
