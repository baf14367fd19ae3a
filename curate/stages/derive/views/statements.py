"""Statements about items, true by their label and false by others, to be judged or to train with."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from curate.labels import LabelSchema
from curate.stages.contract import Problem
from curate.stages.derive.parents import Answer, ParentItem, Parents
from curate.stages.derive.view import Derived, Draw, LeftOut, field_problems
from curate.stages.derive.whole import WholeView

_SLOT = "{label}"


class Statements(WholeView):
    """States each label of an item, which is true, and some labels that nobody gave it, which is false.

    The truth is the judgement of one rater, named after the other corpus; people can judge the statements, too.
    """

    view: Literal["statements"]
    field: str
    """The field of the parents whose labels are stated; the aggregated label of people counts."""
    says: str = Field(min_length=1, max_length=500)
    """The sentence, with ``{label}`` where the label goes, such as ``The speaker shows {label}.``"""
    words: dict[str, str] = Field(default={})
    """What stands for a label in the sentence, by label; by default its name."""
    wrong: int = Field(default=1, ge=0, le=100)
    """How many false statements there are for each item, drawn by the recipe's seed."""
    into: str = "holds"
    """The field of the derived items that says whether a statement is true."""
    true: str = "True"
    """The label of true statements."""
    false: str = "False"
    """The label of false statements."""

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        yield from self.passing_problems(labels, parent)
        if self.says.count(_SLOT) != 1:
            yield ("says",), "write {label} once in the sentence, where the label goes"
        yield from field_problems(("into",), self.into, labels, "category")
        for name in ("true", "false") if self.into in labels.fields else ():
            if (label := getattr(self, name)) not in labels.fields[self.into].labels:
                yield (name,), f"{label!r} is not a label of {self.into}: {', '.join(labels.fields[self.into].labels)}"
        if parent is not None:
            yield from field_problems(("field",), self.field, parent, "category")
            known = parent.fields[self.field].labels if self.field in parent.fields else tuple(self.words)
            for label in self.words:
                if label not in known:
                    yield ("words", label), f"{label!r} is not a label of {self.field}"

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        field = parents.labels.fields[self.field]
        for item in parents:
            shown = self.shown(item, labels)
            if isinstance(shown, LeftOut):
                yield shown
                continue
            value = None if item.label is None else item.label[self.field]
            if value is None:
                yield LeftOut(item.item_id, "unlabelled", f"it has no aggregated label of {self.field}")
                continue
            if item.label is not None and item.label.get("label_source") == "model":
                yield LeftOut(
                    item.item_id, "unlabelled", "only a model labelled it, and statements go by people's labels"
                )
                continue
            right = field.labels_of(value)
            values = [answer.values[self.field] for answer in item.answers if self.field in answer.values]
            mentioned = {*right, *(name for given in values for name in field.labels_of(given))}
            wrong = sorted(
                (label for label in field.labels if label not in mentioned),
                key=lambda label: (draw.number("wrong", item.item_id, label), label),
            )[: self.wrong]
            if len(wrong) < self.wrong:
                sentence = f"somebody named all but {len(wrong)} labels: it has fewer false statements"
                yield LeftOut(item.item_id, "filtered", sentence)
            for label in (*right, *wrong):
                yield self._stated(item, label, labels, shown, parents.corpus, is_true=label in right)

    def _stated(
        self, item: ParentItem, label: str, labels: LabelSchema, shown: dict[str, object], corpus: str, *, is_true: bool
    ) -> Derived:
        target = labels.fields[self.into]
        verdict = self.true if is_true else self.false
        evidence = tuple((item.label or {}).get("evidence") or ())
        value = target.check([verdict] if target.is_multiple else verdict)
        statement = self.says.replace(_SLOT, self.words.get(label, label))
        return Derived(
            **{**shown, "statement": statement},  # type: ignore[arg-type]
            parents=(item,),
            detail=label,
            facts={"label": label},
            answers=(Answer(f"labels of {corpus}", None, {self.into: value}, evidence),),
        )
