"""Estimate word times by spreading the words of a text over the speech."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.decode import Span
from curate.media.speech.vad import HOP_S, SPEECH_THRESHOLD

WordTimes = Literal["native", "aligned", "proportional"]
"""The origin of word times: the transcript itself, forced alignment, or an estimate from the number of letters."""


class Word(NamedTuple):
    """One word as written, and when it is spoken, in seconds from the start of the file."""

    text: str
    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def spread_words(text: str, stretches: Sequence[Span]) -> list[Word]:
    """Return the words of a text end to end over the stretches, each as long as its letters and digits suggest.

    Words are separated by blanks, also in scripts without spaces (Chinese, Japanese, Thai). Empty without a stretch.
    """
    pieces = text.split()
    edges = [0.0, *accumulate(stretch.end_s - stretch.start_s for stretch in stretches)]
    if not pieces or edges[-1] <= 0:
        return []
    weights = [1 + len(re.sub(r"\W", "", piece)) for piece in pieces]
    total = sum(weights)
    bounds = [edges[-1] * part / total for part in (0, *accumulate(weights))]

    def to_time(speech_s: float, *, is_end: bool) -> float:
        # A boundary between two stretches ends a word in the first and begins the next word in the second.
        index = (bisect_left(edges, speech_s - 1e-9) if is_end else bisect_right(edges, speech_s + 1e-9)) - 1
        index = min(max(index, 0), len(stretches) - 1)
        return round(stretches[index].start_s + speech_s - edges[index], 3)

    return [
        Word(piece, to_time(start, is_end=False), to_time(end, is_end=True))
        for piece, (start, end) in zip(pieces, pairwise(bounds), strict=True)
    ]


def speech_spans(probabilities: NDArray[np.float32], span: Span) -> list[Span]:
    """Return the stretches of a span that are speech, or the span itself if none are."""
    first, last = int(span.start_s / HOP_S), int(np.ceil(span.end_s / HOP_S))
    is_speech = np.concatenate([[False], probabilities[first:last] >= SPEECH_THRESHOLD, [False]])
    edges = np.flatnonzero(np.diff(is_speech.astype(np.int8)))
    stretches = [
        Span(max(span.start_s, (first + start) * HOP_S), min(span.end_s, (first + end) * HOP_S))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    return [stretch for stretch in stretches if stretch.end_s > stretch.start_s] or [span]
