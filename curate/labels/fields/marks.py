"""Marks of other tools: labelled places in a text, in time or in a picture, before they are held to an item."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from curate.labels.fields.numbers import checked_number

SIDES = ("x", "y", "width", "height")
_MAX_PX = 1_000_000
_MARKS, _LINKS, _UNREADABLE = "marks", "links", "unreadable"


class Keyframe(NamedTuple):
    """A box of a track at a time. ``box`` is its left and upper edge, width and height."""

    time_s: float
    box: tuple[float, float, float, float]
    visible: bool = True


class Mark(NamedTuple):
    """A labelled place: code points of a text, seconds from the start of a file, or boxes in a picture.

    ``text`` quotes the text between ``start`` and ``end``; ``turn`` counts the turns of a dialogue from 0. Boxes are in
    units of which ``size`` (width, height) make the whole picture; without it, they are in pixels.
    """

    label: str
    name: str = ""
    turn: int | None = None
    start: int | None = None
    end: int | None = None
    text: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    box: tuple[float, float, float, float] | None = None
    track: tuple[Keyframe, ...] = ()
    size: tuple[float, float] | None = None


class Link(NamedTuple):
    """A line from one mark to another, by their names; ``label`` is None for one that has no name."""

    begin: str
    end: str
    label: str | None


class Marks(NamedTuple):
    """What a rater marked in an item, and lines between the marks."""

    marks: tuple[Mark, ...]
    links: tuple[Link, ...] = ()

    def to_json(self) -> str:
        """Return the marks as JSON; equal marks give equal text."""
        marks = [_without_defaults(mark) for mark in self.marks]
        return json.dumps({_MARKS: marks, _LINKS: [list(link) for link in self.links]}, ensure_ascii=False)


def unreadable(sentence: str) -> str:
    """Return JSON in place of marks that cannot be read; whoever needs them is told why."""
    return json.dumps({_UNREADABLE: sentence}, ensure_ascii=False)


def to_marks(value: Any) -> Marks | None:
    """Return the marks in parsed JSON that ``Marks.to_json`` wrote; None for other values.

    Raises ``ValueError`` for marks that are unreadable or not well formed.
    """
    if isinstance(value, Mapping) and set(value) == {_UNREADABLE}:
        raise ValueError(str(value[_UNREADABLE]))
    if not isinstance(value, Mapping) or set(value) != {_MARKS, _LINKS}:
        return None
    try:
        return _adapter().validate_python(value)
    except ValidationError as error:
        raise ValueError(f"it holds marks that are not well formed: {error.errors()[0]['msg']}") from None


@cache
def _adapter() -> TypeAdapter[Marks]:
    return TypeAdapter(Marks)


def to_fraction(box: Sequence[float], size: Sequence[float | None] | None) -> dict[str, float]:
    """Return a box as fractions of a picture of this size, cut at its edges.

    Raises ``ValueError`` if the size is not known, or for a box that lies outside.
    """
    width, height = size or (None, None)
    if not width or not height:
        raise ValueError("a box in pixels of a picture whose size is not known")
    x, y, w, h = (checked_number(side, -_MAX_PX, _MAX_PX) for side in box)
    if w < 0 or h < 0:
        raise ValueError("a box whose end is before its start")
    left, top = min(max(x / width, 0), 1), min(max(y / height, 0), 1)
    right, bottom = min(max((x + w) / width, 0), 1), min(max((y + h) / height, 0), 1)
    return dict(zip(SIDES, (left, top, right - left, bottom - top), strict=True))


def _without_defaults(mark: Mark) -> dict[str, Any]:
    return {name: value for name, value in mark._asdict().items() if value != Mark._field_defaults.get(name, "")}
