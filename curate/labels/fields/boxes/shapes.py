"""Boxes as fractions of a picture, as Label Studio's percent, and how far two of them overlap."""

from collections.abc import Mapping, Sequence
from typing import Any

from curate.labels.fields.numbers import checked_number

SIDES = ("x", "y", "width", "height")

_DIGITS = 6
_SMALLEST = 10.0**-_DIGITS
_PERCENT_DIGITS = 4


def checked_box(sides: Sequence[Any]) -> dict[str, float]:
    """A box within the picture, to six digits. Raises ``ValueError``; a hair's breadth outside is cut off."""
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
    """The box as Label Studio keeps it."""
    return {**{side: round(box[side] * 100, _PERCENT_DIGITS) for side in SIDES}, "rotation": 0}


def to_fractions(value: Mapping[str, Any]) -> dict[str, float]:
    """A box that Label Studio keeps, cut at the edges of the picture. Raises ``ValueError`` for a turned one."""
    if checked_number(value.get("rotation") or 0, -3_600, 3_600) % 360:
        raise ValueError("a box is turned; draw it upright")
    x, y, width, height = (checked_number(value.get(side), -1_000, 1_000) / 100 for side in SIDES)
    left, top = min(max(x, 0), 1), min(max(y, 0), 1)
    right, bottom = min(max(x + width, 0), 1), min(max(y + height, 0), 1)
    return {"x": left, "y": top, "width": max(right - left, 0), "height": max(bottom - top, 0)}


def box_at(box: Mapping[str, Any]) -> dict[str, float]:
    """The four numbers of a box alone."""
    return {side: box[side] for side in SIDES}


def gap(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> float:
    """One minus the overlap of tracks paired greedily within a label, as a share of the larger number of tracks."""
    pairs = sorted(
        (-_overlap(first, second), a, b)
        for a, first in enumerate(one)
        for b, second in enumerate(other)
        if first["label"] == second["label"]
    )
    used: tuple[set[int], set[int]] = (set(), set())
    shared = 0.0
    for overlap, a, b in pairs:
        if a not in used[0] and b not in used[1]:
            used[0].add(a)
            used[1].add(b)
            shared -= overlap
    return 1 - shared / max(len(one), len(other))


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The mean intersection over union at all keyframe times of both where either is seen."""
    times = sorted({keyframe["time_s"] for track in (one, other) for keyframe in track["keyframes"]})
    found = []
    for time_s in times:
        first, second = _seen(one["keyframes"], time_s), _seen(other["keyframes"], time_s)
        if first or second:
            found.append(_iou(first, second) if first and second else 0.0)
    return sum(found) / len(found) if found else 1.0


def _seen(keyframes: Sequence[Mapping[str, Any]], time_s: float) -> dict[str, float] | None:
    """Where a track's box is at a time, None while it is not seen."""
    before = [keyframe for keyframe in keyframes if keyframe["time_s"] <= time_s]
    if not before:
        return None
    last = before[-1]
    if last["time_s"] == time_s:
        return box_at(last)
    if not last["visible"]:
        return None
    after = keyframes[len(before)] if len(before) < len(keyframes) else None
    if after is None:
        return box_at(last)
    share = (time_s - last["time_s"]) / (after["time_s"] - last["time_s"])
    return {side: last[side] + share * (after[side] - last[side]) for side in SIDES}


def _iou(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    shared = 1.0
    for begin, length in (("x", "width"), ("y", "height")):
        end = min(one[begin] + one[length], other[begin] + other[length])
        shared *= max(0.0, end - max(one[begin], other[begin]))
    areas = one["width"] * one["height"] + other["width"] * other["height"]
    return shared / (areas - shared)
