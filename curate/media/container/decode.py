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
from curate.media.container.planes import DecodedFrame
from curate.media.container.sound import decode_channels, decode_mix, describe_mix
from curate.media.container.video import FrameGeometry, decode_video, find_keyframes, first_geometry

Samples = NDArray[np.int16]
"""16 kHz mono sound, shape (samples,)"""
MERGE_GAP_S = 2.0
"""Spans closer than this are decoded as one, so that face tracks continue across the gap."""
_PREFETCH_BYTES = 16_000_000


class Frame(NamedTuple):
    """One picture: seconds from the start of the file and upright (height, width, 3) uint8."""

    time_s: float
    rgb: NDArray[np.uint8]


class Span(NamedTuple):
    """A stretch of time in seconds from the start of the file."""

    start_s: float
    end_s: float


class Sound(NamedTuple):
    """The sound of a file, and sentences on what of it was chosen or left out."""

    samples: Samples
    notices: list[str]


def read_sound(path: Path, *, language: str | None = None) -> Sound:
    """Return the sound, sample 0 at second 0; late starts and holes are filled with silence.

    Of several sound tracks, the one in ``language`` (ISO 639-1) is taken, or else the default one, or else the first.
    Channels are mixed so that none cancels another. A stream that breaks midway returns what came before. Raises
    ``InvalidRow``: ``no_audio`` without an audio stream, ``truncated`` if none of it can be decoded.
    """
    with open_media(path, language=language) as media:
        if media.audio is None:
            raise InvalidRow(f"{path.name} has no sound", reason="no_audio")
        notices, mix = media.choices(), decode_mix(media)
    if mix.better:
        notices.append(f"{path.name}: {describe_mix(mix.better)}")
        with open_media(path, language=language) as media:
            mix = decode_mix(media, weights=mix.better)
    if not mix.is_complete:
        left_out = f"the sound of {path.name} is left out from {len(mix.samples) / AUDIO_RATE_HZ:.1f} s on"
        notices.append(f"{left_out}: the times that follow are damaged; convert it with ffmpeg to read it")
    return Sound(_not_empty(mix.samples, path), notices)


def read_audio(path: Path) -> Samples:
    """Return the samples of ``read_sound``."""
    return read_sound(path).samples


def read_audio_start(path: Path, seconds: float) -> Samples:
    """Return the first seconds of what ``read_audio`` returns; empty if there is no sound."""
    with open_media(path) as media:
        if media.audio is None:
            return np.zeros(0, np.int16)
        mix = decode_mix(media, until_s=seconds)
    if mix.better:
        with open_media(path) as media:
            mix = decode_mix(media, weights=mix.better, until_s=seconds)
    return mix.samples[: round(seconds * AUDIO_RATE_HZ)]


def read_channels(path: Path, *, language: str | None = None) -> list[Samples]:
    """Return each channel of the audio stream that ``read_sound`` mixes, separately; errors as there."""
    with open_media(path, language=language) as media:
        if media.audio is None:
            raise InvalidRow(f"{path.name} has no sound", reason="no_audio")
        return [_not_empty(samples, path) for samples in decode_channels(media)]


def _not_empty(samples: Samples, path: Path) -> Samples:
    if not len(samples):
        raise InvalidRow(f"the sound of {path.name} cannot be decoded", reason="truncated")
    return samples


def cut_audio(samples: Samples, span: Span) -> Samples:
    """Return the samples of a span of 16 kHz sound."""
    return samples[max(0, round(span.start_s * AUDIO_RATE_HZ)) : max(0, round(span.end_s * AUDIO_RATE_HZ))]


