"""The position of a span in a text: in code points for Python, and in the units of Label Studio's tags.

Label Studio's Text tag counts code points like Python, its Paragraphs tag UTF-16 units like JavaScript.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Position(NamedTuple):
    """A stretch of a text, its words, and the index of its label."""

    turn: int | None
    start: int
    end: int
    text: str
    label: int = 0

    def order(self) -> tuple[int, int, int, int]:
        """Return the sort key of spans in a value."""
        return (-1 if self.turn is None else self.turn, self.start, self.end, self.label)


def checked_position(turn: Any, start: Any, end: Any, text: Any, *, over: str, max_chars: int) -> Position:
    """Return a stretch that is consistent in itself, without blank ends. Raises ``ValueError``."""
    if over == "dialogue":
        if not _is_count(turn):
            raise ValueError(f"{repr(turn)[:40]} is not the number of a turn, counted from 0")
    elif turn is not None:
        raise ValueError("a span over an utterance has no turn")
    if not _is_count(start) or not _is_count(end) or start >= end:
        raise ValueError(f"a span from {repr(start)[:40]} to {repr(end)[:40]} is empty or not counted in characters")
    if not isinstance(text, str) or len(text) != end - start:
        raise ValueError(f"the text of the span from {start} to {end} does not have {end - start} characters")
    if len(text) > max_chars:
        raise ValueError(f"a span of {len(text)} characters is longer than {max_chars}")
    if not text.strip():
        raise ValueError(f"the span from {start} to {end} is blank")
    # Blank ends are slips of the mouse.
    before, after = len(text) - len(text.lstrip()), len(text) - len(text.rstrip())
    return Position(turn, start + before, end - after, text.strip())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def check_text(full_text: str, position: Position) -> None:
    """Raise ``ValueError`` unless the stretch of ``full_text`` is the span's text."""
    if full_text[position.start : position.end] != position.text:
        raise ValueError(f"{position.text[:60]!r} is not the text from {position.start} to {position.end}")


def find(full_text: str, quoted: str, occurrence: int) -> int:
    """Return the start of an occurrence of ``quoted`` (1-based, overlapping ones counted). Raises ``ValueError``."""
    start = -1
    for number in range(occurrence):
        start = full_text.find(quoted, start + 1)
        if start < 0:
            times = f"occurs only {number} times" if number else "does not occur"
            raise ValueError(f"{quoted[:60]!r} {times} in the text")
    return start


def occurrence_of(full_text: str, quoted: str, start: int) -> int:
    """Return which occurrence of ``quoted`` (1-based) begins at ``start``."""
    number, index = 1, full_text.find(quoted)
    while 0 <= index < start:
        number, index = number + 1, full_text.find(quoted, index + 1)
    return number


def to_offsets(span: Mapping[str, Any], full_text: str) -> dict[str, Any]:
    """Return start and end as Label Studio counts them in the tag that shows the text."""
    if span["turn"] is None:
        return {"start": span["start"], "end": span["end"]}
    turn = str(span["turn"])
    offsets = {f"{key}Offset": _utf16_length(full_text[: span[key]]) for key in ("start", "end")}
    return {"start": turn, "end": turn, **offsets}


def turn_of(value: Mapping[str, Any]) -> int:
    """Return the turn that a region in a dialogue lies in. Raises ``ValueError`` if it covers several."""
    start, end = str(value.get("start")), str(value.get("end"))
    if not start.isdecimal() or start != end:
        raise ValueError(f"a span reaches from turn {start[:20]} to turn {end[:20]}; it must lie in one")
    return int(start)


def from_offsets(value: Mapping[str, Any], turn: int | None, full_text: str) -> Position:
    """Return a region as a stretch of ``full_text``. Raises ``ValueError`` if it is outside, or the text changed."""
    keys = ("start", "end") if turn is None else ("startOffset", "endOffset")
    if not all(_is_count(value.get(key)) for key in keys):
        raise ValueError("a span without its position")
    start, end = (value[key] if turn is None else _code_points(full_text, value[key]) for key in keys)
    text = full_text[start:end]
    if end > len(full_text) or not text:
        raise ValueError(f"a span from {start} to {end} is not in a text of {len(full_text)} characters")
    marked = value.get("text")
    # The server writes line breaks in its own way.
    if isinstance(marked, str) and _without_spaces(marked) != _without_spaces(text):
        raise ValueError(f"the span was {marked[:60]!r}, and the text there is now {text[:60]!r}")
    return Position(turn, start, end, text)


def relations_of(result: Mapping[str, Any], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the relations of a line between two regions."""
    labels = result.get("labels")
    if not isinstance(labels, list) or not labels:
        # A line drawn by hand has no name until one is picked; if there is only one, that is meant.
        labels = list(names) if len(names) == 1 else [None]
    ends = str(result.get("from_id")), str(result.get("to_id"))
    directions = {"left": [ends[::-1]], "bi": [ends, ends[::-1]]}.get(str(result.get("direction")), [ends])
    for begin, end in directions:
        for label in labels:
            yield {"from": begin, "to": end, "label": label}


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _code_points(full_text: str, units: int) -> int:
    """Return the code points in the first ``units`` UTF-16 units; half a character counts as all of it."""
    encoded = full_text.encode("utf-16-le", "surrogatepass")
    if units * 2 > len(encoded):
        raise ValueError(f"a span at {units} is not in a text of {len(encoded) // 2} characters")
    return len(encoded[: units * 2].decode("utf-16-le", "ignore"))


def _without_spaces(text: str) -> str:
    return "".join(text.replace("\\n", "\n").split())
