"""Windows of fixed length, which inherit labels from the stretches of time that their parents are labelled with."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from curate.labels import Field as LabelField
from curate.labels import LabelSchema
from curate.labels.fields import Scale
from curate.stages.contract import Problem
from curate.stages.derive.parents import Answer, ParentItem, Parents
from curate.stages.derive.view import Derived, Draw, LeftOut, View, field_problems, unit_problems

_COVERING = ("timeline",)
_SAME = ("category", "scale", "open_set", "text")
_MS = 1_000
_TIED = object()


class Windows(View):
    """Cuts items that have a duration into windows, from their beginning on; a rest shorter than a window is left out.

    A stretch labels a window that it covers by at least the share ``at_least``. A trace gives a window the mean of its
    values in it; any other field gives every window its own value.
    """

    view: Literal["windows"]
    length_s: float = Field(gt=0, le=3_600)
    """How long a window is, such as 0.2."""
    hop_s: float | None = Field(default=None, gt=0, le=3_600)
    """From the beginning of one window to that of the next; by default the length, so that none overlap."""
    fields: dict[str, str] = Field(min_length=1)
    """What each field of the windows inherits: a field of the parents, such as ``emotion: seen``."""
    at_least: float = Field(default=0.5, gt=0, le=1)
    """The share of a window that stretches with a label must cover, together, for it to have the label."""
    ties: Literal["none", "first"] = "none"
    """For one label: of several that cover equally much, none (such windows are left out) or the taxonomy's first."""
    rest: dict[str, str] = Field(default={})
    """By field, the label of windows to which no stretch gives one, such as ``emotion: neutral``; else they have none.
    Who marked no stretch at all gives no label: nothing shows whether they looked."""
    unlabelled: bool = False
    """Whether windows that nobody gave a label are kept, for people to judge."""
    sound: bool = False
    """Whether windows have their sound; else they are times of their parent alone."""

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        yield from unit_problems(self.view, "window", labels)
        if round(self.length_s * _MS) < 1 or (self.hop_s is not None and round(self.hop_s * _MS) < 1):
            yield ("length_s",), "windows are cut to the millisecond: use 0.001 or more"
        for name, source in self.fields.items():
            yield from field_problems(("fields", name), name, labels, "category", "scale", *_SAME)
            if parent is not None:
                yield from field_problems(("fields", name), source, parent, *_COVERING, "trace", *_SAME)
                if name in labels.fields and source in parent.fields:
                    yield from _fit_problems(name, labels.fields[name], parent.fields[source])
        for name, label in self.rest.items():
            if name not in self.fields:
                yield ("rest", name), f"{name} inherits nothing: name it under `fields`"
            elif name in labels.fields and label not in labels.fields[name].labels:
                yield ("rest", name), f"{label!r} is not a label of {name}"

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        length_ms = round(self.length_s * _MS)
        for item in parents:
            duration_s = item.duration_s
            if duration_s is None:
                yield LeftOut(item.item_id, "filtered", "it has no duration")
                continue
            if self.sound and not item.row["audio"]:
                yield LeftOut(item.item_id, "no_audio", "it has no sound to cut")
                continue
            starts = _starts(round(duration_s * _MS), length_ms, round((self.hop_s or self.length_s) * _MS))
            if not starts:
                yield LeftOut(item.item_id, "too_short", f"it is shorter than a window of {self.length_s:g} s")
            for start_ms in starts:
                yield self._window(item, start_ms, length_ms, labels, parents.labels)

    def _window(
        self, item: ParentItem, start_ms: int, length_ms: int, labels: LabelSchema, parent: LabelSchema
    ) -> Derived | LeftOut:
        answers: list[Answer] = []
        is_tied = False
        for answer in item.answers:
            values = {}
            for name, source in self.fields.items():
                value = self._value(labels.fields[name], parent.fields[source], answer.values.get(source), start_ms)
                is_tied |= value is _TIED
                if value is not None and value is not _TIED:
                    values[name] = value
            if values:
                answers.append(answer._replace(values=values))
        name = f"{start_ms}-{start_ms + length_ms}"
        if not answers and not self.unlabelled:
            if is_tied:
                return LeftOut(f"{item.item_id}:{name}", "tied", "several labels cover the window equally much")
            sentence = f"no label covers {self.at_least:.0%} of the window"
            return LeftOut(f"{item.item_id}:{name}", "unlabelled", sentence)
        offset_s = float(item.row["start_s"])
        start_s, end_s = start_ms / _MS, (start_ms + length_ms) / _MS
        return Derived(
            parents=(item,),
            unit="window",
            detail=name,
            text=_words_in(item, offset_s + start_s, offset_s + end_s),
            speaker=item.row["speaker"],
            start_s=round(offset_s + start_s, 3),
            end_s=round(offset_s + end_s, 3),
            media={"audio": item.row["audio"]} if self.sound else {},
            cut_s=(start_s, end_s) if self.sound else None,
            layout="audio" if self.sound else "text",
            answers=tuple(answers),
        )

    def _value(self, target: LabelField, source: LabelField, value: Any, start_ms: int) -> Any:
        """Return what a window inherits: a value, None, or ``_TIED``."""
        end_ms = start_ms + round(self.length_s * _MS)
        if value is None:
            return None
        if source.type == "timeline":
            return self._covering(target, value, start_ms, end_ms)
        if source.type == "trace":
            return _mean(value, start_ms / _MS, end_ms / _MS)
        return value

    def _covering(self, target: LabelField, segments: Sequence[Mapping[str, Any]], start_ms: int, end_ms: int) -> Any:
        needed = self.at_least * (end_ms - start_ms)
        covered = {
            label: time_ms
            for label in target.labels
            if (time_ms := _covered_ms(segments, label, start_ms, end_ms)) >= needed - 1e-6
        }
        if not covered:
            label = self.rest.get(target.name)
            return None if label is None else ([label] if target.is_multiple else label)
        if target.is_multiple:
            return list(covered)
        best = [label for label, time_ms in covered.items() if time_ms == max(covered.values())]
        return best[0] if len(best) == 1 or self.ties == "first" else _TIED


