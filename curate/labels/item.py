"""What a field may know of the item that it judges."""

from typing import Literal, NamedTuple

Unit = Literal["utterance", "window", "frame", "clip", "image", "post", "dialogue", "pair"]
UNITS: frozenset[Unit] = frozenset({"utterance", "window", "frame", "clip", "image", "post", "dialogue", "pair"})
Shown = Literal["video", "audio", "image", "text"]
"""What there is to look at of an item."""
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
    """The item behind a value: what is needed to place it in text, time and picture. None where not known.

    ``fps`` is the frame rate of the viewing copy, by which Label Studio counts frames; None where there is no video.
    """

    text: str | None = None
    dialogue: tuple[Turn, ...] = ()
    duration_s: float | None = None
    fps: float | None = None
    width_px: int | None = None
    height_px: int | None = None
