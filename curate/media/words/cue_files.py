"""Read the events of subtitle files: times and marked-up text, and what cannot be read, by line."""

import re
from collections.abc import Iterable
from typing import NamedTuple

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_HEAD = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_BROKEN_HEAD = re.compile(r"\s*\d.*-->")
_NUMBER = re.compile(r"\s*\d{1,6}\s*$")
_NOT_CUES = re.compile(r"(?:NOTE|STYLE|REGION|WEBVTT)(?:[ \t]|$)")
_LINE_END = re.compile(r"\r\n|\r|\n")
_ASS_FIELDS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
MAX_CUE_CHARS = 100_000
_MAX_QUOTED = 60


class CueEvent(NamedTuple):
    """One subtitle as it is in the file: times in seconds, marked-up text, and the speaker in a field of its own."""

    start_s: float
    end_s: float
    markup: str
    name: str = ""


class CueFile(NamedTuple):
    """The events of a file in its order, and one sentence for each that cannot be read."""

    events: list[CueEvent]
    problems: list[str]


def read_srt(content: str) -> CueFile:
    """Read SubRip: text goes on up to the next pair of times; numbers are optional.

    A number right before the times is the cue's number if a blank line or the start of a file comes before it, or if
    the cue before has one; every other number is text.
    """
    lines = _LINE_END.split(content)
    starts_file = {index for index, line in enumerate(lines) if line.startswith("\ufeff")}
    lines = [line.lstrip("\ufeff") for line in lines]
    heads = [index for index, line in enumerate(lines) if _HEAD.match(line) or _BROKEN_HEAD.match(line)]
    reader = _Reader()
    number: int | None = None
    firsts = []
    for head, floor in zip(heads, [-1, *heads], strict=False):
        first, number = _cue_start(lines, head, floor, number, starts_file)
        firsts.append(first)
    for head, end in zip(heads, [*firsts[1:], len(lines)], strict=False):
        reader.add(head + 1, lines[head], lines[head + 1 : end])
    return CueFile(reader.events, reader.problems)


def _cue_start(
    lines: list[str], head: int, floor: int, previous: int | None, starts_file: set[int]
) -> tuple[int, int | None]:
    """Return the first line of a cue, which is its number or its times, and the number."""

    def is_open(index: int) -> bool:
        return index == 0 or not lines[index - 1].strip() or index in starts_file

    above = head - 1
    if above > floor and _NUMBER.match(lines[above]) and (is_open(above) or previous is not None):
        return above, int(lines[above])
    while above > floor and not lines[above].strip():
        above -= 1
    if above > floor and _NUMBER.match(lines[above]) and is_open(above):
        number = int(lines[above])
        if floor < 0 or (previous is not None and number == previous + 1 and above > floor + 1):
            return above, number
    return head, None


def read_vtt(content: str) -> CueFile:
    """Read WebVTT: the text of a cue ends at an empty line; comments, styles, regions and identifiers are no text."""
    reader = _Reader()
    head: tuple[int, str] | None = None
    text: list[str] = []
    is_first, is_skipped = True, False

    def close(*, at_head: bool = False) -> None:
        nonlocal head
        # An identifier after a line that only looks empty.
        blanks = [index for index, line in enumerate(text) if not line.strip()]
        if at_head and blanks and blanks[-1] > 0 and blanks[-1] == len(text) - 2:
            text.pop()
        if head is not None:
            reader.add(*head, text)
        head = None
        text.clear()

    for number, line in enumerate(_LINE_END.split(content), start=1):
        if not line or line.startswith("\ufeff"):
            close()
            is_first, is_skipped, line = True, False, line.lstrip("\ufeff")
        if not line:
            continue
        if is_first and _NOT_CUES.match(line):
            # The header ends at the first cue, with or without an empty line before it.
            is_first, is_skipped = False, not line.startswith("WEBVTT")
        elif not is_skipped and (_HEAD.match(line) or _BROKEN_HEAD.match(line)):
            close(at_head=True)
            head, is_first = (number, line), False
        else:
            is_first = False
            text += [line] if head is not None else []
    close()
    return CueFile(reader.events, reader.problems)


def read_ass(content: str) -> CueFile:
    """Read the spoken events of ASS or SSA, whatever the order of their fields. Raises ``ValueError``."""
    import pysubs2

    # pysubs2 expects the usual order of fields and gives up at a bad style: it only gets events, in that order.
    order: Iterable[str] = _ASS_FIELDS
    dialogue = []
    for line in _LINE_END.split(content):
        kind, _, rest = line.strip().lstrip("\ufeff").partition(":")
        if kind == "Format" and "text" in rest.lower():
            order = [name.strip().lower() for name in rest.split(",")]
        elif kind == "Dialogue":
            names = list(order)
            fields = dict(zip(names, rest.split(",", len(names) - 1), strict=False))
            fields |= dict.fromkeys(("layer", "marginl", "marginr", "marginv"), "0")
            dialogue.append("Dialogue: " + ",".join(fields.get(name, "") for name in _ASS_FIELDS))
    try:
        events = pysubs2.SSAFile.from_string("[Events]\n" + "\n".join(dialogue), format_="ass").events
    except (pysubs2.Pysubs2Error, KeyError, IndexError, OverflowError) as error:
        raise ValueError(str(error)) from error
    reader = _Reader()
    for event in events:
        reader.keep(f"event {event.text[:_MAX_QUOTED]!r}", event.start / 1000, event.end / 1000, event.text, event.name)
    return CueFile(reader.events, reader.problems)


class _Reader:
    """Collects events, and sentences about cues that cannot be used."""

    def __init__(self) -> None:
        self.events: list[CueEvent] = []
        self.problems: list[str] = []

    def add(self, number: int, head: str, text: Iterable[str]) -> None:
        times = _HEAD.match(head)
        markup = "\n".join(line.replace("\0", "") for line in text).strip()
        start_s, end_s = (_seconds(*times.groups()[part : part + 4]) for part in (0, 4)) if times else (None, None)
        if start_s is None or end_s is None:
            self.problems.append(f"line {number}: {head.strip()[:_MAX_QUOTED]!r} is not a pair of times")
        else:
            self.keep(f"line {number}", start_s, end_s, markup)

    def keep(self, location: str, start_s: float, end_s: float, markup: str, name: str = "") -> None:
        if not markup:
            return
        if len(markup) > MAX_CUE_CHARS:
            self.problems.append(f"{location}: a cue of {len(markup)} characters; at most {MAX_CUE_CHARS} are read")
        elif not 0 <= start_s < end_s:
            self.problems.append(f"{location}: a cue from {start_s:g} to {end_s:g} s has no length")
        else:
            self.events.append(CueEvent(start_s, end_s, markup, name))


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float | None:
    if int(seconds) > 59 or (hours is not None and int(minutes) > 59):
        return None
    whole_s = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return whole_s + int((fraction or "").ljust(3, "0")) / 1000
