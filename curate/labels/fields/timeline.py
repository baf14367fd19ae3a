"""Labelled ranges of time in a video or a sound."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting

from curate.labels.fields.base import (
    DEFAULT_LANGUAGE,
    Aggregate,
    Field,
    How,
    Result,
    choice,
    class_label,
    is_enough,
    known_label,
    label_lines,
    list_of,
    members,
    one_label,
    scalar,
    strict_object,
    unanimous,
    value_of,
)
from curate.labels.fields.clock import LONGEST_S, checked_time, from_frame, in_item, to_frame
from curate.labels.layout import Layout, element
from curate.labels.strict import label_schema
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import WITH_TIME, ItemContext, Unit

_INSTANT_S = 0.001


class Timeline(Field):
    """A value is a list of ``{start_s, end_s, label}`` in order of start, end and label, without repetition.

    Times are seconds from the start of the item, to the millisecond, and for a video on its frames: frame ``n`` begins
    at ``(n - 1) / fps``, so a range ends where its last frame begins, and may be a single instant. With ``overlap:
    false`` one range may begin only where another has ended. Where an item has a video and a sound, ``over`` says which
    of the two it is about.
    """

    type: Literal["timeline"]
    taxonomy: Taxonomy
    over: Literal["video", "audio"] | None = None
    overlap: bool = True
    max_segments: int = Setting(default=100, ge=1, le=10_000)

    level: ClassVar[str] = "segments"

    @property
    def units(self) -> frozenset[Unit]:
        return WITH_TIME

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """The taxonomy's labels in order."""
        return self.taxonomy.names

    @property
    def arrow_type(self) -> pa.DataType:
        return _arrow(pa.string())

    @property
    def release_type(self) -> pa.DataType:
        return _arrow(pa.int64())

    @property
    def feature(self) -> dict[str, Any]:
        time = scalar("float64")
        return list_of({"start_s": time, "end_s": time, "label": class_label(self.labels)})

    def to_release(self, value: Any) -> Any:
        return [{**each, "label": self.labels.index(each["label"])} for each in value]

    def from_release(self, released: Any) -> Any:
        return [{**each, "label": self.labels[each["label"]]} for each in released]

    def labels_of(self, value: Any) -> list[str]:
        return [each["label"] for each in value]

    def json_schema(self) -> dict[str, Any]:
        time = {"type": "number", "minimum": 0, "maximum": LONGEST_S}
        label = label_schema(self.labels)
        segment = strict_object({"start_s": time, "end_s": time, "label": label})
        return {"type": "array", "items": segment, "maxItems": self.max_segments}

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        return self.check(answer, item) if answer else None

    def check(self, value: Any, item: ItemContext | None = None) -> list[dict[str, Any]]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("no range is given")
        if item is not None and self.over == "audio":
            item = item._replace(fps=None)
        found = set()
        for each in value:
            start, end, label = members(each, "start_s", "end_s", "label")
            start_s, end_s = checked_time(start, item), checked_time(end, item)
            if start_s > end_s:
                raise ValueError(f"a range ends at {end_s:g} s, before it starts at {start_s:g} s")
            found.add((start_s, end_s, self.labels.index(known_label(label, self.taxonomy))))
        if len(found) > self.max_segments:
            raise ValueError(f"{len(found)} ranges are more than {self.max_segments}")
        ordered = sorted(found)
        for (_, before, _), (start_s, _, _) in pairwise(ordered):
            if not self.overlap and start_s < before:
                raise ValueError(f"two ranges overlap at {start_s:g} s")
        return [{"start_s": start, "end_s": end, "label": self.labels[at]} for start, end, at in ordered]

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        to_name = self._object(layout)
        tag = "TimelineLabels" if layout.tag_of(to_name) == "Video" else "Labels"
        labels = [
            choice("Label", label.name, background=label.color, hotkey=label.hotkey, hint=label.definition)
            for label in self.taxonomy.labels
        ]
        return [element(tag, {"name": self.name, "toName": to_name, "choice": "single"}, labels)]

    def _object(self, layout: Layout) -> str:
        tags = {"video": ("Video",), "audio": ("Audio",), None: ("Video", "Audio")}[self.over]
        return layout.framed(self.name, layout.find(self.name, *tags))

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        to_name = self._object(layout)
        results = []
        for number, each in enumerate(self.check(value, item), start=1):
            start_s, end_s, label = each["start_s"], each["end_s"], each["label"]
            if layout.tag_of(to_name) == "Video":
                frames = {"start": to_frame(start_s, item), "end": to_frame(end_s, item)}
                content: Result = {"ranges": [frames], "timelinelabels": [label]}
                results.append(self.result("timelinelabels", content, to_name, region=str(number)))
            else:
                results.append(
                    self.result("labels", sound_region(start_s, end_s, label), to_name, region=str(number))
                    | ({} if item.duration_s is None else {"original_length": item.duration_s})
                )
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        segments = []
        for result in results:
            if result.get("type") == "timelinelabels":
                label = one_label(result, "timelinelabels", self.taxonomy)
                for start, end in _frames(value_of(result)):
                    times = {"start_s": from_frame(start, item), "end_s": from_frame(end, item)}
                    segments.append({**times, "label": label})
            else:
                label = one_label(result, "labels", self.taxonomy)
                start_s, end_s = in_item(value_of(result), item)
                segments.append({"start_s": start_s, "end_s": end_s, "label": label})
        return self.check(segments, item._replace(duration_s=None)) if segments else None

    def distance(self, one: Any, other: Any) -> float | None:
        """One minus the time labelled alike by both as a share of the time labelled by either, over all labels."""
        both = either = 0.0
        for label in {*self.labels_of(one), *self.labels_of(other)}:
            for length, votes in _pieces([one, other], label):
                both += length * (votes == 2)
                either += length * (votes > 0)
        return 1 - both / either

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        apart = "" if self.overlap else ", which do not overlap"
        return [
            f"Stretches of time in seconds from the item's start{apart}; an empty list where there is none. Labels:",
            *label_lines(self.taxonomy),
        ]

    def aggregate(self, values: Sequence[Any], how: How = "majority") -> Aggregate:
        """For each label, the time that more than half of the raters (or any, or all) give it.

        Where stretches may not overlap, union is no more than majority.
        """
        if unanimous(values):
            return Aggregate(values[0], {})
        settled = []
        for label in self.labels:
            for start_s, end_s in _settled(values, label, how if self.overlap or how != "union" else "majority"):
                settled.append({"start_s": start_s, "end_s": end_s, "label": label})
        return Aggregate(self.check(settled[: self.max_segments]) if settled else None, {})

    def describe(self) -> str:
        names = ", ".join(f"`{name}`" for name in self.labels)
        return f"**{self.name}**: ranges of time in seconds, each one of {names} ({self.taxonomy.title})"


