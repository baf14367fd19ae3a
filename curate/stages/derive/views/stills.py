"""Pictures of clips at given times, as items of their own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from curate.labels import Field as LabelField
from curate.labels import LabelSchema
from curate.stages.contract import Problem
from curate.stages.derive.parents import Answer, ParentItem, Parents
from curate.stages.derive.view import Derived, Draw, LeftOut, View, field_problems
from curate.stages.derive.whole import is_alike

_MS = 1_000


class Stills(View):
    """Takes pictures of each clip at the shares ``at`` of its length, or every so many seconds.

    A picture inherits fields: the labels of stretches in which its time lies, or the clip's own value of any other
    field. It is taken from the viewing copy.
    """

    view: Literal["stills"]
    at: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """When, as shares of the clip: 0 is its first picture, 0.5 the one in the middle."""
    every_s: float | None = Field(default=None, ge=0.001, le=3_600)
    """Or every so many seconds from the beginning on."""
    fields: dict[str, str] = Field(default={})
    """What each field of the pictures inherits: a field of the parents, such as ``expression: seen``."""

    @property
    def is_judged(self) -> bool:
        return bool(self.fields)

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        if self._unit(labels) is None:
            yield ("view",), f"stills makes items of unit frame or image; {labels.name} is about {labels.units[0]}"
        if bool(self.at) == (self.every_s is not None):
            yield ("at",), "name either `at` or `every_s`"
        for name, source in self.fields.items():
            location = ("fields", name)
            yield from field_problems(location, name, labels)
            if parent is None or name not in labels.fields:
                continue
            yield from field_problems(location, source, parent)
            if source not in parent.fields:
                continue
            if parent.fields[source].type == "timeline":
                yield from field_problems(location, name, labels, "category")
                unknown = [label for label in parent.fields[source].labels if label not in labels.fields[name].labels]
                if unknown:
                    yield location, f"{source} has the label {unknown[0]!r}, which {name} does not have"
            elif not is_alike(name, source, labels, parent):
                yield location, f"{name} cannot hold every value of {source}: their types, labels or scales differ"

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        for item in parents:
            if item.duration_s is None or item.row["layout"] != "video":
                yield LeftOut(item.item_id, "filtered", "it is not a clip with a picture")
            elif not item.row["video"]:
                sentence = "it has no viewing copy yet: `export` of its own corpus makes it"
                yield LeftOut(item.item_id, "unavailable", sentence)
            else:
                for time_ms in self._times(round(item.duration_s * _MS)):
                    yield self._still(item, time_ms, parents.labels, labels)

    def _still(self, item: ParentItem, time_ms: int, parent: LabelSchema, labels: LabelSchema) -> Derived | LeftOut:
        answers, is_tied = [], False
        for answer in item.answers:
            values: dict[str, Any] = {}
            for name, source in self.fields.items():
                present, tied = _value(labels.fields[name], parent.fields[source], answer.values.get(source), time_ms)
                is_tied |= tied
                values |= {} if present is None else {name: present}
            if values:
                answers.append(Answer(answer.rater, answer.arm, values, answer.evidence))
        if is_tied and not answers:
            return LeftOut(f"{item.item_id}:{time_ms}", "tied", "several labels hold at its time, and one is wanted")
        second = round(float(item.row["start_s"]) + time_ms / _MS, 3)
        return Derived(
            parents=(item,),
            unit=self._unit(labels) or "frame",
            detail=str(time_ms),
            text=item.row["text"],
            speaker=item.row["speaker"],
            start_s=second,
            end_s=second,
            media={"video": item.row["video"]},
            still_s=time_ms / _MS,
            layout="image",
            answers=tuple(answers),
        )

    def _times(self, duration_ms: int) -> Sequence[int]:
        """Return the times in milliseconds, each once; the last picture begins before the clip ends."""
        if self.every_s is not None:
            return range(0, max(1, duration_ms), max(1, round(self.every_s * _MS)))
        return sorted({min(round(share * duration_ms), max(0, duration_ms - 1)) for share in self.at})

    @staticmethod
    def _unit(labels: LabelSchema) -> str | None:
        return next((unit for unit in ("frame", "image") if unit in labels.units), None)


def _value(target: LabelField, source: LabelField, value: Any, time_ms: int) -> tuple[Any, bool]:
    """Return what a picture inherits from a value, or None, and whether several labels are to be one."""
    if value is None or source.type != "timeline":
        return value, False
    segments: Sequence[Mapping[str, Any]] = value
    held = {s["label"] for s in segments if round(s["start_s"] * _MS) <= time_ms < round(s["end_s"] * _MS)}
    chosen = [label for label in target.labels if label in held]
    if not chosen:
        return None, False
    if target.is_multiple:
        return chosen, False
    return (chosen[0], False) if len(chosen) == 1 else (None, True)