def read_frames(path: Path, spans: Sequence[Span], *, every: int = 1) -> Iterator[Frame]:
    """Yield every ``every``-th frame of each span, in order; only those are converted to RGB.

    Times come from the timestamps of the stream, so variable frame rates hold. Frames between spans less than
    ``MERGE_GAP_S`` apart are included. A stream that breaks ends the frames.
    """
    first, ends = 0, iter(merge_spans(spans, MERGE_GAP_S))
    end_s = -math.inf
    for number, frame in enumerate(decode_frames(path, spans)):
        while frame.time_s >= end_s:
            first, end_s = number, next(ends).end_s
        if (number - first) % every == 0:
            yield Frame(frame.time_s, frame.to_rgb())


def decode_frames(
    path: Path, spans: Sequence[Span], *, prefetch: bool = False, repeat: bool = False, sparse: bool = False
) -> Generator[DecodedFrame, None, None]:
    """Yield every frame of the spans, in order, not yet converted; gaps are skipped without decoding if possible.

    Frames between spans less than ``MERGE_GAP_S`` apart are included. A stream that breaks ends the frames. With
    ``repeat``, a picture displayed for more than half a second comes every tenth of a second. With ``sparse``, frames
    that no other frame needs (usually about half) are left out, which saves their decoding. With ``prefetch``, two
    threads decode while the caller works on earlier frames; close the generator to stop them early.
    """
    merged = merge_spans(spans, MERGE_GAP_S)
    keyframes, geometry, _ = _video_index(path)
    if geometry is None:
        return
    with open_media(path, threads=2 if prefetch else 1) as media:
        frames = decode_video(media, merged, keyframes, geometry, repeat=repeat, sparse=sparse)
        if not prefetch or media.video is None:
            yield from frames
            return
        size_bytes = media.video.codec_context.width * media.video.codec_context.height * 3 // 2
        max_frames = min(48, max(2, _PREFETCH_BYTES // max(1, size_bytes)))
        with closing(_prefetch(frames, max_frames)) as prefetched:
            yield from prefetched


def keyframe_times(path: Path) -> Sequence[float]:
    """Return the times at which decoding of a video can begin, in seconds and in order; empty if unknown."""
    return _video_index(path).keyframes


def frame_interval_s(path: Path) -> float:
    """Return the seconds from one frame of a video to the next, on average."""
    return 1 / _video_index(path).rate_hz


class _VideoIndex(NamedTuple):
    keyframes: Sequence[float]
    geometry: FrameGeometry | None
    rate_hz: float


def _video_index(path: Path) -> _VideoIndex:
    try:
        state = path.stat()
    except OSError:
        return _read_video_index(path, 0, 0)
    return _read_video_index(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _read_video_index(path: Path, size_bytes: int, mtime_ns: int) -> _VideoIndex:
    # Cached because it takes all packet headers of a file that is decoded in several passes.
    with open_media(path) as media:
        keyframes = find_keyframes(media) if media.video is not None else []
    with open_media(path) as media:
        geometry = first_geometry(media) if media.video is not None else None
        rate = 0 if media.video is None else media.video.average_rate or media.video.guessed_rate
        return _VideoIndex(keyframes, geometry, float(rate or 25))


def _prefetch(frames: Iterator[DecodedFrame], max_frames: int) -> Generator[DecodedFrame, None, None]:
    """Yield the same frames, up to ``max_frames`` of them decoded in advance by another thread."""
    ready: queue.Queue[DecodedFrame | BaseException | None] = queue.Queue(max_frames)
    is_over = threading.Event()

    def fill() -> None:
        last: BaseException | None = None
        try:
            for frame in frames:
                ready.put(frame)
                if is_over.is_set():
                    return
        except (CurateError, MemoryError) as error:
            last = error
        finally:
            ready.put(last)

    thread = threading.Thread(target=fill, name="curate-decode", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        is_over.set()
        while thread.is_alive():
            with suppress(queue.Empty):
                ready.get(timeout=0.05)
        thread.join()


def merge_spans(spans: Sequence[Span], gap_s: float) -> list[Span]:
    """Return the spans in order, joining those less than ``gap_s`` apart."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start_s - merged[-1].end_s < gap_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return merged