def sound_region(start_s: float, end_s: float, label: str) -> Result:
    """The value of a region on a waveform."""
    return {"start": start_s, "end": end_s, "channel": 0, "labels": [label]}


def _arrow(label: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct({"start_s": pa.float64(), "end_s": pa.float64(), "label": label}))


def _frames(value: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    ranges = value.get("ranges")
    if not isinstance(ranges, list) or not all(isinstance(each, Mapping) for each in ranges):
        raise ValueError("a range of time without its frames")
    return [(each.get("start"), each.get("end")) for each in ranges]


def _pieces(values: Sequence[Any], label: str) -> list[tuple[float, int]]:
    """Length and number of raters of each stretch between two bounds; an instant counts as a millisecond."""
    covered = [
        [(e["start_s"], max(e["end_s"], e["start_s"] + _INSTANT_S)) for e in value if e["label"] == label]
        for value in values
    ]
    bounds = sorted({time for spans in covered for span in spans for time in span})
    return [
        (end - start, sum(any(a <= start and end <= b for a, b in spans) for spans in covered))
        for start, end in pairwise(bounds)
    ]


def _settled(values: Sequence[Any], label: str, how: How) -> list[tuple[float, float]]:
    """The stretches to which enough of the raters give a label, joined where they touch."""
    bounds = sorted({e[key] for value in values for e in value if e["label"] == label for key in ("start_s", "end_s")})
    joined: list[tuple[float, float]] = []
    for start, end in pairwise(bounds):
        votes = sum(
            any(e["label"] == label and e["start_s"] <= start and end <= e["end_s"] for e in value) for value in values
        )
        if not is_enough(votes, len(values), how):
            continue
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
