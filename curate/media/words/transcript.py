"""Who says what: transcripts of a whole file behind one protocol, and the part of each that falls into a span."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from curate.errors import InvalidRow
from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.words.markup import Cue
from curate.media.words.spread import Word, WordTimes
from curate.media.words.subtitles import embedded_cues, load_cues

MIN_HEARD_S = 0.1


class Transcript(NamedTuple):
    """What is said in a file, in order of time, and the language (ISO 639-1) where the transcriber tells it."""

    cues: list[Cue]
    language: str | None = None
    problems: Sequence[str] = ()
    """One sentence for each thing about it that may be wrong."""


class Transcriber(Protocol):
    """Gives the words of a file. A double of it is ten lines."""

    @property
    def name(self) -> str:
        """What ``text_source`` records."""

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        """What is said in the spans of speech of 16 kHz sound; no cues where this transcriber has nothing to say.

        Raises ``InvalidRow`` where its source is broken.
        """


class SidecarSubtitles(NamedTuple):
    """A subtitle file beside the media, and the language that its name says it is in."""

    path: Path
    language: str | None = None

    @property
    def name(self) -> str:
        return "subtitles"

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        found = load_cues(self.path, language=self.language or language)
        return Transcript(found.cues, self.language, found.problems)


class EmbeddedSubtitles(NamedTuple):
    """A text track inside the media file."""

    path: Path

    @property
    def name(self) -> str:
        return "embedded_subtitles"

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        return Transcript(embedded_cues(self.path, language=language))


class EndpointTranscript(NamedTuple):
    """What a remote model heard in one piece of sound; word times in seconds from its start, where it gives them."""

    text: str
    words: Sequence[tuple[str, float, float]] = ()
    language: str | None = None


class EndpointTranscriber(NamedTuple):
    """A model behind an address, asked about one span at a time."""

    model: str
    hear: Callable[[Samples, str | None], EndpointTranscript]

    @property
    def name(self) -> str:
        return f"endpoint:{self.model}"

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        cues: list[Cue] = []
        spoken: str | None = None
        for span in spans if samples is not None else ():
            sound = cut_audio(np.asarray(samples), span)
            if span.end_s - span.start_s < MIN_HEARD_S or not sound.any():
                continue
            heard = self.hear(sound, language)
            text = " ".join(heard.text.replace("\0", "").split())
            spoken = spoken or heard.language
            if text:
                cues.append(Cue(span, text, None, _moved(heard.words, span)))
        return Transcript(cues, spoken)


class SpanText(NamedTuple):
    """What is said in one span, by whom and when each word; all empty where the transcript is silent."""

    text: str | None = None
    speaker: str | None = None
    words: tuple[Word, ...] = ()
    word_times: WordTimes | None = None
    cues: tuple[Cue, ...] = ()


def assign_cues(cues: Sequence[Cue], spans: Sequence[Span]) -> list[SpanText]:
    """What is said in each of some spans that are in order and do not overlap.

    A cue goes as a whole to the span that it overlaps most; one that straddles several and knows its word times is
    parted by word. A cue that overlaps none is left out. The speaker is the one with most of the text.
    """
    starts, ends = [span.start_s for span in spans], [span.end_s for span in spans]
    chosen: list[list[Cue]] = [[] for _ in spans]
    for cue in sorted(cues, key=lambda cue: cue.span):
        places = range(bisect_right(ends, cue.span.start_s), bisect_left(starts, cue.span.end_s))
        if len(places) == 1 or (places and not cue.words):
            overlaps = [_overlap_s(cue.span, spans[place]) for place in places]
            chosen[places[int(np.argmax(overlaps))]].append(cue)
        elif places:
            for place, part in _parted(cue, places, spans):
                chosen[place].append(part)
    return [_join(mine) for mine in chosen]


def assign_words(
    words: Sequence[tuple[Word, str | None]], spans: Sequence[Span], word_times: WordTimes
) -> list[SpanText]:
    """The timed words, each with its speaker, whose middle lies in each span; spans may overlap."""
    ordered = sorted(words, key=lambda one: one[0].middle_s)
    middles = [word.middle_s for word, _ in ordered]
    found = []
    for span in spans:
        here = ordered[bisect_left(middles, span.start_s) : bisect_left(middles, span.end_s)]
        mine = tuple(word for word, _ in here)
        text = " ".join(word.text for word in mine) or None
        speaker = _most([(speaker, len(word.text)) for word, speaker in here])
        found.append(SpanText(text, speaker, mine, word_times if mine else None))
    return found


def _parted(cue: Cue, places: range, spans: Sequence[Span]) -> list[tuple[int, Cue]]:
    glue = " " if " ".join(word.text for word in cue.words) == cue.text else ""
    by_place: dict[int, list[Word]] = {}
    for word in cue.words:
        apart = [max(spans[p].start_s - word.middle_s, word.middle_s - spans[p].end_s, 0.0) for p in places]
        by_place.setdefault(places[int(np.argmin(apart))], []).append(word)
    return [
        (
            place,
            Cue(Span(words[0].start_s, words[-1].end_s), glue.join(w.text for w in words), cue.speaker, tuple(words)),
        )
        for place, words in by_place.items()
    ]


def _join(cues: Sequence[Cue]) -> SpanText:
    text = " ".join(cue.text for cue in cues) or None
    native = bool(cues) and all(cue.words for cue in cues)
    words = tuple(word for cue in cues for word in cue.words) if native else ()
    speaker = _most([(cue.speaker, len(cue.text)) for cue in cues])
    return SpanText(text, speaker, words, "native" if native else None, tuple(cues))


def _most(shares: Sequence[tuple[str | None, int]]) -> str | None:
    said: dict[str, int] = {}
    for speaker, length in shares:
        if speaker:
            said[speaker] = said.get(speaker, 0) + length
    return max(said, key=said.__getitem__) if said else None


def _moved(words: Sequence[tuple[str, float, float]], span: Span) -> tuple[Word, ...]:
    moved = []
    for text, start_s, end_s in words:
        start_s = min(max(span.start_s + start_s, span.start_s), span.end_s)
        moved.append(
            Word(text.strip(), round(start_s, 3), round(min(max(span.start_s + end_s, start_s), span.end_s), 3))
        )
    return tuple(word for word in moved if word.text)


def _overlap_s(a: Span, b: Span) -> float:
    return min(a.end_s, b.end_s) - max(a.start_s, b.start_s)


def first_transcript(
    transcribers: Sequence[Transcriber],
    samples: Samples | None,
    spans: Sequence[Span],
    *,
    language: str | None,
    on_error: Callable[[Transcriber, InvalidRow], None],
) -> tuple[Transcript, str | None]:
    """The transcript of the first that has any, and its name; those that fail are told of and passed over."""
    for one in transcribers:
        try:
            found = one.transcribe(samples, spans, language=language)
        except InvalidRow as error:
            on_error(one, error)
            continue
        if found.problems:
            on_error(one, InvalidRow("; ".join(found.problems)))
        if found.cues:
            return found, one.name
    return Transcript([]), None
