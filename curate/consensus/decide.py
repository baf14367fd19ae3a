"""One label from the values of several raters of one item, by counting: no rater is better than another."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from curate.consensus.settings import FieldSettings
from curate.labels import Field


class Decision(NamedTuple):
    """A label (None if undecided), the share of raters by label, and what settled it: raters, ties or undecided."""

    value: Any
    soft: Mapping[str, float]
    decided_by: str


def decide(field: Field, values: Sequence[Any], settings: FieldSettings) -> Decision:
    """Return the label of an item from the values of its raters, at least one; their order does not matter."""
    # Free words are compared as labels, and are not the labels of a list.
    if field.comparison not in ("label", "labels") or not field.labels:
        value, soft = _combined(field, values, settings.method)
        return Decision(value, soft, "undecided" if value is None else "raters")
    votes = Counter(label for value in values for label in field.labels_of(value))
    total = sum(votes.values()) if settings.method == "all_inclusive" else len(values)
    soft = {label: votes[label] / total for label in field.labels if votes[label]}
    if settings.method == "all_inclusive" and settings.strict:
        above = {label: share for label, share in soft.items() if share > 1 / len(field.labels)}
        soft = {label: share / sum(above.values()) for label, share in above.items()}
    if not field.is_multiple:
        return _single(field, values, soft, settings)
    if settings.method in ("majority", "union", "intersection"):
        value = field.aggregate(values, settings.method).value
    else:
        best = max(soft.values(), default=0.0)
        least = {"plurality": best, "threshold": settings.at_least}.get(settings.method, 0.0)
        labels = [label for label, share in soft.items() if share >= least - 1e-9]
        value = field.select(labels, values, soft)
    return Decision(value, soft, "undecided" if value is None else "raters")


def entropy(soft: Mapping[str, float]) -> float:
    """Return the entropy in bits of shares, taken as parts of their sum."""
    total = sum(soft.values())
    return -sum(share / total * math.log2(share / total) for share in soft.values() if share > 0) + 0.0


def _single(field: Field, values: Sequence[Any], soft: Mapping[str, float], settings: FieldSettings) -> Decision:
    ranked = sorted(soft, key=lambda label: -soft[label])
    tied = [label for label in ranked if soft[label] >= soft[ranked[0]] - 1e-9]
    if settings.method == "intersection" and len(soft) > 1:
        return Decision(None, soft, "undecided")
    if settings.method == "threshold" and (not ranked or soft[ranked[0]] < settings.at_least - 1e-9):
        return Decision(None, soft, "undecided")
    if len(tied) == 1:
        return Decision(tied[0], soft, "raters")
    if tied and (settings.ties == "first" or settings.method == "union"):
        return Decision(min(tied, key=field.labels.index), soft, "ties")
    return Decision(None, soft, "undecided")


def _combined(field: Field, values: Sequence[Any], method: str) -> tuple[Any, Mapping[str, float]]:
    if method == "median" and field.comparison == "interval":
        return field.check(statistics.median(values)), {}
    if method in ("union", "intersection", "mean"):
        return field.aggregate(values, method)  # type: ignore[arg-type]
    return field.aggregate(values)
