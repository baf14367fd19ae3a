"""Marked-up subtitle text as cues: plain text, speakers, and the times of words that have their own."""

import html
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from curate.media.container.decode import Span
from curate.media.words.cue_files import CueEvent
from curate.media.words.spread import Word, spread_words

# No two parts of these patterns can match the same character, so that matching takes linear time.
_TAG_NAMES = (
    "a|b|big|br|c|center|div|em|font|i|lang|p|rp|rt|ruby|s|small|span|strike|strong|sub|sup|tt|u|v|del|ins|blink"
)
_STAMP = r"<(?P<hours>\d+:)?(?P<minutes>\d\d):(?P<seconds>\d\d\.\d{3})>"
_STAMPED = re.compile(_STAMP)
_MARKED = re.compile(r"[<&{\\]")
_HTML = rf"<(?P<close>/?)(?P<tag>{_TAG_NAMES})(?P<classes>\.[^\s<>]*)?(?P<rest>\s[^<>]*)?/?>"
_TOKEN = re.compile(rf"{_STAMP}|{_HTML}|\{{(?P<override>\\[^{{}}]*)\}}", re.IGNORECASE)
_ASS_TOKEN = re.compile(rf"{_STAMP}|{_HTML}|\\(?P<escape>[Nnh{{}}])|\{{(?P<override>[^{{}}]*)\}}", re.IGNORECASE)
_KARAOKE = re.compile(r"\\[kK][fo]?(\d{1,6})")
_DRAWING = re.compile(r"\\p(\d+)")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_PREFIX = re.compile(r"^\s*[-–—]?\s*([^\W\d_][^:\n]{0,39}):\s+")
_TOUCHING_S, _GLIMPSE_S = 0.06, 0.06


class Cue(NamedTuple):
    """One subtitle: a span, what is said, who says it, and when each word is said if the file says so."""

    span: Span
    text: str
    speaker: str | None
    words: tuple[Word, ...] = ()


class _Part:
    """The text of one speaker in an event, cut at the times in it."""

    def __init__(self, speaker: str | None, start_s: float) -> None:
        self.speaker = speaker
        self.starts = [start_s]
        self.texts: list[list[str]] = [[]]

    def cut(self, start_s: float) -> None:
        self.starts.append(start_s)
        self.texts.append([])

    def lines(self) -> list[str]:
        return "".join(text for texts in self.texts for text in texts).split("\n")


def to_cues(events: Sequence[CueEvent], *, is_ass: bool) -> list[Cue]:
    """Return the cues of events, in order of time; those without text are left out.

    Lines of rolling captions that were on screen before are not repeated. Tags, override codes and drawings are no
    text; ``<3``, ``List<String>`` and ``x < y`` are.
    """
    cues = [cue for event in _unroll(events, is_ass=is_ass) for cue in _event_cues(event, is_ass=is_ass)]
    return sorted(cues, key=lambda cue: cue.span)


def _event_cues(event: CueEvent, *, is_ass: bool) -> list[Cue]:
    span = Span(event.start_s, event.end_s)
    parts = _parts(event, is_ass=is_ass)
    ends = [*(part.starts[0] for part in parts[1:]), span.end_s]
    cues = []
    for part, end_s in zip(parts, ends, strict=True):
        text, speaker = "\n".join(map(_unescape, part.lines())), part.speaker
        prefix = _PREFIX.match(text)
        if speaker is None and prefix and prefix.group(1).isupper():
            speaker, text = _tidy(prefix.group(1)), text[prefix.end() :]
        text = _tidy(" ".join(re.sub(r"^\s*[-–—]\s+", "", line) for line in text.split("\n")))
        if text:
            words = _timed_words(part, span, end_s if end_s > part.starts[-1] else span.end_s)
            # A speaker's prefix and dashes are not words: times only count if nothing was removed.
            cues.append(Cue(span, text, speaker, words if " ".join(word.text for word in words) == text else ()))
    return cues


