"""When each word of a text is said: spread over the speech, where nothing better is known."""

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
"""Where word times come from: the transcript itself, forced alignment, or spread over the speech by letters."""


class Word(NamedTuple):
    """One word as it is written, and when it is said in seconds from the start of the file."""

    text: str
    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def spread_words(text: str, stretches: Sequence[Span]) -> list[Word]:
    """The words of a text, each as long as its letters and digits suggest, laid end to end over the stretches in order.

    Words of writing without spaces (Chinese, Japanese, Thai) are what stands between blanks. Empty without a stretch.
    """
    pieces = text.split()
    edges = [0.0, *accumulate(stretch.end_s - stretch.start_s for stretch in stretches)]
    if not pieces or edges[-1] <= 0:
        return []
    weights = [1 + len(re.sub(r"\W", "", piece)) for piece in pieces]
    total = sum(weights)
    bounds = [edges[-1] * part / total for part in (0, *accumulate(weights))]

    def at(spoken_s: float, *, ends: bool) -> float:
        # An edge between two stretches ends a word in the first and begins the next word in the second.
        index = (bisect_left(edges, spoken_s - 1e-9) if ends else bisect_right(edges, spoken_s + 1e-9)) - 1
        index = min(max(index, 0), len(stretches) - 1)
        return round(stretches[index].start_s + spoken_s - edges[index], 3)

    times = pairwise(bounds)
    return [Word(piece, at(a, ends=False), at(b, ends=True)) for piece, (a, b) in zip(pieces, times, strict=True)]


def speech_spans(probabilities: NDArray[np.float32], span: Span) -> list[Span]:
    """The stretches of a span that are speech, or the span itself where none of it is."""
    first, last = int(span.start_s / HOP_S), int(np.ceil(span.end_s / HOP_S))
    heard = np.concatenate([[False], probabilities[first:last] >= SPEECH_THRESHOLD, [False]])
    edges = np.flatnonzero(np.diff(heard.astype(np.int8)))
    found = [
        Span(max(span.start_s, (first + a) * HOP_S), min(span.end_s, (first + b) * HOP_S))
        for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    return [one for one in found if one.end_s > one.start_s] or [span]
