"""What curate writes into a file of tiers beside the tiers, so that it knows the file again."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from curate.labels import Field, LabelSchema
from curate.media.tiers.contents import Annotation, TierFile

Form = Literal["elan", "textgrid"]
SUFFIXES: Mapping[Form, str] = {"elan": ".eaf", "textgrid": ".TextGrid"}
ITEM, SCHEMA, FROM = "curate:item_id", "curate:labels", "curate:from:"
NOTE_TIER = "curate"
"""The tier of a TextGrid that says what ELAN keeps as properties"""
_LANE = re.compile(r"(?P<name>.+?)#(?P<number>[2-9]|[1-9]\d{1,2})")
_INSTANT_S = 0.001


class FileNotes(NamedTuple):
    """Which item a file is of, under which label schema, and the pre-label that each field started from."""

    item_id: str
    schema: str
    started_from: Mapping[str, str]

    def to_properties(self) -> dict[str, str]:
        """Return the notes as properties of an ``.eaf`` file."""
        sources = {f"{FROM}{field}": prelabel_id for field, prelabel_id in self.started_from.items()}
        return {ITEM: self.item_id, SCHEMA: self.schema, **sources}

    def to_text(self) -> str:
        """Return the notes as the text of an interval."""
        return " ".join(f"{name}={value}" for name, value in self.to_properties().items())


def notes_of(tiers: TierFile) -> FileNotes | None:
    """Return the notes in a file; None if curate did not write it."""
    properties = dict(tiers.properties)
    for annotation in tiers.annotations:
        if annotation.tier == NOTE_TIER:
            properties |= dict(part.split("=", 1) for part in annotation.text.split() if "=" in part)
    if not properties.get(ITEM) or not properties.get(SCHEMA):
        return None
    started = {name.removeprefix(FROM): value.strip() for name, value in properties.items() if name.startswith(FROM)}
    return FileNotes(properties[ITEM].strip(), properties[SCHEMA].strip(), started)


def timelines(labels: LabelSchema) -> dict[str, Field]:
    """Return the fields whose values are labelled stretches of time."""
    return {name: field for name, field in labels.fields.items() if field.comparison == "ranges"}


def to_lanes(value: Sequence[Mapping[str, Any]], tier: str) -> list[list[Annotation]]:
    """Return stretches as annotations, in as many lines as it takes for none to overlap: tiers hold no overlaps."""
    lanes: list[list[Annotation]] = []
    for segment in value:
        start_s = segment["start_s"]
        # An annotation has a length, so that an instant takes a millisecond.
        end_s = max(segment["end_s"], round(start_s + _INSTANT_S, 3))
        annotation = Annotation(0, tier, start_s, end_s, segment["label"])
        lane = next((lane for lane in lanes if lane[-1].end_s <= start_s), None)
        if lane is None:
            lanes.append([annotation])
        else:
            lane.append(annotation)
    return lanes


def lane_name(tier: str, number: int) -> str:
    """Return the name of a tier that is one of several lines, from 0."""
    return tier if number == 0 else f"{tier}#{number + 1}"


def field_of(tier: str, fields: Mapping[str, Field]) -> str | None:
    """Return the field whose tier, or one of whose lines, this is; None if it is another tier."""
    if tier in fields:
        return tier
    match = _LANE.fullmatch(tier)
    return match["name"] if match and match["name"] in fields else None


def to_segment(annotation: Annotation, start_s: float, label: str) -> dict[str, Any]:
    """Return an annotation as a stretch whose times count from ``start_s`` of the file's clock."""
    begin, end = annotation.start_s - start_s, annotation.end_s - start_s
    is_instant = end - begin <= _INSTANT_S * 1.5
    return {"start_s": round(begin, 3), "end_s": round(begin if is_instant else end, 3), "label": label}
