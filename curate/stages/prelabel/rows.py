"""Proposals for an item as rows of ``prelabels``, one of which stands for the item."""

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
_NONE: Mapping[str, Any] = MappingProxyType({})


class Proposed(NamedTuple):
    """What one labeller said of an item in one answer, and where that comes from."""

    labeller: str
    model: str | None
    outcome: PrelabelOutcome
    values: Mapping[str, Any] = _NONE
    scores: Mapping[str, Mapping[str, float]] = _NONE
    confidence: float | None = None
    detail: str = ""
    extras: Mapping[str, str] = _NONE
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


def proposed_by(labeller: str, model: str, proposal: Proposal) -> Proposed:
    """What a labeller without a network said."""
    by = proposal.model or model
    return Proposed(labeller, by, proposal.outcome, proposal.values, proposal.scores, detail=proposal.detail)


def combined(proposals: Sequence[Proposed], labels: LabelSchema, how: AggregationRule) -> Proposed | None:
    """Several proposals as one; None where one stands for itself, or none is usable."""
    usable = [one for one in proposals if one.outcome == "ok"]
    if len(proposals) < 2 or not usable:
        return None
    made = combine(labels, [one.values for one in usable], how, scores=[one.scores for one in usable])
    names = "+".join(dict.fromkeys(one.labeller for one in usable))
    detail = f"{how} of {len(usable)} answers" + (
        f" of {len(proposals)} asked for" if len(usable) < len(proposals) else ""
    )
    outcome: PrelabelOutcome = "ok" if any(value is not None for value in made.values.values()) else "abstained"
    return Proposed(f"{how}:{names}", None, outcome, made.values, made.scores, made.confidence, detail)


def rows_of(
    item_id: str,
    proposals: Sequence[Proposed],
    labels: LabelSchema,
    *,
    together: Proposed | None = None,
    review: Proposed | None = None,
) -> list[Row]:
    """One row each; final is the review where it is usable, else the combination, else the first usable proposal."""
    rows = list(proposals)
    final = next((one for one in proposals if one.outcome == "ok"), proposals[0])
    for more in (together, review):
        if more is not None:
            rows.append(more)
            final = more if more.outcome == "ok" or final.outcome != "ok" else final
    return [_row(item_id, one, labels, is_final=one is final) for one in rows]


def _row(item_id: str, one: Proposed, labels: LabelSchema, *, is_final: bool) -> Row:
    identity = [item_id, one.labeller, one.sample, labels.sha256, one.request_key, dict(one.values)]
    return {
        **dict(zip(_SHOWN, _shown(one), strict=True)),
        "prelabel_id": digest(identity)[:24],
        "item_id": item_id,
        "final": is_final,
        "detail": replace_surrogates(one.detail) or None,
        "schema_sha256": labels.sha256,
        "scores": [
            {"field": name, "label": label, "score": score}
            for name, by_label in one.scores.items()
            for label, score in by_label.items()
        ],
        "extras": [{"name": name, "text": text} for name, text in one.extras.items()],
        **one.values,
    }


_SHOWN = (
    *("labeller", "sample", "model", "model_answered", "outcome", "confidence", "prompt", "prompt_sha256"),
    *("request_key", "request_id", "answered_at", "tokens_in", "tokens_out", "usd"),
)
_shown = attrgetter(*_SHOWN)