def _parts(event: CueEvent, *, is_ass: bool) -> list[_Part]:
    parts = [_Part(_tidy(event.name) or None, event.start_s)]
    position, sung_s, is_drawing = 0, 0.0, False
    markup = event.markup

    def add(text: str) -> None:
        if not is_drawing:
            parts[-1].texts[-1].append(text)

    for token in _tokens(markup, is_ass=is_ass):
        add(markup[position : token.start()])
        position = token.end()
        groups = token.groupdict()
        tag = (groups["tag"] or "").lower()
        if groups["seconds"]:
            hours = int((groups["hours"] or "0:")[:-1])
            parts[-1].cut((hours * 60 + int(groups["minutes"])) * 60 + float(groups["seconds"]))
        elif tag == "v":
            speaker = None if groups["close"] else _tidy(_unescape(groups["rest"] or "")) or None
            parts.append(_Part(speaker, parts[-1].starts[-1]))
        elif tag in ("br", "p", "div"):
            add("\n")
        elif groups.get("escape"):
            add({"n": "\n", "h": " "}.get(groups["escape"].lower(), groups["escape"]))
        elif groups["override"]:
            drawings = _DRAWING.findall(groups["override"])
            is_drawing = int(drawings[-1][:3]) > 0 if drawings else is_drawing
            for length in _KARAOKE.findall(groups["override"]):
                parts[-1].cut(event.start_s + sung_s)
                sung_s += int(length) / 100
    add(markup[position:])
    return parts


def _tokens(markup: str, *, is_ass: bool) -> Iterator[re.Match[str]]:
    """Yield tags, times and override codes; ``<b and c>`` is text, since what a tag says has an equals sign."""
    for token in (_ASS_TOKEN if is_ass else _TOKEN).finditer(markup):
        tag, rest = (token["tag"] or "").lower(), token["rest"] or ""
        if tag in ("", "v", "lang", "ruby") or not rest.strip() or "=" in rest:
            yield token


def _timed_words(part: _Part, span: Span, end_s: float) -> tuple[Word, ...]:
    """Return the words between the times in a part, or nothing if it has none or they go backwards."""
    edges = [min(max(time_s, span.start_s), span.end_s) for time_s in (*part.starts, end_s)]
    if len(part.starts) < 2 or edges != sorted(edges):
        return ()
    texts = [_unescape("".join(texts)) for texts in part.texts]
    return tuple(
        word for text, times in zip(texts, pairwise(edges), strict=True) for word in spread_words(text, [Span(*times)])
    )


def _unroll(events: Sequence[CueEvent], *, is_ass: bool) -> list[CueEvent]:
    """Return the events without lines that roll up from the event before, if the file has rolling captions.

    Captions roll if at least half of the events begin with lines of the event that ends there: as the upper of
    several lines, or shown again for a moment.
    """
    lines_of_events = [_lines(event, is_ass=is_ass) for event in events]
    repeated = [0] * len(events)
    rolling = 0
    for index, (before, event) in enumerate(pairwise(events), start=1):
        if not -_TOUCHING_S <= event.start_s - before.end_s <= _TOUCHING_S:
            continue
        earlier, lines = ([line for line, _ in pair] for pair in (lines_of_events[index - 1], lines_of_events[index]))
        is_plain_again = _STAMPED.search(before.markup) is not None and not _STAMPED.search(event.markup)
        is_glimpse = event.end_s - event.start_s <= _GLIMPSE_S or is_plain_again
        longest = min(len(earlier), len(lines) if is_glimpse else len(lines) - 1)
        counts = (count for count in range(longest, 0, -1) if earlier[-count:] == lines[:count])
        repeated[index] = next(counts, 0)
        rolling += repeated[index] > 0
    is_stamped = any(_STAMPED.search(event.markup) for event in events)
    if rolling * 2 < len(events) - 1 or rolling < (1 if is_stamped else 2):
        return list(events)
    return [
        event._replace(markup="\n".join(markup for _, markup in lines[count:]))
        for event, lines, count in zip(events, lines_of_events, repeated, strict=True)
    ]


def _lines(event: CueEvent, *, is_ass: bool) -> list[tuple[str, str]]:
    """Return the lines of an event that have text: plain, and with their mark-up."""
    markups = re.split(r"\\N|\n", event.markup) if is_ass else event.markup.split("\n")
    if not _MARKED.search(event.markup):
        return [(text, markup) for markup in markups if (text := _tidy(markup))]
    texts = [
        " ".join(line for part in _parts(event._replace(markup=markup), is_ass=is_ass) for line in part.lines())
        for markup in markups
    ]
    plain = [_tidy(_unescape(text)) for text in texts]
    return [(text, markup) for text, markup in zip(plain, markups, strict=True) if text]


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda entity: html.unescape(entity.group()), text)


def _tidy(text: str) -> str:
    return " ".join(text.split())
