"""Tracks of CVAT as keyframes: where a box was set, and the last frame before it leaves the picture."""

import math
from typing import TYPE_CHECKING

from curate.labels.fields.marks import Keyframe

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_Box = tuple[float, float, float, float]
_MAX = 1e7


def number_of(element: "Element", name: str, default: float | None = None) -> float:
    """Return a number that an element has. Raises ``ValueError``."""
    text = element.get(name)
    try:
        number = float(default if text is None and default is not None else (text or ""))
    except ValueError:
        number = math.nan
    if not abs(number) <= _MAX:
        raise ValueError(f"{name} of a {element.tag} is {str(text)[:40]!r}, which is not a number")
    return number


def to_track(track: "Element", frame_rate_hz: float | None) -> tuple[Keyframe, ...]:
    """Return the keyframes of a track of boxes; empty if it is never in the picture. Raises ``ValueError``.

    CVAT counts frames from 0. From a box that is ``outside`` on, the track is gone, and its box is that of the frame
    before: moved evenly, as between all keyframes. Boxes that are not keyframes are only what CVAT computed.
    """
    if frame_rate_hz is None:
        raise ValueError("the export counts frames and does not say how many there are in a second: set frame_rate_hz")
    boxes = [(round(number_of(box, "frame")), box) for box in track.findall("box")]
    boxes.sort(key=lambda entry: entry[0])
    if len({frame for frame, _ in boxes}) < len(boxes):
        raise ValueError("a track has two boxes in one frame")
    if any(number_of(box, "rotation", 0) % 360 for _, box in boxes):
        raise ValueError("a box of a track is rotated, which boxes here cannot be")
    placed = {frame: _sides(box) for frame, box in boxes}
    keyframes: dict[int, tuple[_Box, bool]] = {}
    last: int | None = None
    for frame, box in boxes:
        if box.get("outside") != "1":
            if box.get("keyframe") != "0" or last is None:
                keyframes[frame] = (placed[frame], True)
            last = frame
        elif last is not None:
            before = frame - 1
            keyframes[before] = (placed[before] if before in placed else _between(last, frame, placed), False)
            last = None
    return tuple(Keyframe(frame / frame_rate_hz, *keyframes[frame]) for frame in sorted(keyframes))


def _between(first: int, last: int, placed: dict[int, _Box]) -> _Box:
    """Return the box in the frame before ``last``, on the way there from ``first``."""
    share = (last - 1 - first) / (last - first)
    x, y, width, height = (a + share * (b - a) for a, b in zip(placed[first], placed[last], strict=True))
    return x, y, width, height


def _sides(box: "Element") -> _Box:
    left, top, right, bottom = (number_of(box, side) for side in ("xtl", "ytl", "xbr", "ybr"))
    return left, top, right - left, bottom - top
