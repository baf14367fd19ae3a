"""Units of annotation, and what a field needs to know about the item that it judges."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

Unit = Literal["utterance", "window", "frame", "clip", "image", "post", "dialogue", "pair"]
UNITS: frozenset[Unit] = frozenset(get_args(Unit))
Modality = Literal["video", "audio", "image", "text"]
"""What there is of an item to look at or listen to."""
WITH_TEXT: frozenset[Unit] = frozenset({"utterance", "window", "clip", "post"})
WITH_DIALOGUE: frozenset[Unit] = frozenset({"utterance", "window", "clip", "dialogue"})
WITH_TIME: frozenset[Unit] = frozenset({"utterance", "window", "clip", "dialogue"})
WITH_PICTURE: frozenset[Unit] = frozenset({"image", "frame"})

DEFAULT_FPS = 25.0


class Turn(NamedTuple):
    """One turn of a dialogue."""

    speaker: str | None
    text: str


class ItemContext(NamedTuple):
    """What is needed to locate a value in an item's text, time and picture; None for what is not known.

    ``fps`` is the frame rate of the viewing copy, in which Label Studio counts frames; None without a video.
    """

    text: str | None = None
    dialogue: tuple[Turn, ...] = ()
    duration_s: float | None = None
    fps: float | None = None
    width_px: int | None = None
    height_px: int | None = None


def to_context(item: Mapping[str, Any]) -> ItemContext:
    """Return the context in a row of ``items``."""
    start_s, end_s = item.get("start_s"), item.get("end_s")
    turns = item.get("dialogue")
    return ItemContext(
        text=item.get("text") or None,
        dialogue=tuple(Turn(turn["speaker"], turn["text"]) for turn in turns) if isinstance(turns, list) else (),
        duration_s=end_s - start_s if start_s is not None and end_s is not None else None,
        fps=(item.get("frame_rate_hz") or DEFAULT_FPS) if item.get("layout") == "video" else None,
        width_px=item.get("width_px"),
        height_px=item.get("height_px"),
    )
