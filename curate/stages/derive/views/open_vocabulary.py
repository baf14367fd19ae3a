"""Free words as labels of a taxonomy, such as an emotion wheel."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field

from curate.labels import LabelSchema
from curate.labels.fields import Category
from curate.labels.word_groups import group_words
from curate.stages.contract import Problem
from curate.stages.derive.parents import Answer, Parents
from curate.stages.derive.view import Derived, Draw, LeftOut, field_problems
from curate.stages.derive.whole import WholeView, inherit, merged


class OpenVocabulary(WholeView):
    """Groups each rater's free words by the names and synonyms of a taxonomy: that of the field that they become.

    The column ``unknown_words`` has the words that the taxonomy does not know. ``curate scores --words`` compares sets
    of words themselves.
    """

    view: Literal["open_vocabulary"]
    field: str
    """The field of the parents with free words."""
    into: str
    """The field of the derived items: a category with ``multiple: true``."""
    level: int | None = Field(default=None, ge=1, le=20)
    """The tier of a tree that words are grouped to, 1 being its roots; by default the label that a word means."""

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        yield from self.passing_problems(labels, parent)
        yield from field_problems(("into",), self.into, labels, "category")
        target = labels.fields.get(self.into)
        if isinstance(target, Category) and (not target.multiple or target.intensity is not None):
            yield ("into",), f"{self.into} must have `multiple: true`, and no intensities: a rater gives several words"
        if parent is not None:
            yield from field_problems(("field",), self.field, parent, "open_set")

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        passed = self.passed_on(labels, parents.labels).items()
        fields = {name: source for name, source in passed if name != self.into}
        target: Any = labels.fields[self.into]
        for item in parents:
            shown = self.shown(item, labels)
            if isinstance(shown, LeftOut):
                yield shown
                continue
            answers: list[Answer] = []
            unknown: dict[str, None] = {}
            for answer in item.answers:
                groups = group_words(answer.values.get(self.field, ()), target.taxonomy, level=self.level)
                unknown |= dict.fromkeys(groups.unknown)
                if chosen := target.taxonomy.compatible(groups.labels):
                    answers.append(answer._replace(values={self.into: chosen}))
            if not answers:
                sentence = f"no word of {self.field} is known to {target.taxonomy.taxonomy}"
                yield LeftOut(item.item_id, "unlabelled", sentence)
                continue
            facts = {"unknown_words": ", ".join(unknown)} if unknown else {}
            yield Derived(
                **shown, parents=(item,), facts=facts, answers=tuple(merged(answers, inherit(item.answers, fields)))
            )
