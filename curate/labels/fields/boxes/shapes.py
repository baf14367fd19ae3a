"""Boxes as fractions of a picture and as Label Studio's percentages, and how much boxes and tracks overlap."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from curate.labels.fields.numbers import checked_number
from curate.labels.fields.regions import Region

SIDES = ("x", "y", "width", "height")

_DIGITS = 6
_SMALLEST = 10.0**-_DIGITS
_PERCENT_DIGITS = 4


def checked_box(sides: Sequence[Any]) -> dict[str, float]:
    """Return a box within the picture, rounded to six digits; rounding errors beyond its edges are cut off.

    Raises ``ValueError`` for a box that is empty or reaches outside the picture.
    """
    x, y, width, height = (round(checked_number(side, 0, 1), _DIGITS) for side in sides)
    if width < _SMALLEST or height < _SMALLEST:
        raise ValueError("a box without extent")
    for begin, length in ((x, width), (y, height)):
        if begin + length > 1 + 2 * _SMALLEST:
            raise ValueError(f"a box reaches to {begin + length:g}, beyond the picture's end at 1")
    width, height = round(min(width, 1 - x), _DIGITS), round(min(height, 1 - y), _DIGITS)
    if not (width and height):
        raise ValueError("a box outside of the picture")
    return {"x": x, "y": y, "width": width, "height": height}


def to_percent(box: Mapping[str, Any]) -> dict[str, float]:
    """Return the box as Label Studio stores it."""
    return {**{side: round(box[side] * 100, _PERCENT_DIGITS) for side in SIDES}, "rotation": 0}


def to_fractions(value: Mapping[str, Any]) -> dict[str, float]:
    """Return a box from Label Studio, cut at the edges of the picture. Raises ``ValueError`` if it is rotated."""
    if checked_number(value.get("rotation") or 0, -3_600, 3_600) % 360:
        raise ValueError("a box is rotated; draw it upright")
    x, y, width, height = (checked_number(value.get(side), -1_000, 1_000) / 100 for side in SIDES)
    left, top = min(max(x, 0), 1), min(max(y, 0), 1)
    right, bottom = min(max(x + width, 0), 1), min(max(y + height, 0), 1)
    return {"x": left, "y": top, "width": max(right - left, 0), "height": max(bottom - top, 0)}


def box_of(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return only the four numbers of the box."""
    return {side: entry[side] for side in SIDES}


class TrackRegion(NamedTuple):
    """A box or a track of boxes as a region that raters are compared by."""

    label: str
    keyframes: Sequence[Mapping[str, Any]]

    @property
    def bounds(self) -> None:
        """None: a box has no two ends."""
        return None

    def overlap(self, region: Region) -> float:
        """Return the mean intersection over union at all keyframe times."""
        return _overlap(self.keyframes, region.keyframes) if isinstance(region, TrackRegion) else 0.0


def shared_area(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> float:
    """Return the overlap of tracks paired greedily within a label, as a share (0-1) of the larger number of tracks."""
    pairs = sorted(
        (-_overlap(a["keyframes"], b["keyframes"]), i, j)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if a["label"] == b["label"]
    )
    used: tuple[set[int], set[int]] = (set(), set())
    shared = 0.0
    for overlap, i, j in pairs:
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            shared -= overlap
    return shared / max(len(first), len(second))


def cut_track(keyframes: Sequence[Mapping[str, Any]], start_s: float, end_s: float) -> list[dict[str, Any]]:
    """Return the keyframes of a track from one time to another, with its box at these two where they cut it."""
    kept = [dict(keyframe) for keyframe in keyframes if start_s <= keyframe["time_s"] <= end_s]
    times = [keyframe["time_s"] for keyframe in keyframes]
    if times[0] < start_s and not any(keyframe["time_s"] == start_s for keyframe in kept):
        box = _visible_box(keyframes, start_s)
        kept = [{"time_s": start_s, **box, "visible": True}, *kept] if box else kept
    if times[-1] > end_s and kept and kept[-1]["time_s"] < end_s:
        box = _visible_box(keyframes, end_s)
        kept = [*kept, {"time_s": end_s, **box, "visible": True}] if box else kept
    return kept


def _overlap(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean intersection over union at all keyframe times of both tracks at which either is visible."""
    times = sorted({keyframe["time_s"] for track in (a, b) for keyframe in track})
    overlaps = []
    for time_s in times:
        first, second = _visible_box(a, time_s), _visible_box(b, time_s)
        if first or second:
            overlaps.append(_iou(first, second) if first and second else 0.0)
    return sum(overlaps) / len(overlaps) if overlaps else 1.0


def _visible_box(keyframes: Sequence[Mapping[str, Any]], time_s: float) -> dict[str, float] | None:
    """Return a track's box at a time, interpolated between keyframes, or None while it is not visible."""
    before = [keyframe for keyframe in keyframes if keyframe["time_s"] <= time_s]
    if not before:
        return None
    last = before[-1]
    if last["time_s"] == time_s:
        return box_of(last)
    if not last["visible"]:
        return None
    after = keyframes[len(before)] if len(before) < len(keyframes) else None
    if after is None:
        return box_of(last)
    share = (time_s - last["time_s"]) / (after["time_s"] - last["time_s"])
    return {side: last[side] + share * (after[side] - last[side]) for side in SIDES}


def _iou(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    shared = 1.0
    for begin, length in (("x", "width"), ("y", "height")):
        end = min(a[begin] + a[length], b[begin] + b[length])
        shared *= max(0.0, end - max(a[begin], b[begin]))
    areas = a["width"] * a["height"] + b["width"] * b["height"]
    return shared / (areas - shared)
