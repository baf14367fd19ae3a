"""Seconds and frames: Label Studio counts the frames of a video from 1, at the rate that the form is told."""

from collections.abc import Mapping
from typing import Any

from curate.labels.fields.numbers import checked_number
from curate.labels.units import ItemContext

LONGEST_S = 86_400
_DIGITS = 3
_SLACK_S = 0.1


def checked_time(value: Any, item: ItemContext | None) -> float:
    """Seconds from the start of the item, to the millisecond; of a video, the nearest frame's.

    A tenth of a second past the end is the end. Raises ``ValueError``.
    """
    number = checked_number(value, 0, LONGEST_S)
    if item is None:
        return round(number, _DIGITS)
    if item.duration_s is not None:
        if number > item.duration_s + _SLACK_S:
            raise ValueError(f"{number:g} s is after the end of the item at {item.duration_s:g} s")
        number = min(number, item.duration_s)
    seconds = round(number, _DIGITS)
    return _seconds(to_frame(seconds, item), item.fps) if item.fps else seconds


def to_frame(seconds: float, item: ItemContext) -> int:
    """The frame that begins nearest to a time. Raises ``ValueError`` when the item's frame rate is not known."""
    return round(seconds * rate_of(item)) + 1


def rate_of(item: ItemContext) -> float:
    """The frames a second of the item's video. Raises ``ValueError`` when it is not known."""
    if not item.fps:
        raise ValueError("the frame rate of the video is not known")
    return item.fps


def from_frame(frame: Any, item: ItemContext) -> float:
    """When a frame begins. Raises ``ValueError`` for what is no frame."""
    number = checked_number(frame, 0, LONGEST_S * 1_000)
    return _seconds(max(int(number), 1), rate_of(item))


def in_item(region: Mapping[str, Any], item: ItemContext, *, digits: int = _DIGITS) -> tuple[float, float]:
    """Start and end of a region on a waveform, which people may draw a little over the ends. Raises ``ValueError``."""
    start, end = (checked_number(region.get(key), -LONGEST_S, 2 * LONGEST_S) for key in ("start", "end"))
    latest = item.duration_s if item.duration_s is not None else LONGEST_S
    return round(min(max(start, 0), latest), digits), round(min(max(end, 0), latest), digits)


def _seconds(frame: int, fps: float) -> float:
    return round((frame - 1) / fps, _DIGITS)
