"""Several proposals for one item as one: those of several models, or several answers of the same model."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from curate.labels import AggregationRule, Field, LabelSchema


class CombinedProposal(NamedTuple):
    """What several proposals come to."""

    values: dict[str, Any]
    """A record that ``LabelSchema.check_record`` accepts if any proposal is complete; None for unanswered fields"""
    scores: dict[str, dict[str, float]]
    """Mean score by field and label; a proposal without scores counts 1 for the labels it gives"""
    confidence: float | None
    """Mean agreement of the proposals over all fields (0-1); None for a single proposal"""


def combine(
    labels: LabelSchema,
    proposals: Sequence[Mapping[str, Any]],
    rule: AggregationRule,
    *,
    scores: Sequence[Mapping[str, Mapping[str, float]]] | None = None,
) -> CombinedProposal:
    """Combine one or more proposals into one record, field by field with ``Field.aggregate``.

    ``scores`` are those of each proposal, by field and label (0-1); most have none. A proposal without a value for a
    required field comes from a labeller that cannot judge it, and does not count for that field.

    An optional field stays open by intersection if any proposal leaves it open, by majority if at least half do. A
    required field that stays unsettled gets the value nearest to all others, the first of those equally near. Raises
    ``ValueError`` without proposals, or for one that does not fit the schema.
    """
    if not proposals:
        raise ValueError("there is no proposal to combine")
    records = [_checked(labels, proposal) for proposal in proposals]
    scores = scores if scores is not None else [{} for _ in records]
    values: dict[str, Any] = dict.fromkeys(labels.fields)
    means: dict[str, dict[str, float]] = {}
    agreements: list[float] = []
    for name, field in labels.fields.items():
        votes = [record[name] for record in records if labels.is_asked(name, record)]
        if field.required:
            votes = [vote for vote in votes if vote is not None]
        agreement = _agreement(field, votes)
        if agreement is not None:
            agreements.append(agreement)
        answers = [vote for vote in votes if vote is not None]
        if not answers or not labels.is_asked(name, values):
            continue
        values[name] = _settle(field, answers, open_count=len(votes) - len(answers), rule=rule)
        if field.soft_labels:
            by_proposal = [
                score.get(name) or _votes_as_scores(field, record[name])
                for score, record in zip(scores, records, strict=True)
            ]
            means[name] = _mean_scores(field, by_proposal)
    return CombinedProposal(_complete(labels, values, records), means, fmean(agreements) if agreements else None)


def _votes_as_scores(field: Field, value: Any) -> dict[str, float]:
    return {} if value is None else dict.fromkeys(field.labels_of(value), 1.0)


def _mean_scores(field: Field, by_proposal: Sequence[Mapping[str, float]]) -> dict[str, float]:
    means = {label: fmean(scores.get(label, 0.0) for scores in by_proposal) for label in field.soft_labels}
    return {label: mean for label, mean in means.items() if mean > 0}


def _settle(field: Field, answers: Sequence[Any], *, open_count: int, rule: AggregationRule) -> Any:
    """Return the value of a field; ``open_count`` proposals leave it open."""
    is_open = {"union": False, "intersection": open_count > 0}.get(rule, open_count >= len(answers))
    if is_open and not field.required:
        return None
    try:
        value = field.aggregate(answers, rule).value
        checked = None if value is None else field.check(value)
    except ValueError:  # together they are more, or longer, than one value may be
        return _nearest(field, answers)
    return _nearest(field, answers) if checked is None and field.required else checked


def _nearest(field: Field, answers: Sequence[Any]) -> Any:
    """Return the first answer with the smallest sum of distances to all."""
    distances = [sum(field.distance(answer, vote) or 0.0 for vote in answers) for answer in answers]
    return answers[distances.index(min(distances))]


def _checked(labels: LabelSchema, proposal: Mapping[str, Any]) -> dict[str, Any]:
    """Return a proposal in its canonical form, which may lack required fields. Raises ``ValueError``."""
    if unknown := sorted(set(proposal) - set(labels.fields)):
        raise ValueError(f"{unknown[0]!r} is not a field of {labels.name}")
    values = {name: proposal.get(name) for name in labels.fields}
    return {
        name: field.check(values[name]) if values[name] is not None and labels.is_asked(name, values) else None
        for name, field in labels.fields.items()
    }


def _complete(labels: LabelSchema, values: dict[str, Any], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the record, or the most similar complete proposal if settled fields require one that nobody answered."""
    try:
        return labels.check_record(values)
    except ValueError:
        complete = [record for record in records if _is_complete(labels, record)]
        if not complete:
            return _checked(labels, values)
        shared = [sum(values[name] == record[name] for name in labels.fields) for record in complete]
        return labels.check_record(complete[shared.index(max(shared))])


def _is_complete(labels: LabelSchema, record: Mapping[str, Any]) -> bool:
    try:
        labels.check_record(record)
    except ValueError:
        return False
    return True


def _agreement(field: Field, votes: Sequence[Any]) -> float | None:
    """Return the mean agreement over pairs: two open votes agree, an open one and an answer do not.

    None if there is nothing to compare: fewer than two votes, no answer, or answers without a distance.
    """
    answers = [vote for vote in votes if vote is not None]
    if len(votes) < 2 or not answers or field.distance(answers[0], answers[0]) is None:
        return None
    answered_pairs, pairs = len(answers) * (len(answers) - 1) // 2, len(votes) * (len(votes) - 1) // 2
    open_count = len(votes) - len(answers)
    agreement = field.pairwise_agreement(answers) if answered_pairs else 0.0
    if agreement is None:  # such as traces of other moments
        return None
    return (agreement * answered_pairs + open_count * (open_count - 1) // 2) / pairs
