"""Labelled ranges of time in a video or a sound."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting

from curate.labels.features import Feature, class_label, from_class_ids, list_of, scalar, to_class_ids
from curate.labels.fields.base import Aggregate, AggregationRule, Comparison, Field
from curate.labels.fields.checks import known_label, label_lines, members, unanimous
from curate.labels.fields.clock import MAX_S, checked_time, from_frame, is_cut, region_times, times_within, to_frame
from curate.labels.fields.marks import Marks
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.fields.regions import Interval
from curate.labels.fields.results import Result, region_label, value_of
from curate.labels.fields.timeline.votes import agreed_segments, best_supported, shared_time
from curate.labels.layout import Layout
from curate.labels.markup import element, region_labels
from curate.labels.strict import label_schema, strict_object
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import WITH_TIME, ItemContext, Unit


class Timeline(Field):
    """A value is a list of distinct ``{start_s, end_s, label}``, sorted by start, end and label.

    Times are seconds from the start of the item, rounded to milliseconds, and in a video the starts of frames: frame
    ``n`` starts at ``(n - 1) / fps``, so a range ends where its last frame starts, and may be a single instant. With
    ``overlap: false``, a range may start only where the one before has ended. ``over`` selects the video or the sound
    of an item that has both.
    """

    type: Literal["timeline"]
    taxonomy: Taxonomy
    """The taxonomy with the labels of stretches, by name."""
    over: Literal["video", "audio"] | None = None
    """What is marked: the video's or the sound's timeline; by default the one that there is."""
    overlap: bool = True
    """Whether a stretch may start before the one before it has ended."""
    max_segments: int = Setting(default=100, ge=1, le=10_000)
    """The most stretches in a value."""

    @property
    def units(self) -> frozenset[Unit]:
        return WITH_TIME

    @property
    def labels(self) -> tuple[str, ...]:
        return self.taxonomy.names

    def check(self, value: Any, item: ItemContext | None = None) -> list[dict[str, Any]]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("no range is given")
        if item is not None and self.over == "audio":
            item = item._replace(fps=None)
        ranges = set()
        for entry in value:
            start, end, label = members(entry, "start_s", "end_s", "label")
            start_s, end_s = checked_time(start, item), checked_time(end, item)
            if start_s > end_s:
                raise ValueError(f"a range ends at {end_s:g} s, before it starts at {start_s:g} s")
            ranges.add((start_s, end_s, self.labels.index(known_label(label, self.taxonomy))))
        if len(ranges) > self.max_segments:
            raise ValueError(f"{len(ranges)} ranges are more than {self.max_segments}")
        ordered = sorted(ranges)
        for (_, previous_end_s, _), (start_s, _, _) in pairwise(ordered):
            if not self.overlap and start_s < previous_end_s:
                raise ValueError(f"two ranges overlap at {start_s:g} s")
        return [{"start_s": start, "end_s": end, "label": self.labels[index]} for start, end, index in ordered]

    def within(self, value: Any, item: ItemContext, *, start_s: float = 0.0) -> Any:
        segments = []
        for segment in value:
            begin, end = segment["start_s"] - start_s, segment["end_s"] - start_s
            is_before = end < 0 or (end == 0 > begin)
            if not is_before and (item.duration_s is None or begin < item.duration_s):
                begin, end = times_within(max(begin, 0.0), end, item)
                segments.append({"start_s": begin, "end_s": end, "label": segment["label"]})
        return self.check(segments, item) if segments else None

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.list_(pa.struct({"start_s": pa.float64(), "end_s": pa.float64(), "label": pa.string()}))

    @property
    def feature(self) -> Feature:
        time = scalar("float64")
        return list_of({"start_s": time, "end_s": time, "label": class_label(self.labels)})

    def to_release(self, value: Any) -> Any:
        return to_class_ids(value, self.labels)

    def from_release(self, released: Any) -> Any:
        return from_class_ids(released, self.labels)

    def labels_of(self, value: Any) -> list[str]:
        return [segment["label"] for segment in value]

    def json_schema(self) -> dict[str, Any]:
        time = {"type": "number", "minimum": 0, "maximum": MAX_S}
        segment = strict_object({"start_s": time, "end_s": time, "label": label_schema(self.labels)})
        return {"type": "array", "items": segment, "maxItems": self.max_segments}

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        return self.check(answer, item) if answer else None

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        apart = "" if self.overlap else ", which do not overlap"
        return [
            f"Stretches of time in seconds from the item's start{apart}; an empty list where there is none. Labels:",
            *label_lines(self.taxonomy),
        ]

    @property
    def marked_taxonomy(self) -> Taxonomy:
        return self.taxonomy

    def from_marks(self, marked: Marks, item: ItemContext) -> Any:
        segments = []
        for mark in marked.marks:
            if mark.start_s is None or mark.end_s is None:
                raise ValueError(f"{mark.label!r} does not mark a stretch of time")
            # Label Studio lets people drag a stretch beyond the start of a sound.
            start_s = max(mark.start_s, 0.0) if mark.end_s > 0 else mark.start_s
            segments.append({"start_s": start_s, "end_s": mark.end_s, "label": mark.label})
        return self.check(segments)

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        to_name = self._object(layout)
        tag = "TimelineLabels" if layout.tag_of(to_name) == "Video" else "Labels"
        attributes = {"name": self.name, "toName": to_name, "choice": "single"}
        return [element(tag, attributes, region_labels(self.taxonomy))]

    def _object(self, layout: Layout) -> str:
        tags = {"video": ("Video",), "audio": ("Audio",), None: ("Video", "Audio")}[self.over]
        return layout.framed(self.name, layout.find(self.name, *tags))

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        to_name = self._object(layout)
        is_video = layout.tag_of(to_name) == "Video"
        kind = "timelinelabels" if is_video else "labels"
        length = {} if is_video or item.duration_s is None else {"original_length": item.duration_s}
        results = []
        for number, segment in enumerate(self.check(value, item), start=1):
            start_s, end_s, label = segment["start_s"], segment["end_s"], segment["label"]
            if is_video:
                frames = {"start": to_frame(start_s, item), "end": to_frame(end_s, item)}
                content: Result = {"ranges": [frames], "timelinelabels": [label]}
            else:
                content = {"start": start_s, "end": end_s, "channel": 0, "labels": [label]}
            results.append(self.result(kind, content, to_name, region=str(number)) | length)
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        segments = []
        for result in results:
            if result.get("type") == "timelinelabels":
                label = region_label(result, "timelinelabels", self.taxonomy)
                frames = _frames(value_of(result))
                times = [times_within(from_frame(a, item), from_frame(b, item), item) for a, b in frames]
            else:
                label = region_label(result, "labels", self.taxonomy)
                times = [region_times(value_of(result), item)]
            segments += [{"start_s": start_s, "end_s": end_s, "label": label} for start_s, end_s in times]
        return self.check(segments, item._replace(duration_s=None)) if segments else None

    def count_cut(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> int:
        values = [(result.get("type"), value_of(result)) for result in results]
        ends = [
            from_frame(end, item) for kind, value in values if kind == "timelinelabels" for _, end in _frames(value)
        ]
        ends += [float(value["end"]) for kind, value in values if kind != "timelinelabels"]
        return sum(is_cut(end_s, item) for end_s in ends)

    @property
    def comparison(self) -> Comparison:
        return "ranges"

    def comparable(self, value: Any) -> list[Interval]:
        return [Interval(segment["label"], segment["start_s"], segment["end_s"]) for segment in value]

    def distance(self, a: Any, b: Any) -> float | None:
        """Return one minus the time labelled alike as a share of the time labelled by either, over all labels."""
        return 1 - shared_time(a, b)

    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Return the time to which enough raters give each label.

        Where ranges may not overlap, union is the same as majority. Of too many or overlapping ranges, those with the
        most raters are kept.
        """
        if unanimous(values):
            return Aggregate(values[0], {})
        if rule == "union" and not self.overlap:
            rule = "majority"
        segments = [segment for label in self.labels for segment in agreed_segments(values, label, rule)]
        best = best_supported(segments, self.max_segments, overlap=self.overlap)
        agreed = [{"start_s": s.start_s, "end_s": s.end_s, "label": s.label} for s in best]
        return Aggregate(self.check(agreed) if agreed else None, {})

    def describe(self) -> str:
        names = ", ".join(f"`{name}`" for name in self.labels)
        return f"**{self.name}**: ranges of time in seconds, each one of {names} ({self.taxonomy.title})"

    def show(self, value: Any) -> list[str]:
        return [f"{segment['label']} {segment['start_s']:g}–{segment['end_s']:g} s" for segment in value]


def _frames(value: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    ranges = value.get("ranges")
    if not isinstance(ranges, list) or not all(isinstance(frames, Mapping) for frames in ranges):
        raise ValueError("a range of time without its frames")
    return [(frames.get("start"), frames.get("end")) for frames in ranges]
