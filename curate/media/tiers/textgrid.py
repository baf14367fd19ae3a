"""Read and write Praat's TextGrid files: long and short text form, UTF-8 and UTF-16, interval and point tiers."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from curate.errors import InvalidRow
from curate.media.tiers.contents import (
    MAX_ANNOTATIONS,
    MAX_BYTES,
    MAX_TIERS,
    QUOTED,
    Annotation,
    Fault,
    Tier,
    TierFile,
    checked_seconds,
    text_problem,
    time_problem,
)
from curate.media.words.encodings import guess_encoding

INTERVALS, POINTS = "IntervalTier", "TextTier"
# Praat reads texts in quotation marks, numbers and flags that stand free; all else, such as `xmin =` or `[1]:`, is for
# people. A comment goes from `!` to the end of its line.
_TOKEN = re.compile(
    r'"(?:[^"]|"")*"|(?<!\S)[-+]?\d[\d.]*(?:[eE][-+]?\d+)?(?!\S)|(?<!\S)<[a-z]+>|(?<!\S)![^\n]*'
    r"|(?<!\S)(?:[-+]?(?i:nan|inf(?:inity)?)|--undefined--)(?!\S)"
)


class _Token(NamedTuple):
    line: int
    text: str


def read_textgrid(path: Path) -> TierFile:
    """Return what a file holds. Intervals without a text, which fill the gaps, are left out.

    Raises ``InvalidRow`` if the file as a whole cannot be read, such as if it ends early, and ``OSError``.
    """
    if path.stat().st_size > MAX_BYTES:
        raise InvalidRow(f"it is longer than {MAX_BYTES // 10**6} MB: split it in Praat (Extract part)")
    content = path.read_bytes()
    if content.startswith(b"ooBinaryFile"):
        raise InvalidRow("it is a binary TextGrid: save it in Praat as a text file")
    encoding, doubt = guess_encoding(content)
    if doubt:
        raise InvalidRow(f"it {doubt}")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidRow(f"it is damaged {error.encoding} text (byte {error.start})") from error
    if '"TextGrid"' not in text[:400]:
        raise InvalidRow('it is not a TextGrid: its second line is not Object class = "TextGrid"')
    return _Reader(text.replace("\r\n", "\n").replace("\r", "\n")).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = self._scan(text)
        self._line = 1

    def read(self) -> TierFile:
        # A file begins with its type and class, after which the times of all of it follow.
        while self._string() != "TextGrid":
            pass
        self._number()
        self._number()
        tiers: dict[str, Tier] = {}
        annotations: list[Annotation] = []
        faults: list[Fault] = []
        count = self._count("tiers", MAX_TIERS) if self._next().text == "<exists>" else 0
        for _ in range(count):
            kind, name = self._string(), self._string()
            if kind not in (INTERVALS, POINTS):
                raise InvalidRow(f"line {self._line}: {kind[:QUOTED]!r} is neither {INTERVALS} nor {POINTS}")
            if name in tiers:
                raise InvalidRow(f"line {self._line}: it has a second tier {name[:QUOTED]!r}: rename one of them")
            tiers[name] = Tier(name, kind=kind)
            self._number()
            self._number()
            for _ in range(self._count("annotations", MAX_ANNOTATIONS - len(annotations))):
                self._entry(name, kind == POINTS, annotations, faults)
        return TierFile(tiers, annotations, faults)

    def _entry(self, tier: str, is_point: bool, annotations: list[Annotation], faults: list[Fault]) -> None:
        start_s = self._time()
        line = self._line
        end_s = start_s if is_point else self._time()
        text = self._string()
        if not text.strip() and not is_point:
            return
        problem = time_problem(start_s, end_s, may_be_instant=is_point) or text_problem(text)
        if problem is not None:
            faults.append(Fault(line, f"line {line}, tier {tier[:QUOTED]!r}: {problem}"))
            return
        annotations.append(Annotation(line, tier, start_s, end_s, text))

    def _scan(self, text: str) -> Iterator[_Token]:
        line, position = 1, 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", position, match.start())
            position = match.start()
            if not match[0].startswith("!"):
                yield _Token(line, match[0])

    def _next(self) -> _Token:
        token = next(self._tokens, None)
        if token is None:
            raise InvalidRow(f"it ends after line {self._line}, before all of its annotations: save it in Praat again")
        self._line = token.line
        return token

    def _string(self) -> str:
        token = self._next()
        if not token.text.startswith('"'):
            raise InvalidRow(f"line {token.line}: {token.text[:QUOTED]!r} stands where a text is due")
        return token.text[1:-1].replace('""', '"')

    def _time(self) -> float:
        """Return a time, NaN for one that is none: it costs one annotation, and not the file."""
        token = self._next()
        try:
            return checked_seconds(token.text)
        except ValueError:
            if token.text.startswith(('"', "<")):
                raise InvalidRow(f"line {token.line}: {token.text[:QUOTED]!r} stands where a time is due") from None
            return math.nan

    def _number(self) -> float:
        token = self._next()
        try:
            return checked_seconds(token.text)
        except ValueError as error:
            raise InvalidRow(f"line {token.line}: {error}") from None

    def _count(self, noun: str, most: int) -> int:
        number = self._number()
        if number != int(number) or number < 0:
            raise InvalidRow(f"line {self._line}: {number:g} is not a number of {noun}")
        if number > most:
            raise InvalidRow(f"line {self._line}: it has more {noun} than can be read ({number:,.0f}): split it")
        return int(number)


def write_textgrid(tiers: Sequence[tuple[str, Sequence[Annotation]]], start_s: float, end_s: float) -> str:
    """Return a TextGrid in the long form, with an interval tier for each name; gaps are filled as Praat does.

    Annotations of a tier are sorted and do not overlap.
    """
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    lines += [f"xmin = {start_s!r} ", f"xmax = {end_s!r} ", "tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for number, (name, annotations) in enumerate(tiers, start=1):
        intervals = _filled(annotations, start_s, end_s)
        lines += [f"    item [{number}]:", f'        class = "{INTERVALS}" ', f"        name = {_quoted(name)} "]
        lines += [f"        xmin = {start_s!r} ", f"        xmax = {end_s!r} "]
        lines.append(f"        intervals: size = {len(intervals)} ")
        for index, (begin, end, text) in enumerate(intervals, start=1):
            lines += [f"        intervals [{index}]:", f"            xmin = {begin!r} ", f"            xmax = {end!r} "]
            lines.append(f"            text = {_quoted(text)} ")
    return "\n".join(lines) + "\n"


def _filled(annotations: Sequence[Annotation], start_s: float, end_s: float) -> list[tuple[float, float, str]]:
    intervals: list[tuple[float, float, str]] = []
    time_s = start_s
    for annotation in annotations:
        if annotation.start_s > time_s:
            intervals.append((time_s, annotation.start_s, ""))
        intervals.append((annotation.start_s, annotation.end_s, annotation.text))
        time_s = annotation.end_s
    if time_s < end_s:
        intervals.append((time_s, end_s, ""))
    return intervals


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
