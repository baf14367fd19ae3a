"""Views that keep items whole: what they show, and which of their fields pass on as they are."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field

from curate.labels import LabelSchema
from curate.stages.contract import Problem
from curate.stages.derive.parents import Answer, ParentItem
from curate.stages.derive.view import LeftOut, View, field_problems

_COLUMNS = ("text", "text_b", "statement", "speaker", "start_s", "end_s")
_MEDIA = ("audio", "video", "image")


class WholeView(View):
    """A view whose items have the text, times and media of their parents, and whose fields may pass on."""

    fields: dict[str, str] = Field(default={})
    """Fields that pass on as they are: a field of the derived items, and that of the parents, such as
    ``emotion: emotion``; by default those of the same name and kind."""
    media: bool = True
    """Whether items have the media of their parents; else only their texts."""

    def passed_on(self, labels: LabelSchema, parent: LabelSchema) -> Mapping[str, str]:
        """Return the fields of the parents that pass on, by the fields of the derived items."""
        if self.fields:
            return self.fields
        return {name: name for name in labels.fields if name in parent.fields and is_alike(name, name, labels, parent)}

    def passing_problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterator[Problem]:
        """Yield what is wrong with ``fields``."""
        for name, source in self.fields.items():
            location = ("fields", name)
            yield from field_problems(location, name, labels)
            if parent is None or name not in labels.fields:
                continue
            yield from field_problems(location, source, parent)
            if source in parent.fields and not is_alike(name, source, labels, parent):
                yield location, f"{name} cannot hold every value of {source}: their types, labels or scales differ"

    def shown(self, item: ParentItem, labels: LabelSchema) -> dict[str, Any] | LeftOut:
        """Return the unit of a derived item, and what it shows of its parent, as settings of ``Derived``."""
        row = item.row
        if row["unit"] not in labels.units:
            sentence = f"{labels.name} is about {' and '.join(labels.units)}, and it is of unit {row['unit']}"
            return LeftOut(item.item_id, "no_unit", sentence)
        columns = {name: row[name] for name in ("unit", *_COLUMNS)}
        turns = [{"speaker": turn["speaker"], "text": turn["text"]} for turn in row["dialogue"] or ()]
        columns |= {"dialogue": turns or None, "turn": _position(row)}
        if not self.media or row["layout"] in (None, "text"):
            return columns
        if row["layout"] == "video" and not row["video"]:
            sentence = "it has no viewing copy yet: `export` of its own corpus makes it; or write `media: false`"
            return LeftOut(item.item_id, "unavailable", sentence)
        return columns | {"media": {name: row[name] for name in _MEDIA if row[name]}, "layout": row["layout"]}


def inherit(answers: Iterable[Answer], fields: Mapping[str, str]) -> Iterator[Answer]:
    """Yield the answers that say anything of the fields that pass on, in the names of the derived items."""
    for answer in answers:
        values = {name: answer.values[source] for name, source in fields.items() if source in answer.values}
        if values:
            yield answer._replace(values=values)


def merged(answers: Iterable[Answer], inherited: Iterable[Answer]) -> Iterator[Answer]:
    """Yield answers together with what else the same rater said of the item in the same judgement."""
    by_judgement = {(answer.rater, answer.arm, answer.evidence[-1:]): answer for answer in inherited}
    for answer in answers:
        other = by_judgement.pop((answer.rater, answer.arm, answer.evidence[-1:]), None)
        yield answer if other is None else answer._replace(values={**other.values, **answer.values})
    yield from by_judgement.values()


def is_alike(name: str, source: str, labels: LabelSchema, parent: LabelSchema) -> bool:
    """Return whether a field can hold every value of a field of the parents."""
    target, other = labels.fields[name], parent.fields[source]
    names = set(other.labels) <= set(target.labels) and target.arrow_type == other.arrow_type
    return names and target.type == other.type and target.ends == other.ends


def _position(row: Mapping[str, Any]) -> int | None:
    """Return which of the turns that an item holds is its own: contexts may begin anywhere in a dialogue."""
    numbers = [turn["turn"] for turn in row["dialogue"] or ()]
    return numbers.index(row["turn"]) if row["turn"] in numbers else None
