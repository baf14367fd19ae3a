"""Sound and pictures of a file on one clock: second 0 is where the file starts to play."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.media.container import AUDIO_RATE_HZ, open_media

Samples = NDArray[np.int16]
"""16 kHz mono sound"""
MERGE_S = 4.0
"""Ranges closer than this are read as one: seeking would land on the same keyframe."""


class Frame(NamedTuple):
    """One picture: seconds from the start of the file and upright (height, width, 3) uint8."""

    time_s: float
    rgb: NDArray[np.uint8]


class Span(NamedTuple):
    """A stretch of time in seconds from the start of the file."""

    start_s: float
    end_s: float


def read_audio(path: Path) -> Samples:
    """The first audio stream as 16 kHz mono int16, sample 0 at second 0, late starts and holes filled with silence.

    A stream that breaks midway gives what came before. Raises ``InvalidRow``: ``no_audio`` without an audio stream,
    ``truncated`` where none of it can be decoded.
    """
    with open_media(path) as media:
        if media.audio is None:
            raise InvalidRow(f"{path.name} has no sound", reason="no_audio")
        samples = media.sound()
    if not len(samples):
        raise InvalidRow(f"the sound of {path.name} cannot be decoded", reason="truncated")
    return samples


def cut(samples: Samples, span: Span) -> Samples:
    """The samples of a span of 16 kHz sound."""
    return samples[max(0, round(span.start_s * AUDIO_RATE_HZ)) : max(0, round(span.end_s * AUDIO_RATE_HZ))]


def read_frames(path: Path, spans: Sequence[Span], *, every: int = 1) -> Iterator[Frame]:
    """Every ``every``-th frame of each span, in order; only those are converted to RGB.

    Times come from the stream's timestamps, so variable frame rates hold. Frames between spans that lie close together
    are given as well. A stream that breaks ends the frames.
    """
    for span in merge(spans, MERGE_S):
        with open_media(path) as media:
            first: int | None = None
            for picture in media.pictures(span.start_s, span.end_s):
                first = picture.number if first is None else first
                if (picture.number - first) % every == 0:
                    yield Frame(picture.time_s, picture.to_rgb())


def merge(spans: Sequence[Span], gap_s: float) -> list[Span]:
    """The spans in order, those less than ``gap_s`` apart joined."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start_s - merged[-1].end_s < gap_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return merged
