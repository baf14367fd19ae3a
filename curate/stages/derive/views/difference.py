"""Differences between what two arms say of the same item, such as the writer and the readers of a post."""

from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import Literal

from pydantic import Field

from curate.labels import Field as LabelField
from curate.labels import LabelSchema
from curate.stages.contract import Problem
from curate.stages.derive.parents import Answer, Parents
from curate.stages.derive.view import Derived, Draw, LeftOut, field_problems
from curate.stages.derive.whole import WholeView, inherit


class Difference(WholeView):
    """Gives each item that both arms judged the mean of one arm minus the mean of the other, on a scale."""

    view: Literal["difference"]
    of: str
    """The arm that counts positively, such as ``writer``."""
    minus: str
    """The arm that is subtracted, such as ``reader``."""
    into: dict[str, str] = Field(min_length=1)
    """The scales of the derived items and those of the parents, such as ``valence_gap: valence``. A scale from 1 to 5
    gives differences from -4 to 4."""

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        yield from self.passing_problems(labels, parent)
        if self.of == self.minus:
            yield ("minus",), "name another arm than in `of`"
        for name, source in self.into.items():
            location = ("into", name)
            yield from field_problems(location, name, labels, "scale")
            if name in self.fields:
                yield ("fields", name), f"{name} gets the difference and cannot inherit"
            if parent is not None:
                yield from field_problems(location, source, parent, "scale")
                if name in labels.fields and source in parent.fields:
                    yield from _range_problems(location, labels.fields[name], parent.fields[source])

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        passed = self.passed_on(labels, parents.labels).items()
        fields = {name: source for name, source in passed if name not in self.into}
        for item in parents:
            shown = self.shown(item, labels)
            if isinstance(shown, LeftOut):
                yield shown
                continue
            values, used = {}, []
            for name, source in self.into.items():
                sides = [[a for a in item.answers if a.arm == arm and source in a.values] for arm in self._arms]
                if all(sides):
                    means = [fmean(float(answer.values[source]) for answer in side) for side in sides]
                    values[name] = labels.fields[name].check(round(means[0] - means[1], 9))
                    used += [answer_id for side in sides for answer in side for answer_id in answer.evidence]
            if not values:
                yield LeftOut(item.item_id, "unlabelled", f"not both {self.of} and {self.minus} judged it")
                continue
            gap = Answer(f"{self.of} minus {self.minus} in {parents.corpus}", None, values, tuple(used))
            yield Derived(**shown, parents=(item,), answers=(gap, *inherit(item.answers, fields)))

    @property
    def _arms(self) -> tuple[str, str]:
        return self.of, self.minus


def _range_problems(location: tuple[str | int, ...], target: LabelField, source: LabelField) -> Iterator[Problem]:
    if target.ends is None or source.ends is None:
        return
    width = source.ends[1] - source.ends[0]
    if target.ends[0] > -width or target.ends[1] < width:
        yield location, f"{target.name} must reach from {-width:g} to {width:g} to hold differences of {source.name}"
    if target.comparison == "ordinal":
        yield location, f"{target.name} must be of level interval: means of several judgements are no whole numbers"
