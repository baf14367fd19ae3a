"""Boxes around faces and other things, on an image or through a video."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting

from curate.labels.features import Feature, class_label, from_class_ids, list_of, scalar, to_class_ids
from curate.labels.fields.base import Aggregate, AggregationRule, Comparison, Field
from curate.labels.fields.boxes.shapes import (
    SIDES,
    TrackRegion,
    box_of,
    checked_box,
    cut_track,
    shared_area,
    to_fractions,
    to_percent,
)
from curate.labels.fields.checks import known_label, label_lines, members, unanimous
from curate.labels.fields.clock import MAX_S, checked_time, keyframe_time, rate_of, to_frame
from curate.labels.fields.marks import Marks, to_fraction
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.fields.results import Result, control_suffix, region_label, value_of
from curate.labels.layout import Layout
from curate.labels.markup import element, region_labels
from curate.labels.strict import label_schema, strict_object
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import WITH_PICTURE, WITH_TIME, ItemContext, Unit


class Boxes(Field):
    """Over an image, a value is a list of ``{x, y, width, height, label}``, fractions of the picture from its top left.

    Over a video, it is a list of tracks ``{label, keyframes: [{time_s, x, y, width, height, visible}]}``: between two
    keyframes the box moves evenly, and after one that is not ``visible`` it is gone until the next. Fractions have six
    digits; times are the starts of frames (see ``timeline``). Boxes are distinct and sorted by label, then by their
    numbers; keyframes are sorted by time, one for each time.
    """

    type: Literal["boxes"]
    over: Literal["image", "video"] = "image"
    """Boxes in a picture, or boxes that move in a video."""
    taxonomy: Taxonomy
    """The taxonomy with the labels of boxes, by name."""
    max_boxes: int = Setting(default=50, ge=1, le=1_000)
    """The most boxes in a value."""
    max_keyframes: int = Setting(default=500, ge=1, le=10_000)
    """The most frames with a box of its own in a track."""

    @property
    def units(self) -> frozenset[Unit]:
        return WITH_PICTURE if self.over == "image" else WITH_TIME

    @property
    def labels(self) -> tuple[str, ...]:
        return self.taxonomy.names

    def check(self, value: Any, item: ItemContext | None = None) -> list[dict[str, Any]]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("no box is given")
        boxes: dict[Any, dict[str, Any]] = {}
        for entry in value:
            if self.over == "image":
                *sides, label = members(entry, *SIDES, "label")
                box: dict[str, Any] = {**checked_box(sides), "label": known_label(label, self.taxonomy)}
                key: Any = tuple(box[side] for side in SIDES)
            else:
                label, keyframes = members(entry, "label", "keyframes")
                box = {"label": known_label(label, self.taxonomy), "keyframes": self._check_keyframes(keyframes, item)}
                key = tuple(tuple(keyframe.values()) for keyframe in box["keyframes"])
            boxes[self.labels.index(label), key] = box
        if len(boxes) > self.max_boxes:
            raise ValueError(f"{len(boxes)} boxes are more than {self.max_boxes}")
        return [boxes[key] for key in sorted(boxes)]

    def within(self, value: Any, item: ItemContext, *, start_s: float = 0.0) -> Any:
        if self.over == "image":
            return value
        end_s = math.inf if item.duration_s is None else start_s + item.duration_s
        tracks = []
        for track in value:
            keyframes = [
                {**keyframe, "time_s": max(keyframe["time_s"] - start_s, 0.0)}
                for keyframe in cut_track(track["keyframes"], start_s, end_s)
            ]
            tracks += [{"label": track["label"], "keyframes": keyframes}] if keyframes else []
        return self.check(tracks, item) if tracks else None

    def _check_keyframes(self, value: Any, item: ItemContext | None) -> list[dict[str, Any]]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("a track without keyframes")
        keyframes: dict[float, dict[str, Any]] = {}
        for entry in value:
            time, *sides, visible = members(entry, "time_s", *SIDES, "visible")
            if visible is not True and visible is not False:
                raise ValueError(f"visible is {repr(visible)[:40]}, and must be true or false")
            time_s = checked_time(time, item)
            if time_s in keyframes:
                raise ValueError(f"a track has two keyframes at {time_s:g} s")
            keyframes[time_s] = {"time_s": time_s, **checked_box(sides), "visible": visible}
        if len(keyframes) > self.max_keyframes:
            raise ValueError(f"{len(keyframes)} keyframes are more than {self.max_keyframes}")
        return [keyframes[time_s] for time_s in sorted(keyframes)]

    @property
    def arrow_type(self) -> pa.DataType:
        box = {side: pa.float64() for side in SIDES}
        if self.over == "image":
            return pa.list_(pa.struct({**box, "label": pa.string()}))
        keyframe = pa.struct({"time_s": pa.float64(), **box, "visible": pa.bool_()})
        return pa.list_(pa.struct({"label": pa.string(), "keyframes": pa.list_(keyframe)}))

    @property
    def feature(self) -> Feature:
        label, box = class_label(self.labels), {side: scalar("float64") for side in SIDES}
        if self.over == "image":
            return list_of({**box, "label": label})
        keyframe = {"time_s": scalar("float64"), **box, "visible": scalar("bool")}
        return list_of({"label": label, "keyframes": list_of(keyframe)})

    def to_release(self, value: Any) -> Any:
        return to_class_ids(value, self.labels)

    def from_release(self, released: Any) -> Any:
        return from_class_ids(released, self.labels)

    def labels_of(self, value: Any) -> list[str]:
        return [box["label"] for box in value]

    def json_schema(self) -> dict[str, Any]:
        label = label_schema(self.labels)
        box = {side: {"type": "number", "minimum": 0, "maximum": 1} for side in SIDES}
        if self.over == "image":
            return {"type": "array", "items": strict_object({**box, "label": label}), "maxItems": self.max_boxes}
        time = {"type": "number", "minimum": 0, "maximum": MAX_S}
        keyframe = strict_object({"time_s": time, **box, "visible": {"type": "boolean"}})
        keyframes = {"type": "array", "items": keyframe, "minItems": 1, "maxItems": self.max_keyframes}
        track = strict_object({"label": label, "keyframes": keyframes})
        return {"type": "array", "items": track, "maxItems": self.max_boxes}

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        return self.check(answer, item) if answer else None

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        over = ", at each time in seconds at which its movement changes" if self.over == "video" else ""
        return [
            "Boxes by their left (x) and upper (y) edge, width and height, as fractions of the picture's width and "
            f"height from 0 to 1{over}; an empty list where there is none. Labels:",
            *label_lines(self.taxonomy),
        ]

    @property
    def marked_taxonomy(self) -> Taxonomy:
        return self.taxonomy

    def from_marks(self, marked: Marks, item: ItemContext) -> Any:
        """See ``Field.from_marks``: boxes are cut at the edges of the picture."""
        pixels = (item.width_px, item.height_px)
        boxes: list[dict[str, Any]] = []
        for mark in marked.marks:
            size = mark.size or pixels
            if self.over == "image":
                if mark.box is None:
                    raise ValueError(f"{mark.label!r} does not mark a box in a picture")
                boxes.append({**to_fraction(mark.box, size), "label": mark.label})
                continue
            if not mark.track:
                raise ValueError(f"{mark.label!r} does not mark a box that moves in a video")
            keyframes = [
                {"time_s": frame.time_s, **to_fraction(frame.box, size), "visible": frame.visible}
                for frame in mark.track
            ]
            boxes.append({"label": mark.label, "keyframes": keyframes})
        return self.check(boxes)

    @property
    def exclusive_part(self) -> str:
        return "boxes over a video" if self.over == "video" else ""

    @property
    def hotkey_control(self) -> str:
        return self.name if self.over == "image" else f"{self.name}-label"

    def _object(self, layout: Layout) -> str:
        tag = "Image" if self.over == "image" else "Video"
        return layout.framed(self.name, layout.find(self.name, tag))

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        common = {"name": self.name, "toName": self._object(layout)}
        labels = region_labels(self.taxonomy)
        if self.over == "image":
            return [element("RectangleLabels", {**common, "choice": "single", "canRotate": "false"}, labels)]
        control = {"name": f"{self.name}-label", "toName": common["toName"], "choice": "single"}
        return [element("Labels", control, labels), ET.Element("VideoRectangle", common)]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        to_name = self._object(layout)
        checked = self.check(value, item)
        if self.over == "image":
            return [
                self._image_result(box, to_name, item, region=str(number))
                for number, box in enumerate(checked, start=1)
            ]
        # Label Studio requires the length; if it is not known, the last keyframe gives the shortest one possible.
        last_s = max(keyframe["time_s"] for track in checked for keyframe in track["keyframes"])
        seconds = item.duration_s if item.duration_s is not None else last_s + 1 / rate_of(item)
        length = {"framesCount": max(to_frame(seconds, item) - 1, 1), "duration": seconds}
        results = []
        for number, track in enumerate(checked, start=1):
            sequence = [_to_sequence(keyframe, item) for keyframe in track["keyframes"]]
            content = {**length, "labels": [track["label"]], "sequence": sequence}
            results.append(self.result("videorectangle", content, to_name, region=str(number)))
        return results

    def _image_result(self, box: Mapping[str, Any], to_name: str, item: ItemContext, *, region: str) -> Result:
        size = {"original_width": item.width_px, "original_height": item.height_px}
        content = {**to_percent(box), "rectanglelabels": [box["label"]]}
        result = self.result("rectanglelabels", content, to_name, region=region)
        return result | {key: px for key, px in size.items() if px is not None} | {"image_rotation": 0}

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        if not results:
            return None
        if self.over == "image":
            key = "rectanglelabels"
            return self.check(
                [
                    {**to_fractions(value_of(result)), "label": region_label(result, key, self.taxonomy)}
                    for result in results
                ]
            )
        # The label of a drawn track may come in a result of its own, with the same id.
        drawn = [result for result in results if not control_suffix(result)]
        labelled = {str(result.get("id")): result for result in results if value_of(result).get("labels")}
        tracks = []
        for result in drawn:
            label = region_label(labelled.get(str(result.get("id")), result), "labels", self.taxonomy)
            tracks.append({"label": label, "keyframes": _from_sequence(value_of(result), item)})
        if orphans := labelled.keys() - {str(result.get("id")) for result in drawn}:
            raise ValueError(f"a label without its box: {min(orphans)}")
        return self.check(tracks, item._replace(duration_s=None))

    @property
    def comparison(self) -> Comparison:
        return "boxes"

    def comparable(self, value: Any) -> list[TrackRegion]:
        return [TrackRegion(box["label"], self._as_track(box)["keyframes"]) for box in value]

    def distance(self, a: Any, b: Any) -> float | None:
        """Return one minus the mean overlap (intersection over union) of paired boxes; unpaired ones overlap nothing.

        Boxes of the same label are paired greedily, best overlap first. The overlap of two tracks is the mean over all
        keyframe times.
        """
        return 1 - shared_area([self._as_track(box) for box in a], [self._as_track(box) for box in b])

    def _as_track(self, box: Mapping[str, Any]) -> dict[str, Any]:
        """Return a box of an image as a track with one keyframe."""
        if self.over == "video":
            return dict(box)
        return {"label": box["label"], "keyframes": [{**box_of(box), "time_s": 0.0, "visible": True}]}

    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Return the value with the smallest total distance to the others; the first of equally close ones."""
        if unanimous(values):
            return Aggregate(values[0], {})
        return Aggregate(
            min(values, key=lambda value: sum(self.distance(value, candidate) or 0.0 for candidate in values)), {}
        )

    def describe(self) -> str:
        names = ", ".join(f"`{name}`" for name in self.labels)
        return f"**{self.name}**: boxes on the {self.over} in fractions of it, each one of {names}"

    def show(self, value: Any) -> list[str]:
        parts = []
        for box in value:
            first = box if self.over == "image" else box["keyframes"][0]
            position = f"{box['label']} at {first['x']:.0%}, {first['y']:.0%}"
            parts.append(position if self.over == "image" else f"{position}, {first['time_s']:g} s")
        return parts


def _to_sequence(keyframe: Mapping[str, Any], item: ItemContext) -> dict[str, Any]:
    frame = to_frame(keyframe["time_s"], item)
    return {"frame": frame, "enabled": keyframe["visible"], "time": frame / rate_of(item), **to_percent(keyframe)}


def _from_sequence(value: Mapping[str, Any], item: ItemContext) -> list[dict[str, Any]]:
    sequence = value.get("sequence")
    if not isinstance(sequence, list) or not all(isinstance(entry, Mapping) for entry in sequence):
        raise ValueError("a box in a video without its keyframes")
    return [
        {
            "time_s": keyframe_time(entry.get("frame"), item),
            **to_fractions(entry),
            "visible": bool(entry.get("enabled", True)),
        }
        for entry in sequence
    ]
