"""Sound and pictures of a file on one clock: second 0 is where the file starts to play."""

import functools
import math
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import CurateError, InvalidRow
from curate.media.container.open import AUDIO_RATE_HZ, open_media
from curate.media.container.planes import Picture

Samples = NDArray[np.int16]
"""16 kHz mono sound"""
MERGE_S = 2.0
"""Spans closer than this are seen as one, so that a face keeps its track."""
_AHEAD_BYTES = 32_000_000


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


def read_start(path: Path, seconds: float) -> Samples:
    """The first seconds of what ``read_audio`` gives, or no samples where there are none."""
    with open_media(path) as media:
        sound = np.zeros(0, np.int16) if media.audio is None else media.sound(until_s=seconds)
    return sound[: round(seconds * AUDIO_RATE_HZ)]


def read_channels(path: Path) -> list[Samples]:
    """Each channel of the first audio stream as ``read_audio`` gives the mix of all."""
    with open_media(path) as media:
        count = 1 if media.audio is None else int(media.audio.codec_context.channels)
        if count > 1:
            samples = media.sound(channels=count)
            if not len(samples):
                raise InvalidRow(f"the sound of {path.name} cannot be decoded", reason="truncated")
            return [np.ascontiguousarray(samples[:, channel]) for channel in range(count)]
    return [read_audio(path)]


def cut(samples: Samples, span: Span) -> Samples:
    """The samples of a span of 16 kHz sound."""
    return samples[max(0, round(span.start_s * AUDIO_RATE_HZ)) : max(0, round(span.end_s * AUDIO_RATE_HZ))]


def read_frames(path: Path, spans: Sequence[Span], *, every: int = 1) -> Iterator[Frame]:
    """Every ``every``-th frame of each span, in order; only those are converted to RGB.

    Times come from the stream's timestamps, so variable frame rates hold. Frames between spans that lie close together
    are given as well. A stream that breaks ends the frames.
    """
    first, ends = 0, iter(merge(spans, MERGE_S))
    end_s = -math.inf
    for number, picture in enumerate(read_pictures(path, spans)):
        while picture.time_s >= end_s:
            first, end_s = number, next(ends).end_s
        if (number - first) % every == 0:
            yield Frame(picture.time_s, picture.to_rgb())


def read_pictures(path: Path, spans: Sequence[Span], *, ahead: bool = False) -> Generator[Picture, None, None]:
    """Every frame of the spans, in order, decoded but not converted; gaps are not decoded where they need not be.

    Frames between spans that lie close together are given as well. A stream that breaks ends the frames. With ``ahead``
    two threads decode while the frames before are worked on; close the iterator to end them early.
    """
    merged, keyframes = merge(spans, MERGE_S), keyframes_of(path)
    with open_media(path, threads=2 if ahead else 1) as media:
        pictures = media.pictures(merged, keyframes)
        if not ahead or media.video is None:
            yield from pictures
            return
        size_bytes = media.video.codec_context.width * media.video.codec_context.height * 3 // 2
        with closing(_ahead(pictures, min(48, max(2, _AHEAD_BYTES // max(1, size_bytes))))) as waiting:
            yield from waiting


def keyframes_of(path: Path) -> Sequence[float]:
    """When decoding of a video can begin, in seconds and in order; empty where that cannot be told."""
    try:
        state = path.stat()
    except OSError:
        return _keyframes(path, 0, 0)
    return _keyframes(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _keyframes(path: Path, size_bytes: int, mtime_ns: int) -> Sequence[float]:
    # Told from all packets of a file, which is read in several stretches.
    with open_media(path) as media:
        return media.keyframes() if media.video is not None else []


def _ahead(pictures: Iterator[Picture], most: int) -> Generator[Picture, None, None]:
    """The same pictures, up to ``most`` of them made by another thread in advance."""
    waiting: queue.Queue[Picture | BaseException | None] = queue.Queue(most)
    is_over = threading.Event()

    def fill() -> None:
        last: BaseException | None = None
        try:
            for picture in pictures:
                waiting.put(picture)
                if is_over.is_set():
                    return
        except (CurateError, MemoryError) as error:
            last = error
        finally:
            waiting.put(last)

    thread = threading.Thread(target=fill, name="curate-decode", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        is_over.set()
        while thread.is_alive():
            with suppress(queue.Empty):
                waiting.get(timeout=0.05)
        thread.join()


def merge(spans: Sequence[Span], gap_s: float) -> list[Span]:
    """The spans in order, those less than ``gap_s`` apart joined."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start_s - merged[-1].end_s < gap_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return merged
