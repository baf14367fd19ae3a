"""Boxes around faces and other things, on an image or through a video."""

from collections.abc import Mapping, Sequence
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
    control_suffix,
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
from curate.labels.fields.boxes.shapes import SIDES, box_at, checked_box, gap, to_fractions, to_percent
from curate.labels.fields.clock import LONGEST_S, checked_time, from_frame, rate_of, to_frame
from curate.labels.layout import Layout, element
from curate.labels.strict import label_schema
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import WITH_PICTURE, WITH_TIME, ItemContext, Unit


class Boxes(Field):
    """Over an image a value is a list of ``{x, y, width, height, label}``: fractions of the picture from its top left.

    Over a video it is a list of tracks ``{label, keyframes: [{time_s, x, y, width, height, visible}]}``: between two
    keyframes the box moves evenly, and after one that is not ``visible`` it is gone until the next. Fractions have six
    digits, times are those of frames (see ``timeline``). Boxes are in order of label, then of their numbers, each once;
    keyframes are in order of time, one at a time.
    """

    type: Literal["boxes"]
    over: Literal["image", "video"] = "image"
    taxonomy: Taxonomy
    max_boxes: int = Setting(default=50, ge=1, le=1_000)
    max_keyframes: int = Setting(default=500, ge=1, le=10_000)

    level: ClassVar[str] = "boxes"

    @property
    def units(self) -> frozenset[Unit]:
        return WITH_PICTURE if self.over == "image" else WITH_TIME

    @property
    def claim(self) -> str:
        return "boxes over a video" if self.over == "video" else ""

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """The taxonomy's labels in order."""
        return self.taxonomy.names

    @property
    def arrow_type(self) -> pa.DataType:
        return self._arrow(pa.string())

    @property
    def release_type(self) -> pa.DataType:
        return self._arrow(pa.int64())

    def _arrow(self, label: pa.DataType) -> pa.DataType:
        box = {side: pa.float64() for side in SIDES}
        if self.over == "image":
            return pa.list_(pa.struct({**box, "label": label}))
        keyframe = pa.struct({"time_s": pa.float64(), **box, "visible": pa.bool_()})
        return pa.list_(pa.struct({"label": label, "keyframes": pa.list_(keyframe)}))

    @property
    def feature(self) -> dict[str, Any]:
        label, box = class_label(self.labels), {side: scalar("float64") for side in SIDES}
        if self.over == "image":
            return list_of({**box, "label": label})
        keyframe = {"time_s": scalar("float64"), **box, "visible": scalar("bool")}
        return list_of({"label": label, "keyframes": list_of(keyframe)})

    def to_release(self, value: Any) -> Any:
        return [{**each, "label": self.labels.index(each["label"])} for each in value]

    def from_release(self, released: Any) -> Any:
        return [{**each, "label": self.labels[each["label"]]} for each in released]

    def labels_of(self, value: Any) -> list[str]:
        return [each["label"] for each in value]

    def json_schema(self) -> dict[str, Any]:
        label = label_schema(self.labels)
        box = {side: {"type": "number", "minimum": 0, "maximum": 1} for side in SIDES}
        if self.over == "image":
            return {"type": "array", "items": strict_object({**box, "label": label}), "maxItems": self.max_boxes}
        time = {"type": "number", "minimum": 0, "maximum": LONGEST_S}
        keyframe = strict_object({"time_s": time, **box, "visible": {"type": "boolean"}})
        keyframes = {"type": "array", "items": keyframe, "minItems": 1, "maxItems": self.max_keyframes}
        track = strict_object({"label": label, "keyframes": keyframes})
        return {"type": "array", "items": track, "maxItems": self.max_boxes}

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        return self.check(answer, item) if answer else None

    def check(self, value: Any, item: ItemContext | None = None) -> list[dict[str, Any]]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("no box is given")
        found: dict[Any, dict[str, Any]] = {}
        for each in value:
            if self.over == "image":
                *sides, label = members(each, *SIDES, "label")
                made: dict[str, Any] = {**checked_box(sides), "label": known_label(label, self.taxonomy)}
                key: Any = tuple(made[side] for side in SIDES)
            else:
                label, keyframes = members(each, "label", "keyframes")
                made = {"label": known_label(label, self.taxonomy), "keyframes": self._keyframes(keyframes, item)}
                key = tuple(tuple(keyframe.values()) for keyframe in made["keyframes"])
            found[self.labels.index(label), key] = made
        if len(found) > self.max_boxes:
            raise ValueError(f"{len(found)} boxes are more than {self.max_boxes}")
        return [found[key] for key in sorted(found)]

    def _keyframes(self, given: Any, item: ItemContext | None) -> list[dict[str, Any]]:
        if not isinstance(given, list | tuple) or not given:
            raise ValueError("a track without keyframes")
        found: dict[float, dict[str, Any]] = {}
        for each in given:
            time, *sides, visible = members(each, "time_s", *SIDES, "visible")
            if visible is not True and visible is not False:
                raise ValueError(f"visible is {repr(visible)[:40]}, and must be true or false")
            time_s = checked_time(time, item)
            if time_s in found:
                raise ValueError(f"a track has two keyframes at {time_s:g} s")
            found[time_s] = {"time_s": time_s, **checked_box(sides), "visible": visible}
        if len(found) > self.max_keyframes:
            raise ValueError(f"{len(found)} keyframes are more than {self.max_keyframes}")
        return [found[time_s] for time_s in sorted(found)]

    def _object(self, layout: Layout) -> str:
        tag = "Image" if self.over == "image" else "Video"
        return layout.framed(self.name, layout.find(self.name, tag))

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        to_name = self._object(layout)
        labels = [
            choice("Label", label.name, background=label.color, hotkey=label.hotkey, hint=label.definition)
            for label in self.taxonomy.labels
        ]
        named = {"name": self.name, "toName": to_name}
        if self.over == "image":
            return [element("RectangleLabels", {**named, "choice": "single", "canRotate": "false"}, labels)]
        kinds = element("Labels", {"name": f"{self.name}-label", "toName": to_name, "choice": "single"}, labels)
        return [kinds, ET.Element("VideoRectangle", named)]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        to_name = self._object(layout)
        checked = self.check(value, item)
        if self.over == "image":
            size = {"original_width": item.width_px, "original_height": item.height_px}
            known = {key: length for key, length in size.items() if length is not None}
            return [
                self.result(
                    "rectanglelabels",
                    {**to_percent(each), "rectanglelabels": [each["label"]]},
                    to_name,
                    region=str(number),
                )
                | {**known, "image_rotation": 0}
                for number, each in enumerate(checked, start=1)
            ]
        # Label Studio wants the length; where it is not known, the last keyframe tells the least that it can be.
        last_s = max(keyframe["time_s"] for each in checked for keyframe in each["keyframes"])
        seconds = item.duration_s if item.duration_s is not None else last_s + 1 / rate_of(item)
        length = {"framesCount": max(to_frame(seconds, item) - 1, 1), "duration": seconds}
        results = []
        for number, each in enumerate(checked, start=1):
            sequence = [
                {
                    "frame": to_frame(keyframe["time_s"], item),
                    "enabled": keyframe["visible"],
                    "time": to_frame(keyframe["time_s"], item) / rate_of(item),
                    **to_percent(keyframe),
                }
                for keyframe in each["keyframes"]
            ]
            content = {**length, "labels": [each["label"]], "sequence": sequence}
            results.append(self.result("videorectangle", content, to_name, region=str(number)))
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        if not results:
            return None
        if self.over == "image":
            return self.check(
                [
                    {**to_fractions(value_of(each)), "label": one_label(each, "rectanglelabels", self.taxonomy)}
                    for each in results
                ]
            )
        # The label of a drawn track may come in a result of its own, with the same id.
        drawn = [result for result in results if not control_suffix(result)]
        named = {str(result.get("id")): result for result in results if value_of(result).get("labels")}
        tracks = []
        for result in drawn:
            label = one_label(named.get(str(result.get("id")), result), "labels", self.taxonomy)
            tracks.append({"label": label, "keyframes": self._drawn_keyframes(value_of(result), item)})
        if lost := named.keys() - {str(result.get("id")) for result in drawn}:
            raise ValueError(f"a label without its box: {min(lost)}")
        return self.check(tracks, item._replace(duration_s=None))

    def _drawn_keyframes(self, value: Mapping[str, Any], item: ItemContext) -> list[dict[str, Any]]:
        sequence = value.get("sequence")
        if not isinstance(sequence, list) or not all(isinstance(each, Mapping) for each in sequence):
            raise ValueError("a box in a video without its keyframes")
        return [
            {
                "time_s": from_frame(each.get("frame"), item),
                **to_fractions(each),
                "visible": bool(each.get("enabled", True)),
            }
            for each in sequence
        ]

    def distance(self, one: Any, other: Any) -> float | None:
        """One minus the mean overlap (intersection over union) of paired boxes; one without a partner overlaps nothing.

        Boxes of one label are paired from the best overlap down; tracks overlap by their mean over all keyframe times.
        """
        return gap([self._moving(each) for each in one], [self._moving(each) for each in other])

    def _moving(self, each: Mapping[str, Any]) -> dict[str, Any]:
        """A box of an image as a track of one keyframe."""
        if self.over == "video":
            return dict(each)
        return {"label": each["label"], "keyframes": [{**box_at(each), "time_s": 0.0, "visible": True}]}

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        over = ", at each time in seconds at which its movement changes" if self.over == "video" else ""
        return [
            "Boxes by their left (x) and upper (y) edge, width and height, as fractions of the picture's width and "
            f"height from 0 to 1{over}; an empty list where there is none. Labels:",
            *label_lines(self.taxonomy),
        ]

    def aggregate(self, values: Sequence[Any], how: How = "majority") -> Aggregate:
        """The value of the rater who is nearest to all others, the first of those equally near."""
        if unanimous(values):
            return Aggregate(values[0], {})
        apart = [sum(self.distance(one, other) or 0.0 for other in values) for one in values]
        return Aggregate(values[apart.index(min(apart))], {})

    def describe(self) -> str:
        names = ", ".join(f"`{name}`" for name in self.labels)
        return f"**{self.name}**: boxes on the {self.over} in fractions of it, each one of {names}"
