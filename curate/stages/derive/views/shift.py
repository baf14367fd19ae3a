"""Emotion shifts: whether a speaker feels otherwise than in their turn before."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from curate.labels import LabelSchema
from curate.stages.contract import Problem
from curate.stages.derive.groups import connected_groups
from curate.stages.derive.parents import Answer, ParentItem, Parents
from curate.stages.derive.turns import group_turns
from curate.stages.derive.view import Derived, Draw, LeftOut, field_problems
from curate.stages.derive.whole import WholeView, inherit, merged


class Shift(WholeView):
    """Compares each turn of a speaker with that speaker's turn before in the same dialogue, by the same rater.

    A category becomes the label ``changed`` or ``same``; a scale becomes the difference. Items are shown with the turns
    from the earlier one on, and the column ``from`` says what it was labelled with.
    """

    view: Literal["shift"]
    field: str
    """The field of the parents that is compared: a category or a scale."""
    into: str
    """The field of the derived items that says whether it changed: a category, or a scale of differences."""
    changed: str = "changed"
    """The label of a shift, where ``into`` is a category."""
    same: str = "same"
    """The label where there is none."""
    by: str = "source"
    """What the turns of a dialogue have in common: ``source``, or a column such as ``Dialogue_ID``."""
    order: str | None = None
    """The column with numbers by which turns are in order; by default turn, then time."""

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        yield from self.passing_problems(labels, parent)
        yield from field_problems(("into",), self.into, labels, "category", "scale")
        target = labels.fields.get(self.into)
        if target is not None and target.type == "category":
            for name in ("changed", "same"):
                if getattr(self, name) not in target.labels:
                    yield (name,), f"{getattr(self, name)!r} is not a label of {self.into}: {', '.join(target.labels)}"
        if parent is None or target is None:
            return
        yield from field_problems(("field",), self.field, parent, target.type)
        source = parent.fields.get(self.field)
        if target.type == "scale" and source is not None and source.ends is not None and target.ends is not None:
            width = source.ends[1] - source.ends[0]
            if target.ends[0] > -width or target.ends[1] < width:
                yield ("into",), f"{self.into} must reach from {-width:g} to {width:g} to hold differences"

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        dialogues, left_out = group_turns(parents, self.by, self.order)
        yield from left_out
        groups = connected_groups([[item.group for item in dialogue] for dialogue in dialogues])
        for dialogue, group in zip(dialogues, groups, strict=True):
            earlier: dict[str, int] = {}
            for index, item in enumerate(dialogue):
                speaker = item.row["speaker"]
                if speaker is None:
                    yield LeftOut(item.item_id, "filtered", "nothing tells who speaks")
                    continue
                first = earlier.get(speaker)
                earlier[speaker] = index
                if first is None:
                    yield LeftOut(item.item_id, "filtered", "it is the first turn of its speaker")
                else:
                    yield self._compared(dialogue[first : index + 1], group, parents, labels)

    def _compared(
        self, turns: list[ParentItem], group: str, parents: Parents, labels: LabelSchema
    ) -> Derived | LeftOut:
        before, item = turns[0], turns[-1]
        shown = self.shown(item, labels)
        if isinstance(shown, LeftOut):
            return shown
        was = {(answer.rater, answer.arm): answer for answer in before.answers if self.field in answer.values}
        answers = []
        for answer in item.answers:
            last = was.get((answer.rater, answer.arm))
            if last is not None and answer.rater is not None and self.field in answer.values:
                value = self._value(labels, parents.labels, last.values[self.field], answer.values[self.field])
                answers.append(Answer(answer.rater, answer.arm, {self.into: value}, last.evidence + answer.evidence))
        if not answers:
            return LeftOut(item.item_id, "unlabelled", f"no rater answered {self.field} for it and the turn before")
        passed = self.passed_on(labels, parents.labels).items()
        fields = {name: source for name, source in passed if name != self.into}
        dialogue = [{"speaker": turn.row["speaker"], "text": turn.row["text"]} for turn in turns]
        field = parents.labels.fields[self.field]
        named = sorted({", ".join(field.show(answer.values[self.field])) for answer in was.values()})
        return Derived(
            **{**shown, "dialogue": dialogue, "turn": len(turns) - 1},
            parents=(item, before, *turns[1:-1]),
            group=group,
            facts={"from": "; ".join(named)},
            answers=tuple(merged(answers, inherit(item.answers, fields))),
        )

    def _value(self, labels: LabelSchema, parent: LabelSchema, before: Any, after: Any) -> Any:
        target, source = labels.fields[self.into], parent.fields[self.field]
        if target.type == "scale":
            return target.check(float(after) - float(before))
        is_same = set(source.labels_of(before)) == set(source.labels_of(after))
        label = self.same if is_same else self.changed
        return target.check([label] if target.is_multiple else label)
