"""Proposals for an item as rows of ``prelabels``, one of which is final."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from curate.files import digest
from curate.labels import AggregationRule, LabelSchema
from curate.llm.combine import combine
from curate.llm.labellers.protocol import PrelabelOutcome, Proposal
from curate.llm.prompts.fence import replace_surrogates

Row = dict[str, Any]
_EMPTY: Mapping[str, Any] = MappingProxyType({})


class ProposalRecord(NamedTuple):
    """One answer of a labeller about an item, and its provenance. The fields are columns of ``prelabels``."""

    labeller: str
    model: str | None
    outcome: PrelabelOutcome
    values: Mapping[str, Any] = _EMPTY
    scores: Mapping[str, Mapping[str, float]] = _EMPTY
    confidence: float | None = None
    detail: str = ""
    extras: Mapping[str, str] = _EMPTY
    sample: int = 0
    prompt: str | None = None
    prompt_sha256: str | None = None
    model_answered: str | None = None
    request_key: str | None = None
    request_id: str | None = None
    answered_at: datetime | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: float | None = None


def local_record(labeller: str, model: str, proposal: Proposal) -> ProposalRecord:
    """Return the record of a proposal made in this process."""
    model = proposal.model or model
    return ProposalRecord(labeller, model, proposal.outcome, proposal.values, proposal.scores, detail=proposal.detail)


def combine_records(
    records: Sequence[ProposalRecord], labels: LabelSchema, rule: AggregationRule
) -> ProposalRecord | None:
    """Return the combination of several records, or None if there is only one or none is usable."""
    usable = [record for record in records if record.outcome == "ok"]
    if len(records) < 2 or not usable:
        return None
    combined = combine(labels, [record.values for record in usable], rule, scores=[record.scores for record in usable])
    names = "+".join(dict.fromkeys(record.labeller for record in usable))
    detail = f"{rule} of {len(usable)} answers"
    if len(usable) < len(records):
        detail += f" of {len(records)} asked for"
    outcome: PrelabelOutcome = "ok" if any(value is not None for value in combined.values.values()) else "abstained"
    return ProposalRecord(
        f"{rule}:{names}", None, outcome, combined.values, combined.scores, combined.confidence, detail
    )


def build_rows(
    item_id: str,
    records: Sequence[ProposalRecord],
    labels: LabelSchema,
    *,
    clues: Sequence[ProposalRecord] = (),
    combined: ProposalRecord | None = None,
    review: ProposalRecord | None = None,
) -> list[Row]:
    """Return one row per record; final is a usable review, else the combination, else the first usable record.

    ``clues`` are never final.
    """
    all_records = [*clues, *records]
    final = next((record for record in records if record.outcome == "ok"), records[0])
    for record in (combined, review):
        if record is not None:
            all_records.append(record)
            final = record if record.outcome == "ok" or final.outcome != "ok" else final
    return [_build_row(item_id, record, labels, is_final=record is final) for record in all_records]


def _build_row(item_id: str, record: ProposalRecord, labels: LabelSchema, *, is_final: bool) -> Row:
    identity = [item_id, record.labeller, record.sample, labels.sha256, record.request_key, dict(record.values)]
    return {
        **dict(zip(_COPIED_COLUMNS, _copied_values(record), strict=True)),
        "prelabel_id": digest(identity)[:24],
        "item_id": item_id,
        "final": is_final,
        "detail": replace_surrogates(record.detail) or None,
        "schema_sha256": labels.sha256,
        "scores": [
            {"field": name, "label": label, "score": score}
            for name, by_label in record.scores.items()
            for label, score in by_label.items()
        ],
        "extras": [{"name": name, "text": text} for name, text in record.extras.items()],
        **record.values,
    }


_COPIED_COLUMNS = (
    *("labeller", "sample", "model", "model_answered", "outcome", "confidence", "prompt", "prompt_sha256"),
    *("request_key", "request_id", "answered_at", "tokens_in", "tokens_out", "usd"),
)
_copied_values = attrgetter(*_COPIED_COLUMNS)
