"""Decode the sound of an open file, every sample at the place that its timestamp gives."""

import math
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.media.container.open import AUDIO_RATE_HZ, MAX_JUMP_S, MediaFile, decode_errors, pyav

_SLACK_S = 0.04


def sound_start_s(media: MediaFile) -> float | None:
    """Return the time of the first audio frame that decodes (0 if it has no time), or None if none does."""
    for frame in media.decoded(media.audio):
        return 0.0 if frame.time is None else max(0.0, float(frame.time) - media.origin_s)
    return None


def decode_sound(media: MediaFile, *, channels: int | None = None, until_s: float = math.inf) -> NDArray[np.int16]:
    """Return the sound as 16 kHz int16 with sample 0 at second 0 of the file; holes are silence.

    Mixed to mono, shape (samples,). With ``channels``, which must be the number of channels of the stream, they are
    kept apart: (samples, channels). Decoding stops soon after ``until_s``.
    """
    layout = "mono" if channels is None or media.audio is None else media.audio.codec_context.layout.name
    buffer = _SampleBuffer(layout, channels or 1)
    for frame in media.decoded(media.audio):
        time_s = None if frame.time is None else frame.time - media.origin_s
        try:
            if buffer.length_s >= until_s or not buffer.add(frame, time_s):
                break
        except decode_errors():
            break
    samples = buffer.finish()
    return samples if channels is None else samples.reshape(-1, channels)


class _SampleBuffer:
    """Resampled sound, each frame written at its timestamp."""

    def __init__(self, layout: str, channels: int) -> None:
        self._make_resampler = partial(pyav().AudioResampler, format="s16", layout=layout, rate=AUDIO_RATE_HZ)
        self._channels = channels
        self._data = bytearray()
        self._position = 0
        self._resampler: Any = None
        self._frame_format: tuple[Any, ...] = ()
        self._expected_s = 0.0

    def add(self, frame: Any, time_s: float | None) -> bool:
        """Add a frame; returns False once the timestamps cannot be trusted any more."""
        start_s = self._expected_s if time_s is None else time_s
        frame_format = (frame.sample_rate, frame.format.name, frame.layout.name)
        if start_s > self._expected_s + MAX_JUMP_S:
            return False
        is_off = abs(start_s - self._expected_s) > _SLACK_S
        if self._resampler is None or frame_format != self._frame_format or is_off:
            self._drain()
            is_backwards = start_s < self._expected_s - 1.0 and self._resampler is not None
            self._move_to(self.length_s if is_backwards else start_s)
            self._resampler = self._make_resampler()
            self._frame_format, self._expected_s = frame_format, start_s
        frame.pts = None
        self._write(self._resampler.resample(frame))
        self._expected_s += frame.samples / frame.sample_rate
        return True

    @property
    def length_s(self) -> float:
        """Seconds of sound so far."""
        return len(self._data) / 2 / self._channels / AUDIO_RATE_HZ

    def finish(self) -> NDArray[np.int16]:
        """Return all samples, those of several channels interleaved."""
        self._drain()
        return np.frombuffer(self._data, np.int16)

    def _move_to(self, start_s: float) -> None:
        self._position = round(start_s * AUDIO_RATE_HZ) * self._channels
        missing = self._position - len(self._data) // 2
        if missing > 0:
            self._data.extend(bytes(2 * missing))

    def _drain(self) -> None:
        if self._resampler is not None:
            with suppress(pyav().FFmpegError):
                self._write(self._resampler.resample(None))

    def _write(self, frames: list[Any]) -> None:
        for frame in frames:
            samples = frame.to_ndarray().astype(np.int16, copy=False).reshape(-1)
            if self._position < 0:
                samples, self._position = samples[-self._position :], min(0, self._position + len(samples))
            self._data[2 * self._position : 2 * (self._position + len(samples))] = samples.tobytes()
            self._position += len(samples)