def _fit_problems(name: str, target: LabelField, source: LabelField) -> Iterator[Problem]:
    location = ("fields", name)
    if source.type == "timeline" and (target.type != "category" or target.is_graded):
        yield location, f"{name} must be a category without intensities to inherit from {source.name}"
    elif source.type == "trace" and not (isinstance(target, Scale) and target.level == "interval"):
        yield location, f"{name} must be a scale of level interval to inherit from the trace {source.name}"
    elif source.type in ("trace", "scale") and source.ends != target.ends:
        yield location, f"{name} and {source.name} are scales with different ends"
    elif source.type in _SAME and source.arrow_type != target.arrow_type:
        yield location, f"{name} and {source.name} hold values of different kinds"
    if missing := [label for label in source.labels if target.labels and label not in target.labels]:
        yield location, f"{source.name} has the label {missing[0]!r}, which {name} does not have"


def _starts(duration_ms: int, length_ms: int, hop_ms: int) -> range:
    return range(0, duration_ms - length_ms + 1, hop_ms)


def _covered_ms(segments: Sequence[Mapping[str, Any]], label: str, start_ms: int, end_ms: int) -> int:
    """Return how many milliseconds stretches with a label cover; where two overlap, the time counts once."""
    covered, reached = 0, start_ms
    for segment in sorted(segments, key=lambda segment: float(segment["start_s"])):
        if segment["label"] == label:
            start, end = round(segment["start_s"] * _MS), min(round(segment["end_s"] * _MS), end_ms)
            covered += max(0, end - max(start, reached))
            reached = max(reached, end)
    return covered


def _mean(trace: Mapping[str, Any], start_s: float, end_s: float) -> float | None:
    """Return the mean of a trace's samples from ``start_s`` until before ``end_s``; None if none of them was judged."""
    first, last = (math.ceil(time_s / trace["step_s"] - 1e-6) for time_s in (start_s, end_s))
    values = [value for value in trace["values"][first:last] if value is not None]
    return sum(values) / len(values) if values else None


def _words_in(item: ParentItem, start_s: float, end_s: float) -> str | None:
    """Return the words of which at least half is said in a window."""
    words = item.row["words"] or ()
    spoken = [word["word"] for word in words if start_s <= (word["start_s"] + word["end_s"]) / 2 < end_s]
    return " ".join(spoken) or None
