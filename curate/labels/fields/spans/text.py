"""Where a span stands in a text: for Python in code points, for Label Studio in what its tags count.

Label Studio's Text tag counts code points like Python, its Paragraphs tag UTF-16 units like JavaScript.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Place(NamedTuple):
    """A stretch of a text, its words, and the number of its label."""

    turn: int | None
    start: int
    end: int
    text: str
    label: int = 0

    def order(self) -> tuple[int, int, int, int]:
        """What spans are sorted by."""
        return (-1 if self.turn is None else self.turn, self.start, self.end, self.label)


def checked_place(turn: Any, start: Any, end: Any, text: Any, *, over: str, max_chars: int) -> Place:
    """A stretch that makes sense by itself, without blank ends. Raises ``ValueError``."""
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
    return Place(turn, start + before, end - after, text.strip())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def check_text(whole: str, place: Place) -> None:
    """Raise ``ValueError`` unless the stretch of ``whole`` is the span's text."""
    if whole[place.start : place.end] != place.text:
        raise ValueError(f"{place.text[:60]!r} is not what stands from {place.start} to {place.end}")


def find(whole: str, quoted: str, occurrence: int) -> int:
    """Where a quotation begins the n-th time, overlapping ones counted. Raises ``ValueError`` when it does not."""
    at = -1
    for number in range(occurrence):
        at = whole.find(quoted, at + 1)
        if at < 0:
            times = f"only {number} times" if number else "not"
            raise ValueError(f"{quoted[:60]!r} stands {times} in the text")
    return at


def occurrence(whole: str, quoted: str, start: int) -> int:
    """The how-manieth time, from 1, a quotation begins at ``start``."""
    number, at = 1, whole.find(quoted)
    while 0 <= at < start:
        number, at = number + 1, whole.find(quoted, at + 1)
    return number


def to_offsets(span: Mapping[str, Any], whole: str) -> dict[str, Any]:
    """Start and end as Label Studio counts them in the tag that shows the text."""
    if span["turn"] is None:
        return {"start": span["start"], "end": span["end"]}
    turn = str(span["turn"])
    units = {key: _units(whole[: span[of]]) for key, of in (("startOffset", "start"), ("endOffset", "end"))}
    return {"start": turn, "end": turn, **units}


def turn_of(value: Mapping[str, Any]) -> int:
    """The one turn that a region in a dialogue lies in. Raises ``ValueError`` when it reaches over several."""
    start, end = str(value.get("start")), str(value.get("end"))
    if not start.isdecimal() or start != end:
        raise ValueError(f"a span reaches from turn {start[:20]} to turn {end[:20]}; it must lie in one")
    return int(start)


def from_offsets(value: Mapping[str, Any], turn: int | None, whole: str) -> Place:
    """A region as a stretch of ``whole``. Raises ``ValueError`` when it is not in it, or not its text any more."""
    keys = ("start", "end") if turn is None else ("startOffset", "endOffset")
    given = [value[key] for key in keys if _is_count(value.get(key))]
    if len(given) != len(keys):
        raise ValueError("a span without its place")
    start, end = given
    if turn is not None:
        start, end = _points(whole, start), _points(whole, end)
    found = whole[start:end]
    if end > len(whole) or not found:
        raise ValueError(f"a span from {start} to {end} is not in a text of {len(whole)} characters")
    told = value.get("text")
    # The server writes line breaks in its own way.
    if isinstance(told, str) and _bare(told) != _bare(found):
        raise ValueError(f"the span was {told[:60]!r}, and {found[:60]!r} stands there now")
    return Place(turn, start, end, found)


def relations_of(result: Mapping[str, Any], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The relations that a line between two regions stands for. Raises ``ValueError`` for one without a name."""
    labels = result.get("labels")
    if not isinstance(labels, list) or not labels:
        # A line drawn by hand has no name until one is picked; where there is only one, that is meant.
        if len(names) != 1:
            raise ValueError(f"a relation without a name; pick one of {', '.join(names) or 'none'}")
        labels = list(names)
    ends = str(result.get("from_id")), str(result.get("to_id"))
    ways = {"left": [ends[::-1]], "bi": [ends, ends[::-1]]}.get(str(result.get("direction")), [ends])
    for begin, end in ways:
        for label in labels:
            yield {"from": begin, "to": end, "label": label}


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _points(whole: str, units: int) -> int:
    """Code points for UTF-16 units, where a half of a character counts as all of it."""
    encoded = whole.encode("utf-16-le", "surrogatepass")
    if units * 2 > len(encoded):
        raise ValueError(f"a span at {units} is not in a text of {len(encoded) // 2} characters")
    return len(encoded[: units * 2].decode("utf-16-le", "ignore"))


def _bare(text: str) -> str:
    return "".join(text.replace("\\n", "\n").split())
