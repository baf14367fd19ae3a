"""Transcripts of a whole file behind one protocol, and their assignment to spans."""

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

MIN_SENT_S = 0.1


class Transcript(NamedTuple):
    """The cues of a file, in order of time, and the language (ISO 639-1) if the transcriber reports it."""

    cues: list[Cue]
    language: str | None = None
    problems: Sequence[str] = ()
    """One sentence for each thing about it that may be wrong."""


class Transcriber(Protocol):
    """Transcribes a file."""

    @property
    def name(self) -> str:
        """The name that ``text_source`` records."""

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        """Return what is said in the spans of speech of 16 kHz sound; no cues if this transcriber has nothing.

        Raises ``InvalidRow`` if its source is broken.
        """


class SidecarSubtitles(NamedTuple):
    """A subtitle file next to the media, and the language in its name."""

    path: Path
    language: str | None = None

    @property
    def name(self) -> str:
        return "subtitles"

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        cues_file = load_cues(self.path, language=self.language or language)
        return Transcript(cues_file.cues, self.language, cues_file.problems)


class EmbeddedSubtitles(NamedTuple):
    """A text track inside the media file."""

    path: Path

    @property
    def name(self) -> str:
        return "embedded_subtitles"

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        return Transcript(embedded_cues(self.path, language=language))


class EndpointTranscript(NamedTuple):
    """The reply of a remote model for one span; word times, if any, count in seconds from its start."""

    text: str
    words: Sequence[tuple[str, float, float]] = ()
    language: str | None = None


class EndpointTranscriber(NamedTuple):
    """A remote model, which is sent one span at a time."""

    model: str
    request: Callable[[Samples, str | None], EndpointTranscript]

    @property
    def name(self) -> str:
        return f"endpoint:{self.model}"

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        cues: list[Cue] = []
        detected: str | None = None
        for span in spans if samples is not None else ():
            sound = cut_audio(np.asarray(samples), span)
            if span.end_s - span.start_s < MIN_SENT_S or not sound.any():
                continue
            reply = self.request(sound, language)
            text = " ".join(reply.text.replace("\0", "").split())
            detected = detected or reply.language
            if text:
                cues.append(Cue(span, text, None, _shift(reply.words, span)))
        return Transcript(cues, detected)


class SpanText(NamedTuple):
    """What is said in one span, by whom, and when each word is; all empty if the transcript has nothing there."""

    text: str | None = None
    speaker: str | None = None
    words: tuple[Word, ...] = ()
    word_times: WordTimes | None = None
    cues: tuple[Cue, ...] = ()


def assign_cues(cues: Sequence[Cue], spans: Sequence[Span]) -> list[SpanText]:
    """Return the text of each of the spans, which are in order and do not overlap.

    A cue is assigned as a whole to the span that it overlaps most; one that overlaps several and has word times is
    split by word. A cue that overlaps none is dropped. The speaker is the one with most of the text.
    """
    starts, ends = [span.start_s for span in spans], [span.end_s for span in spans]
    assigned: list[list[Cue]] = [[] for _ in spans]
    for cue in sorted(cues, key=lambda cue: cue.span):
        indices = range(bisect_right(ends, cue.span.start_s), bisect_left(starts, cue.span.end_s))
        if len(indices) == 1 or (indices and not cue.words):
            overlaps = [_overlap_s(cue.span, spans[index]) for index in indices]
            assigned[indices[int(np.argmax(overlaps))]].append(cue)
        elif indices:
            for index, part in _split_cue(cue, indices, spans):
                assigned[index].append(part)
    return [_join(cues_of_span) for cues_of_span in assigned]


def assign_words(
    words: Sequence[tuple[Word, str | None]], spans: Sequence[Span], word_times: WordTimes
) -> list[SpanText]:
    """Return for each span the timed words, each with its speaker, whose middle lies in it; spans may overlap."""
    ordered = sorted(words, key=lambda pair: pair[0].middle_s)
    middles = [word.middle_s for word, _ in ordered]
    texts = []
    for span in spans:
        pairs = ordered[bisect_left(middles, span.start_s) : bisect_left(middles, span.end_s)]
        span_words = tuple(word for word, _ in pairs)
        text = " ".join(word.text for word in span_words) or None
        speaker = _main_speaker([(speaker, len(word.text)) for word, speaker in pairs])
        texts.append(SpanText(text, speaker, span_words, word_times if span_words else None))
    return texts


def _split_cue(cue: Cue, indices: range, spans: Sequence[Span]) -> list[tuple[int, Cue]]:
    separator = " " if " ".join(word.text for word in cue.words) == cue.text else ""
    by_span: dict[int, list[Word]] = {}
    for word in cue.words:
        distances = [max(spans[i].start_s - word.middle_s, word.middle_s - spans[i].end_s, 0.0) for i in indices]
        by_span.setdefault(indices[int(np.argmin(distances))], []).append(word)
    parts = []
    for index, words in by_span.items():
        span, text = Span(words[0].start_s, words[-1].end_s), separator.join(word.text for word in words)
        parts.append((index, Cue(span, text, cue.speaker, tuple(words))))
    return parts


def _join(cues: Sequence[Cue]) -> SpanText:
    text = " ".join(cue.text for cue in cues) or None
    is_native = bool(cues) and all(cue.words for cue in cues)
    words = tuple(word for cue in cues for word in cue.words) if is_native else ()
    speaker = _main_speaker([(cue.speaker, len(cue.text)) for cue in cues])
    return SpanText(text, speaker, words, "native" if is_native else None, tuple(cues))


def _main_speaker(lengths: Sequence[tuple[str | None, int]]) -> str | None:
    totals: dict[str, int] = {}
    for speaker, length in lengths:
        if speaker:
            totals[speaker] = totals.get(speaker, 0) + length
    return max(totals, key=totals.__getitem__) if totals else None


def _shift(words: Sequence[tuple[str, float, float]], span: Span) -> tuple[Word, ...]:
    shifted = []
    for text, start_s, end_s in words:
        start_s = min(max(span.start_s + start_s, span.start_s), span.end_s)
        end_s = min(max(span.start_s + end_s, start_s), span.end_s)
        shifted.append(Word(text.strip(), round(start_s, 3), round(end_s, 3)))
    return tuple(word for word in shifted if word.text)


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
    """Return the first transcript that has cues, and its name; failures are passed to ``on_error``."""
    for transcriber in transcribers:
        try:
            transcript = transcriber.transcribe(samples, spans, language=language)
        except InvalidRow as error:
            on_error(transcriber, error)
            continue
        if transcript.problems:
            on_error(transcriber, InvalidRow("; ".join(transcript.problems)))
        if transcript.cues:
            return transcript, transcriber.name
    return Transcript([]), None
