"""Turns with the turns around them, from items that are turns."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from curate.labels import LabelSchema
from curate.labels.units import WITH_DIALOGUE
from curate.stages.contract import Problem
from curate.stages.derive.groups import connected_groups
from curate.stages.derive.parents import Parents
from curate.stages.derive.turns import group_turns
from curate.stages.derive.view import Derived, Draw, LeftOut
from curate.stages.derive.whole import WholeView, inherit


class Dialogues(WholeView):
    """Shows each item with a number of turns before and after it, in the columns that a dialogue has everywhere.

    Turns are the items of one source, or those that agree in a column; they are in the order of their times, or of a
    column with numbers.
    """

    view: Literal["dialogues"]
    before: int = Field(default=3, ge=0, le=50)
    """How many turns before an item are shown with it."""
    after: int = Field(default=0, ge=0, le=50)
    """How many after it."""
    by: str = "source"
    """What the turns of a dialogue have in common: ``source``, or a column such as ``Dialogue_ID``."""
    order: str | None = None
    """The column with numbers by which turns are in order, such as ``Utterance_ID``; by default turn, then time."""

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        if not WITH_DIALOGUE & set(labels.units) and "post" not in labels.units:
            yield ("view",), f"{labels.name} is about {' and '.join(labels.units)}, which no dialogue is shown with"
        yield from self.passing_problems(labels, parent)

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        fields = self.passed_on(labels, parents.labels)
        dialogues, left_out = group_turns(parents, self.by, self.order)
        yield from left_out
        # Those that are shown with each other never part, whatever groups they are of in their own corpus.
        groups = connected_groups([[item.group for item in dialogue] for dialogue in dialogues])
        for dialogue, group in zip(dialogues, groups, strict=True):
            for index, item in enumerate(dialogue):
                shown = self.shown(item, labels)
                if isinstance(shown, LeftOut):
                    yield shown
                    continue
                first = max(0, index - self.before)
                around = dialogue[first : index + self.after + 1]
                turns = [{"speaker": turn.row["speaker"], "text": turn.row["text"]} for turn in around]
                answers = tuple(inherit(item.answers, fields))
                yield Derived(
                    **{**shown, "dialogue": turns, "turn": index - first},
                    parents=(item, *(turn for turn in around if turn is not item)),
                    group=group,
                    answers=answers,
                )
