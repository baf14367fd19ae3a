"""Chunks: stretches of a long source that any worker may process, with the sound and words that they need."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.decode import MERGE_GAP_S, Span
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.speech.quality import NEIGHBOURHOOD_S
from curate.media.speech.speakers import SpeakerTurn
from curate.media.speech.vad import HOP_S
from curate.media.words.markup import Cue
from curate.media.words.transcript import SpanText
from curate.stages.preprocess.settings import ItemsFrom
from curate.stages.preprocess.sound import Channel
from curate.storage.blobs import Blobs

_CONTEXT_S = NEIGHBOURHOOD_S + 1.0

Ending = Literal["gap", "cut", "through"]
"""How the pictures go on at the end of a chunk: not analysed there, with another shot, or within a shot."""


class Excerpt(NamedTuple):
    """A stretch of a channel whose samples are stored. Its first sample and window count from the source's start."""

    number: int | None
    source_samples: int
    first_sample: int
    samples: str | None
    first_window: int
    probabilities: NDArray[np.float32]
    powers: NDArray[np.float32]


class Voice(NamedTuple):
    """One voice track of a chunk."""

    sound: Channel | Excerpt
    spans: list[Span]
    """Its items; not known yet if shots are items."""
    texts: list[SpanText] | None
    """What is said in each span; None if the words of ``cues`` are split by their times."""
    cues: list[Cue]
    utterances: list[Span]
    turns: list[SpeakerTurn]
    """The utterances with the names of clustered voices."""


class Chunk(NamedTuple):
    """A stretch of a source, or all of it, with what processing it needs besides the file.

    An item belongs to the chunk that its middle lies in. Pictures are analysed within ``span`` only, where ``watched``
    says so. ``turns`` are those of the user's file of speakers.
    """

    row: dict[str, Any]
    cut_by: ItemsFrom
    unit: str
    duration_s: float
    span: Span
    ending: Ending
    watched: list[Span]
    text_source: str | None
    language: str | None
    turns: list[SpeakerTurn]
    voices: list[Voice]


class CutPoint(NamedTuple):
    """Where one chunk ends and the next begins."""

    time_s: float
    ending: Ending


def split_source(source: Chunk, points: Sequence[CutPoint], blobs: Blobs) -> list[Chunk]:
    """Return the chunks between the points that have any item; their sound is stored in blobs until ``discard``."""
    starts = [source.span.start_s, *(point.time_s for point in points)]
    ends = [*points, CutPoint(source.span.end_s, source.ending)]
    chunks = []
    for start_s, (end_s, ending) in zip(starts, ends, strict=True):
        span = Span(start_s, end_s)
        watched = [Span(max(w.start_s, start_s), min(w.end_s, end_s)) for w in source.watched if _overlap(w, span)]
        if not watched:
            continue
        watched = sorted([*watched, *(_bridge(time_s) for time_s in span if _is_in_short_gap(source.watched, time_s))])
        voices = [_cut_voice(voice, span, source, blobs) for voice in source.voices]
        turns = [turn for turn in source.turns if any(_overlap(turn.span, _extent(voice, span)) for voice in voices)]
        chunks.append(source._replace(span=span, ending=ending, watched=watched, turns=turns, voices=voices))
    return chunks


def _is_in_short_gap(watched: Sequence[Span], time_s: float) -> bool:
    """Return whether the pictures of a gap are analysed because it is short."""
    before_s = max((span.end_s for span in watched if span.end_s <= time_s), default=-math.inf)
    after_s = min((span.start_s for span in watched if span.start_s >= time_s), default=math.inf)
    return after_s - before_s < MERGE_GAP_S


def _bridge(time_s: float) -> Span:
    """Return a span without a frame, which makes the pictures between it and the nearest items analysed as well."""
    return Span(time_s - 0.001, time_s - 0.0005)


