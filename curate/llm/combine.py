"""Several proposals for one item as one: those of several models, or several answers of the same."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from curate.labels import AggregationRule, Field, LabelSchema


class CombinedProposal(NamedTuple):
    """What several proposals come to."""

    values: dict[str, Any]
    """A record that ``LabelSchema.check_record`` accepts where any proposal is whole, None for what is not answered."""
    scores: dict[str, dict[str, float]]
    """By field and label, the mean of the scores; a proposal without any counts 1 for the labels that it gives."""
    confidence: float | None
    """The mean over fields of how far the proposals agree (0-1); None below two proposals."""


def combine(
    labels: LabelSchema,
    proposals: Sequence[Mapping[str, Any]],
    how: AggregationRule,
    *,
    scores: Sequence[Mapping[str, Mapping[str, float]]] | None = None,
) -> CombinedProposal:
    """One record of one or more proposals, field by field as ``Field.aggregate`` has it.

    ``scores`` are those that each proposal came with, by field and label (0-1), none of them for most. A proposal
    without a value for a required field comes from a labeller that cannot judge it, and has no say in it.

    An optional field is left open by intersection where any proposal leaves it open, by majority where at least half
    do. A required field that stays unsettled gets the value of the proposal that is nearest to the others, the first of
    those equally near. Raises ``ValueError`` for no proposal, or for one that does not fit the schema.
    """
    if not proposals:
        raise ValueError("there is no proposal to combine")
    records = [_checked(labels, proposal) for proposal in proposals]
    values: dict[str, Any] = dict.fromkeys(labels.fields)
    told = scores if scores is not None else [{} for _ in records]
    shares: dict[str, dict[str, float]] = {}
    agreed: list[float] = []
    for name, field in labels.fields.items():
        asked = [record for record in records if labels.is_asked(name, record)]
        if field.required:
            asked = [record for record in asked if record[name] is not None]
        given = [record[name] for record in asked if record[name] is not None]
        share = _agreement(field, [record[name] for record in asked])
        if share is not None:
            agreed.append(share)
        if not given or not labels.is_asked(name, values):
            continue
        values[name] = _settled(field, given, open_count=len(asked) - len(given), how=how)
        counted = [own.get(name) or _votes(field, record[name]) for own, record in zip(told, records, strict=True)]
        if field.soft_labels:
            shares[name] = _mean_scores(field, counted)
    return CombinedProposal(_complete(labels, values, records), shares, fmean(agreed) if agreed else None)


def _votes(field: Field, value: Any) -> dict[str, float]:
    return {} if value is None else dict.fromkeys(field.labels_of(value), 1.0)


def _mean_scores(field: Field, counted: Sequence[Mapping[str, float]]) -> dict[str, float]:
    means = {label: fmean(each.get(label, 0.0) for each in counted) for label in field.soft_labels}
    return {label: mean for label, mean in means.items() if mean > 0}


def _settled(field: Field, given: Sequence[Any], *, open_count: int, how: AggregationRule) -> Any:
    """The field's value; ``open_count`` is how many proposals leave it open."""
    is_open = {"union": False, "intersection": open_count > 0}.get(how, open_count >= len(given))
    if is_open and not field.required:
        return None
    try:
        value = field.aggregate(given, how).value
        if value is not None:
            return field.check(value)
    except ValueError:
        pass  # together more, or longer, than one value may be
    else:
        if not field.required:
            return None
    return _nearest(field, given)


def _nearest(field: Field, given: Sequence[Any]) -> Any:
    apart = [sum(field.distance(one, other) or 0.0 for other in given) for one in given]
    return given[apart.index(min(apart))]


def _checked(labels: LabelSchema, proposal: Mapping[str, Any]) -> dict[str, Any]:
    """The proposal in its canonical form, of which required fields may lack. Raises ``ValueError``."""
    if strange := sorted(set(proposal) - set(labels.fields)):
        raise ValueError(f"{strange[0]!r} is no field of {labels.name}")
    given = {name: proposal.get(name) for name in labels.fields}
    return {
        name: field.check(given[name]) if given[name] is not None and labels.is_asked(name, given) else None
        for name, field in labels.fields.items()
    }


def _complete(labels: LabelSchema, values: dict[str, Any], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The record; where settled fields ask for one that no proposal answered, the nearest proposal that is whole."""
    try:
        return labels.check_record(values)
    except ValueError:
        whole = [record for record in records if _is_whole(labels, record)]
        if not whole:
            return _checked(labels, values)
        shared = [sum(values[name] == record[name] for name in labels.fields) for record in whole]
        return labels.check_record(whole[shared.index(max(shared))])


def _is_whole(labels: LabelSchema, record: Mapping[str, Any]) -> bool:
    try:
        labels.check_record(record)
    except ValueError:
        return False
    return True


def _agreement(field: Field, given: Sequence[Any]) -> float | None:
    """The mean over pairs: as near as their values are; two open ones agree, an open and a given one do not.

    None where there is nothing to agree on: fewer than two proposals, no value, or values without a distance.
    """
    values = [value for value in given if value is not None]
    if len(given) < 2 or not values or field.distance(values[0], values[0]) is None:
        return None
    both, pairs = len(values) * (len(values) - 1) // 2, len(given) * (len(given) - 1) // 2
    opened = len(given) - len(values)
    near = field.pairwise_agreement(values) if both else 0.0
    if near is None:  # such as traces of other moments
        return None
    return (near * both + opened * (opened - 1) // 2) / pairs
