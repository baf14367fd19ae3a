"""Cut the work on a long source into chunks that any worker may do, and join what they give."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.decode import MERGE_S, Span, keyframes_of, merge
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.speech.quality import NEIGHBOURHOOD_S
from curate.media.speech.speakers import Turn
from curate.media.speech.vad import HOP_S
from curate.media.words.subtitles import Cue
from curate.media.words.transcript import Said
from curate.stages.preprocess.sound import Channel
from curate.stages.preprocess.video import cuts_after
from curate.storage.blobs import Blobs

_REACH_S = 30.0
"""How far beyond its wanted length a chunk goes on to end at a cut, where people speak without a long pause."""
_BETWEEN = 0.25
"""What a second between items counts: it is heard with them, but not looked at."""
_AROUND_S = NEIGHBOURHOOD_S + 1.0

Ending = Literal["gap", "cut", "through"]
"""How the pictures go on where a chunk ends: not looked at, with another shot, or in the midst of a shot."""


class Excerpt(NamedTuple):
    """A stretch of a channel, its samples stored; both count from the start of the source."""

    number: int | None
    length: int
    first: int
    samples: str | None
    window: int
    probabilities: NDArray[np.float32]
    powers: NDArray[np.float32]


class Voice(NamedTuple):
    """One voice track of a chunk. ``spans`` are its items, which are not known yet where shots are items."""

    sound: Channel | Excerpt
    spans: list[Span]
    said: list[Said] | None
    """What is said in each span; None where the words of ``cues`` are parted by their times"""
    cues: list[Cue]
    uttered: list[Span]
    named: list[Turn]
    """The utterances whose voices were told apart"""


class Chunk(NamedTuple):
    """A stretch of a source with what the work on it needs besides the file: all of it, or one of several.

    An item is of the chunk that its middle lies in; pictures are looked at inside ``span`` alone, where ``seen`` tells.
    """

    row: dict[str, Any]
    way: str
    unit: str
    duration_s: float
    span: Span
    ending: Ending
    seen: list[Span]
    text_source: str | None
    language: str | None
    told: list[Turn]
    voices: list[Voice]


class Point(NamedTuple):
    """Where one chunk ends and the next begins."""

    time_s: float
    ending: Ending


def points(whole: Chunk, path: Path, length_s: float) -> list[Point]:
    """Where to cut a source into chunks with about ``length_s`` of items each, the last up to half as long again.

    In a gap of two seconds between items, where pictures are not looked at and nothing is lost, up to half as long
    again; else at a cut of the pictures in a pause of the speech, up to 30 s later; else in the longest pause up to
    there or the next one, which ends the face tracks. Shots that are items are never cut: a chunk ends with the first
    that ends after its wanted length. A video without keyframes that can be found is not cut, since the work on each
    chunk would decode all before it.
    """
    if whole.way == "clip":
        return []
    film = path if whole.row["kind"] == "video" else None
    seen = merge(whole.seen, 0.0)
    found: list[Point] = []
    at_s = 0.0
    while (high_s := _after(seen, at_s, 1.5 * length_s)) is not None:
        low_s = _after(seen, at_s, length_s)
        if low_s is None or (film and not found and not keyframes_of(film)):
            break
        point = _next(whole, seen, film, low_s, high_s)
        if point is None:
            break
        found.append(point)
        at_s = point.time_s
    return found


def _after(blocks: Sequence[Span], at_s: float, seconds: float) -> float | None:
    """When so many seconds have passed since a time; None where fewer are left. Those between blocks count less."""
    for block in blocks:
        start_s = max(block.start_s, at_s)
        if block.end_s <= start_s:
            continue
        between = (start_s - at_s) * _BETWEEN
        if between > seconds:
            return at_s + seconds / _BETWEEN
        if between + block.end_s - start_s > seconds:
            return start_s + seconds - between
        seconds -= between + block.end_s - start_s
        at_s = block.end_s
    return None


def _next(whole: Chunk, seen: Sequence[Span], film: Path | None, low_s: float, high_s: float) -> Point | None:
    if whole.way == "shot":
        cut_s = next(cuts_after(film, low_s, whole.duration_s), None) if film else None
        return None if cut_s is None else Point(cut_s, "cut")
    for gap in (Span(a.end_s, b.start_s) for a, b in pairwise([Span(0.0, 0.0), *seen])):
        if gap.end_s - gap.start_s >= MERGE_S and gap.end_s > low_s and gap.start_s < high_s:
            return Point(min(max(low_s, gap.start_s), gap.end_s), "gap")
    high_s = min(high_s, low_s + _REACH_S)
    spoken = seen if whole.way != "window" else merge([one for v in whole.voices for one in v.uttered], 0.0)
    pauses = [Span(a.end_s, b.start_s) for a, b in pairwise([Span(-1.0, 0.0), *spoken, Span(whole.duration_s, 1e9)])]
    near = [Span(max(one.start_s, low_s), min(one.end_s, high_s)) for one in pauses]
    near = [one for one in near if one.end_s >= one.start_s] or [
        next((one for one in pauses if one.start_s > high_s), pauses[-1])
    ]
    for cut_s in cuts_after(film, low_s, high_s) if film else ():
        if any(one.start_s <= cut_s <= one.end_s for one in near):
            return Point(cut_s, "cut")
    longest = max(near, key=lambda one: one.end_s - one.start_s)
    middle_s = (longest.start_s + longest.end_s) / 2
    return Point(middle_s, "through") if middle_s < seen[-1].end_s else None


def cut_up(whole: Chunk, at: Sequence[Point], blobs: Blobs) -> list[Chunk]:
    """The chunks between the points that have any item, their sound stored in the blobs until ``discard``."""
    starts = [whole.span.start_s, *(point.time_s for point in at)]
    ends = [*at, Point(whole.span.end_s, whole.ending)]
    chunks = []
    for start_s, (end_s, ending) in zip(starts, ends, strict=True):
        span = Span(start_s, end_s)
        seen = [Span(max(one.start_s, start_s), min(one.end_s, end_s)) for one in whole.seen if _meet(one, span)]
        if not seen:
            continue
        seen = sorted([*seen, *(_bridge(time_s) for time_s in span if _is_in_passing(whole.seen, time_s))])
        voices = [_voice(voice, span, whole, blobs) for voice in whole.voices]
        told = [turn for turn in whole.told if any(_meet(turn.span, _reach(voice, span)) for voice in voices)]
        chunks.append(whole._replace(span=span, ending=ending, seen=seen, told=told, voices=voices))
    return chunks


def _is_in_passing(seen: Sequence[Span], at_s: float) -> bool:
    """Whether the pictures of a pause are looked at because it is short."""
    before = max((one.end_s for one in seen if one.end_s <= at_s), default=-math.inf)
    after = min((one.start_s for one in seen if one.start_s >= at_s), default=math.inf)
    return after - before < MERGE_S


def _bridge(at_s: float) -> Span:
    """A span without a frame that has the pictures between it and the items near it looked at as well."""
    return Span(at_s - 0.001, at_s - 0.0005)


def _voice(voice: Voice, span: Span, whole: Chunk, blobs: Blobs) -> Voice:
    mine = [i for i, one in enumerate(voice.spans) if span.start_s <= (one.start_s + one.end_s) / 2 < span.end_s]
    spans = [voice.spans[i] for i in mine]
    said = None if voice.said is None else [voice.said[i] for i in mine]
    reach = _reach(voice._replace(spans=spans), span)
    uttered = [one for one in voice.uttered if _meet(one, reach)]
    cues = [] if said is not None else [cue for cue in voice.cues if _meet(cue.span, reach)]
    asked = [*spans, *uttered, *(cue.span for cue in cues), *(cue.span for one in said or () for cue in one.cues)]
    low_s = min([reach.start_s, *(one.start_s for one in asked)]) - _AROUND_S
    high_s = max([min(reach.end_s, whole.duration_s), *(one.end_s for one in asked)]) + _AROUND_S
    sound = _store(voice.sound, Span(low_s, high_s), whole.row["source_id"], blobs)
    named = [turn for turn in voice.named if _meet(turn.span, reach)]
    return Voice(sound, spans, said, cues, uttered, named)


def _reach(voice: Voice, span: Span) -> Span:
    """From the start to the end of a chunk and of its items."""
    starts, ends = [one.start_s for one in voice.spans], [one.end_s for one in voice.spans]
    return Span(min([span.start_s, *starts]), max([span.end_s, *ends]))


def _meet(one: Span, other: Span) -> bool:
    return one.start_s < other.end_s and other.start_s < one.end_s


def _store(sound: Channel | Excerpt, span: Span, source_id: str, blobs: Blobs) -> Excerpt:
    if isinstance(sound, Excerpt):
        raise TypeError("this is a stretch of a channel already")
    window, last = (max(0, int(at_s / HOP_S)) for at_s in span)
    around = slice(window, last + 1)
    name, first, length = None, 0, 0
    if sound.samples is not None:
        length = len(sound.samples)
        first = min(length, max(0, int(span.start_s * AUDIO_RATE_HZ)))
        heard = sound.samples[first : max(first, int(span.end_s * AUDIO_RATE_HZ))]
        # The id keeps apart what two sources share, such as silence: each is removed when its source is done.
        name = blobs.put(b"".join([source_id.encode(), heard.data]), "pcm")
    return Excerpt(number=sound.number, length=length, first=first, samples=name, window=window,
                   probabilities=sound.probabilities[around], powers=sound.powers[around])  # fmt: skip


def load_sound(sound: Channel | Excerpt, source_id: str, blobs: Blobs) -> Channel:
    """The channel as long as in the source, but silent outside the excerpt: pages never written take no memory."""
    if isinstance(sound, Channel):
        return sound
    samples = None
    if sound.samples is not None:
        heard = np.frombuffer(blobs.read(sound.samples), np.int16, offset=len(source_id.encode()))
        samples = np.zeros(sound.length, np.int16)
        samples[sound.first : sound.first + len(heard)] = heard
    levels = [np.zeros(sound.window + len(part), np.float32) for part in (sound.probabilities, sound.powers)]
    for level, part in zip(levels, (sound.probabilities, sound.powers), strict=True):
        level[sound.window :] = part
    return Channel(samples, sound.number, *levels)


def discard(chunks: Sequence[Chunk], blobs: Blobs) -> None:
    """Remove the sound stored for chunks."""
    for chunk in chunks:
        for voice in chunk.voices:
            if isinstance(voice.sound, Excerpt) and voice.sound.samples is not None:
                blobs.remove(voice.sound.samples)


def join_shots(chunks: Sequence[Chunk], found: Sequence[Sequence[Span]]) -> list[Span]:
    """The shots of a source from those of its chunks: one that goes on in the next chunk is one."""
    shots: list[Span] = []
    before: Chunk | None = None
    for chunk, mine in zip(chunks, found, strict=True):
        if before is not None and mine:
            mine = list(_joined(shots, before, mine))
        shots += mine
        before = chunk if mine else None
    return shots


def _joined(shots: list[Span], before: Chunk, mine: Sequence[Span]) -> Iterator[Span]:
    """The shots of a chunk, the last one of the chunk before being mended or taken over."""
    first, rest = mine[0], mine[1:]
    if before.ending == "through":
        first = Span(shots.pop().start_s, first.end_s)
    elif before.ending == "cut" and first.start_s - shots[-1].end_s < MERGE_S:
        shots[-1] = Span(shots[-1].start_s, before.span.end_s)
        first = Span(before.span.end_s, first.end_s)
    yield first
    yield from rest
