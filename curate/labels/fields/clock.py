"""Conversion between seconds and frames: Label Studio counts frames from 1, at the rate stated in the form."""

from collections.abc import Mapping
from typing import Any

from curate.labels.fields.numbers import checked_number
from curate.labels.units import ItemContext

MAX_S = 86_400
_DIGITS = 3
_TOLERANCE_S = 0.1


def checked_time(value: Any, item: ItemContext | None) -> float:
    """Return seconds from the start of the item, rounded to milliseconds, or to the nearest frame of a video.

    Up to a tenth of a second after the end counts as the end. Raises ``ValueError`` for anything later or not a time.
    """
    number = checked_number(value, 0, MAX_S)
    if item is None:
        return round(number, _DIGITS)
    if item.duration_s is not None:
        if number > item.duration_s + _TOLERANCE_S:
            raise ValueError(f"{number:g} s is after the end of the item at {item.duration_s:g} s")
        number = min(number, item.duration_s)
    seconds = round(number, _DIGITS)
    return _seconds(to_frame(seconds, item), item.fps) if item.fps else seconds


def to_frame(seconds: float, item: ItemContext) -> int:
    """Return the frame that starts nearest to a time. Raises ``ValueError`` if the frame rate is not known."""
    return round(seconds * rate_of(item)) + 1


def rate_of(item: ItemContext) -> float:
    """Return the frames per second of the item's video. Raises ``ValueError`` if that is not known."""
    if not item.fps:
        raise ValueError("the frame rate of the video is not known")
    return item.fps


def from_frame(frame: Any, item: ItemContext) -> float:
    """Return the second at which a frame starts. Raises ``ValueError`` for anything that is not a frame number."""
    number = checked_number(frame, 0, MAX_S * 1_000)
    return _seconds(max(int(number), 1), rate_of(item))


def times_within(start_s: float, end_s: float, item: ItemContext) -> tuple[float, float]:
    """Return a stretch that an annotator marked, cut at the end of the item.

    Raises ``ValueError`` if nothing of it is within the item. This holds for every field type with times.
    """
    if item.duration_s is not None and start_s >= item.duration_s:
        raise ValueError(f"{start_s:g} s is after the end of the item at {item.duration_s:g} s")
    return start_s, end_s if item.duration_s is None else min(end_s, item.duration_s)


def is_cut(end_s: float, item: ItemContext) -> bool:
    """Return whether a stretch exceeds the item by more than the copy on screen may."""
    return item.duration_s is not None and end_s > item.duration_s + _TOLERANCE_S


def keyframe_time(frame: Any, item: ItemContext) -> float:
    """Return the second of a frame that an annotator chose; the copy on screen may be a little longer than the item.

    Raises ``ValueError`` if it is more than a tenth of a second after the item's end.
    """
    seconds = from_frame(frame, item)
    if item.duration_s is not None and seconds > item.duration_s + _TOLERANCE_S:
        raise ValueError(f"{seconds:g} s is after the end of the item at {item.duration_s:g} s")
    return seconds


def region_times(region: Mapping[str, Any], item: ItemContext, *, digits: int = _DIGITS) -> tuple[float, float]:
    """Return start and end of a region on a waveform, cut at the ends of the item. Raises ``ValueError``."""
    start, end = (checked_number(region.get(key), -MAX_S, 2 * MAX_S) for key in ("start", "end"))
    start, end = times_within(min(max(start, 0), MAX_S), min(max(end, 0), MAX_S), item)
    return round(start, digits), round(end, digits)


def _seconds(frame: int, fps: float) -> float:
    return round((frame - 1) / fps, _DIGITS)