def _cut_voice(voice: Voice, span: Span, source: Chunk, blobs: Blobs) -> Voice:
    indices = [i for i, item in enumerate(voice.spans) if span.start_s <= (item.start_s + item.end_s) / 2 < span.end_s]
    spans = [voice.spans[i] for i in indices]
    texts = None if voice.texts is None else [voice.texts[i] for i in indices]
    extent = _extent(voice._replace(spans=spans), span)
    utterances = [utterance for utterance in voice.utterances if _overlap(utterance, extent)]
    cues = [] if texts is not None else [cue for cue in voice.cues if _overlap(cue.span, extent)]
    cue_spans = [cue.span for cue in (*cues, *(cue for text in texts or () for cue in text.cues))]
    needed = [*spans, *utterances, *cue_spans]
    start_s = min([extent.start_s, *(part.start_s for part in needed)]) - _CONTEXT_S
    end_s = max([min(extent.end_s, source.duration_s), *(part.end_s for part in needed)]) + _CONTEXT_S
    sound = _store_sound(voice.sound, Span(start_s, end_s), source.row["source_id"], blobs)
    turns = [turn for turn in voice.turns if _overlap(turn.span, extent)]
    return Voice(sound, spans, texts, cues, utterances, turns)


def _extent(voice: Voice, span: Span) -> Span:
    """Return the span from the start to the end of a chunk and of its items."""
    starts, ends = [item.start_s for item in voice.spans], [item.end_s for item in voice.spans]
    return Span(min([span.start_s, *starts]), max([span.end_s, *ends]))


def _overlap(a: Span, b: Span) -> bool:
    return a.start_s < b.end_s and b.start_s < a.end_s


def _store_sound(sound: Channel | Excerpt, span: Span, source_id: str, blobs: Blobs) -> Excerpt:
    if isinstance(sound, Excerpt):
        raise TypeError("the sound is an excerpt already")
    first_window, last_window = (max(0, int(time_s / HOP_S)) for time_s in span)
    windows = slice(first_window, last_window + 1)
    name, first_sample, length = None, 0, 0
    if sound.samples is not None:
        length = len(sound.samples)
        first_sample = min(length, max(0, int(span.start_s * AUDIO_RATE_HZ)))
        samples = sound.samples[first_sample : max(first_sample, int(span.end_s * AUDIO_RATE_HZ))]
        # The id keeps equal sound of two sources, such as silence, apart: it is removed when its source is done.
        name = blobs.put(b"".join([source_id.encode(), samples.data]), "pcm")
    levels = (sound.probabilities[windows], sound.powers[windows])
    return Excerpt(sound.number, length, first_sample, name, first_window, *levels)


def load_sound(sound: Channel | Excerpt, source_id: str, blobs: Blobs) -> Channel:
    """Return the channel as long as in the source, silent outside the excerpt: untouched pages take no memory."""
    if isinstance(sound, Channel):
        return sound
    samples = None
    if sound.samples is not None:
        excerpt = np.frombuffer(blobs.read(sound.samples), np.int16, offset=len(source_id.encode()))
        samples = np.zeros(sound.source_samples, np.int16)
        samples[sound.first_sample : sound.first_sample + len(excerpt)] = excerpt
    padding = np.zeros(sound.first_window, np.float32)
    levels = (np.concatenate([padding, level]) for level in (sound.probabilities, sound.powers))
    return Channel(samples, sound.number, *levels)


def discard(chunks: Iterable[Chunk], blobs: Blobs) -> None:
    """Remove the sound that was stored for chunks."""
    for chunk in chunks:
        for voice in chunk.voices:
            if isinstance(voice.sound, Excerpt) and voice.sound.samples is not None:
                blobs.remove(voice.sound.samples)


def join_shots(chunks: Sequence[Chunk], shots: Sequence[Sequence[Span]]) -> list[Span]:
    """Return the shots of a source from those of its chunks; a shot that goes on in the next chunk becomes one."""
    joined: list[Span] = []
    previous: Chunk | None = None
    for chunk, chunk_shots in zip(chunks, shots, strict=True):
        if previous is not None and chunk_shots:
            joined += list(_continue_shots(joined, previous, chunk_shots))
        else:
            joined += chunk_shots
        previous = chunk if chunk_shots else None
    return joined


def _continue_shots(joined: list[Span], previous: Chunk, shots: Sequence[Span]) -> Iterator[Span]:
    """Yield the shots of a chunk; the previous chunk's last shot is extended, or replaced by the first."""
    first, rest = shots[0], shots[1:]
    if previous.ending == "through":
        first = Span(joined.pop().start_s, first.end_s)
    elif previous.ending == "cut" and first.start_s - joined[-1].end_s < MERGE_GAP_S:
        joined[-1] = Span(joined[-1].start_s, previous.span.end_s)
        first = Span(previous.span.end_s, first.end_s)
    yield first
    yield from rest
