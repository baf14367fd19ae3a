"""Compound expressions: of two basic emotions, the pair that is most likely together."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pydantic import Field

from curate.errors import InvalidInput
from curate.labels import Field as LabelField
from curate.labels import LabelSchema
from curate.labels.maps import load_map
from curate.stages.contract import Problem
from curate.stages.derive.parents import Answer, ParentItem, Parents, shares_of
from curate.stages.derive.view import Derived, Draw, LeftOut, field_problems
from curate.stages.derive.whole import WholeView, inherit

Parts = Mapping[str, tuple[str, ...]]


class Compound(WholeView):
    """Gives each item the compound label whose two parts have the largest shares together.

    The compound labels are those of a taxonomy whose labels are ``composed_of`` others, such as cexpr7.v1,
    rafdb_compound11.v1 or plutchik_dyads24.v1. The column ``score`` is released with each item.
    """

    view: Literal["compound"]
    field: str
    """The field of the parents with the basic emotions."""
    into: str
    """The field of the derived items that gets the compound label."""
    rule: Literal["sum", "product"] = "sum"
    """How the shares of both parts are joined."""
    at_least: float = Field(default=0.0, ge=0, lt=1)
    """Both parts need a larger share than this."""
    ties: Literal["none", "first"] = "none"
    """Of compounds with the same score, none (the item is left out) or the taxonomy's first."""

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        yield from self.passing_problems(labels, parent)
        yield from field_problems(("into",), self.into, labels, "category")
        if self.into in self.fields:
            yield ("fields", self.into), f"{self.into} gets the compound label and cannot inherit"
        if parent is not None:
            yield from field_problems(("field",), self.field, parent, "category")
            if self.field in parent.fields and self.into in labels.fields and parent.fields[self.field].labels:
                try:
                    _parts_of(labels.fields[self.into], parent.fields[self.field])
                except InvalidInput as error:
                    yield ("into",), error.message

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        fields = {name: source for name, source in self.passed_on(labels, parents.labels).items() if name != self.into}
        target = labels.fields[self.into]
        parts = _parts_of(target, parents.labels.fields[self.field])
        for item in parents:
            shown, shares = self.shown(item, labels), self._shares(item, parents.labels)
            if isinstance(shown, LeftOut):
                yield shown
                continue
            if not shares:
                yield LeftOut(item.item_id, "unlabelled", f"nobody answered {self.field}")
                continue
            scores = self._scores(shares, parts)
            best = [label for label, score in scores.items() if score > max(scores.values()) - 1e-9]
            if not best:
                yield LeftOut(item.item_id, "unlabelled", f"no two emotions have a share above {self.at_least:g}")
            elif len(best) > 1 and self.ties == "none":
                yield LeftOut(item.item_id, "tied", "two compounds have the same score")
            else:
                used = tuple(name for answer in item.answers for name in answer.evidence if self.field in answer.values)
                value = target.check([best[0]] if target.is_multiple else best[0])
                compound = Answer(f"{self.rule} of {self.field} in {parents.corpus}", None, {self.into: value}, used)
                answers = (compound, *inherit(item.answers, fields))
                facts = {"score": f"{scores[best[0]]:.6f}", "parts": " and ".join(parts[best[0]])}
                yield Derived(**shown, parents=(item,), facts=facts, answers=answers)

    def _shares(self, item: ParentItem, labels: LabelSchema) -> dict[str, float]:
        """Return the shares of the basic emotions: of judgements, or else those of a model's label."""
        shares = shares_of(labels, item.answers, self.field)
        return shares or (dict(item.label["soft"].get(self.field, {})) if item.label is not None else {})

    def _scores(self, shares: Mapping[str, float], parts: Parts) -> dict[str, float]:
        scores = {}
        for label, (first, second) in parts.items():
            p, q = shares.get(first, 0.0), shares.get(second, 0.0)
            if p > self.at_least and q > self.at_least:
                scores[label] = p + q if self.rule == "sum" else p * q
        return scores


def _parts_of(target: LabelField, source: LabelField) -> Parts:
    """Return the two labels of ``source`` that each compound consists of. Raises ``InvalidInput``."""
    if target.scored_taxonomy is None or source.scored_taxonomy is None:
        raise InvalidInput(f"{target.name} and {source.name} must be categories without intensities")
    parts: dict[str, tuple[str, ...]] = {}
    for label in target.scored_taxonomy.labels:
        names = tuple(_basic(part, source) for part in label.composed_of)
        if len(set(names)) != 2:
            raise InvalidInput(f"{label.name!r} of {target.name} is not composed of two emotions of {source.name}")
        parts[label.name] = names
    return parts


def _basic(part: str, source: LabelField) -> str:
    """Return the label of ``source`` that a part of a compound, ``taxonomy:label``, stands for."""
    taxonomy, _, name = part.rpartition(":")
    if source.scored_taxonomy is not None and taxonomy and taxonomy != source.scored_taxonomy.taxonomy:
        mapped = load_map(taxonomy, source.scored_taxonomy.taxonomy).map_label(name)
        if len(mapped) != 1:
            raise InvalidInput(f"{part} is not one label of {source.scored_taxonomy.taxonomy}")
        name = mapped[0]
    if name not in source.labels:
        raise InvalidInput(f"{source.name} has no label {name!r}, a part of compounds")
    return name
