"""Items whose label differs between two arms, such as face and voice."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curate.labels import LabelSchema
from curate.stages.contract import Problem
from curate.stages.derive.parents import ParentItem, Parents, shares_of
from curate.stages.derive.view import Derived, Draw, LeftOut, field_problems
from curate.stages.derive.whole import WholeView, inherit

Distance = Literal["total_variation", "jensen_shannon"]


class Conflict(WholeView):
    """Keeps items whose label under one arm is not the one under the other; all their judgements pass on.

    The label of an arm is the one that most of its raters named. The columns ``label_<arm>``, ``shares_<arm>`` (JSON)
    and ``distance`` are released with each item.
    """

    view: Literal["conflict"]
    field: str
    """The field of the parents that is compared."""
    between: tuple[str, str]
    """The two arms, such as ``[face, voice]``."""
    reference: str | None = None
    """A third arm, such as ``audiovisual``: the column ``aligned_with`` says which of both its label agrees with."""
    keep: Literal["conflicts", "agreements", "all"] = "conflicts"
    """Which items are kept: those that differ, those that do not, or both; the column ``conflict`` tells them apart."""
    distance: Distance = "total_variation"
    """How far the shares of both arms are apart, from 0 to 1: half of the sum of differences, or the divergence of
    Jensen and Shannon in bits."""
    min_distance: float = Field(default=0.0, ge=0, le=1)
    """Leave out conflicts with less distance than this."""

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        yield from self.passing_problems(labels, parent)
        if self.between[0] == self.between[1] or self.reference in self.between:
            yield ("between",), "name different arms"
        if parent is not None:
            yield from field_problems(("field",), self.field, parent, "category")
        if parent is not None and not self.passed_on(labels, parent):
            yield ("fields",), f"{labels.name} has no field like those of {parent.name}: say which pass on"

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        fields = self.passed_on(labels, parents.labels)
        for item in parents:
            shares = {arm: self._shares(item, parents.labels, arm) for arm in self.between}
            named = {arm: _most(arm_shares) for arm, arm_shares in shares.items()}
            if missing := next((arm for arm, arm_shares in shares.items() if not arm_shares), None):
                yield LeftOut(item.item_id, "unlabelled", f"nobody judged it under arm {missing}")
                continue
            if tied := next((arm for arm, label in named.items() if label is None), None):
                yield LeftOut(item.item_id, "tied", f"two labels have equally many votes under arm {tied}")
                continue
            first, second = self.between
            is_conflict = named[first] != named[second]
            apart = distance_of(shares[first], shares[second], self.distance)
            if self.keep != "all" and is_conflict != (self.keep == "conflicts"):
                sentence = "both arms give different labels" if is_conflict else "both arms give the same label"
                yield LeftOut(item.item_id, "filtered", sentence)
            elif is_conflict and apart < self.min_distance:
                yield LeftOut(item.item_id, "filtered", f"its arms are nearer than {self.min_distance:g}")
            else:
                facts = {"conflict": "yes" if is_conflict else "no", "distance": f"{apart:.6f}"}
                facts |= {f"label_{arm}": str(named[arm]) for arm in self.between}
                facts |= {f"shares_{arm}": _as_json(shares[arm]) for arm in self.between}
                facts |= self._alignment(item, parents.labels, named)
                yield self._kept(item, labels, fields, facts)

    def _kept(
        self, item: ParentItem, labels: LabelSchema, fields: Mapping[str, str], facts: Mapping[str, str]
    ) -> Derived | LeftOut:
        shown = self.shown(item, labels)
        if isinstance(shown, LeftOut):
            return shown
        answers = tuple(inherit(item.answers, fields))
        return Derived(**shown, parents=(item,), facts=facts, answers=answers)

    def _alignment(self, item: ParentItem, labels: LabelSchema, named: Mapping[str, str | None]) -> dict[str, str]:
        if self.reference is None:
            return {}
        truth = _most(self._shares(item, labels, self.reference))
        if truth is None:
            return {"aligned_with": "unknown"}
        return {"aligned_with": " and ".join(arm for arm, label in named.items() if label == truth) or "neither"}

    def _shares(self, item: ParentItem, labels: LabelSchema, arm: str) -> dict[str, float]:
        return shares_of(labels, [answer for answer in item.answers if answer.arm == arm], self.field)


def distance_of(first: Mapping[str, float], second: Mapping[str, float], kind: Distance) -> float:
    """Return how far two distributions are apart (0-1)."""
    names = sorted({*first, *second})
    p, q = (np.array([shares.get(name, 0.0) for name in names]) for shares in (first, second))
    if kind == "total_variation":
        return float(np.abs(p - q).sum() / 2)
    mean = (p + q) / 2
    return float(sum(_divergence(side, mean) for side in (p, q)) / 2)


def _divergence(p: NDArray[np.float64], mean: NDArray[np.float64]) -> float:
    present = p > 0
    return float((p[present] * np.log2(p[present] / mean[present])).sum())


def _most(shares: Mapping[str, float]) -> str | None:
    """Return the label with the largest share; None if two have it, or there is none."""
    best = [label for label, share in shares.items() if share > max(shares.values()) - 1e-9]
    return best[0] if len(best) == 1 else None


def _as_json(shares: Mapping[str, float]) -> str:
    return json.dumps({label: round(share, 6) for label, share in shares.items()}, ensure_ascii=False)
