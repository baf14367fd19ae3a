"""Puts decoded sound where its timestamps say."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_JUMP_S = 600.0
"""A step in the timestamps beyond this is damage, not a pause; what follows it is not trusted."""
_SLACK_S = 0.04


class Timeline:
    """Puts resampled sound where its timestamps say."""

    def __init__(
        self, open_resampler: Callable[[], Any], *, channels: int, rate_hz: int, broken: type[Exception]
    ) -> None:
        self._open, self._width, self._rate_hz, self._broken = open_resampler, channels, rate_hz, broken
        self._samples = bytearray()
        self._at = 0
        self._resampler: Any = None
        self._shape: tuple[Any, ...] = ()
        self._expected_s = 0.0

    def feed(self, frame: Any, time_s: float | None) -> bool:
        """Add a frame; False once the timestamps cannot be trusted any more."""
        start_s = self._expected_s if time_s is None else time_s
        shape = (frame.sample_rate, frame.format.name, frame.layout.name)
        if start_s > self._expected_s + MAX_JUMP_S:
            return False
        if self._resampler is None or shape != self._shape or abs(start_s - self._expected_s) > _SLACK_S:
            self._drain()
            backwards = start_s < self._expected_s - 1.0 and self._resampler is not None
            self._begin(self.length_s if backwards else start_s)
            self._resampler = self._open()
            self._shape, self._expected_s = shape, start_s
        frame.pts = None
        self._write(self._resampler.resample(frame))
        self._expected_s += frame.samples / frame.sample_rate
        return True

    @property
    def length_s(self) -> float:
        """Seconds of sound so far."""
        return len(self._samples) / 2 / self._width / self._rate_hz

    def finish(self) -> NDArray[np.int16]:
        """All samples; those of several channels in turn."""
        self._drain()
        return np.frombuffer(self._samples, np.int16)

    def _begin(self, start_s: float) -> None:
        self._at = round(start_s * self._rate_hz) * self._width
        missing = self._at - len(self._samples) // 2
        if missing > 0:
            self._samples.extend(bytes(2 * missing))

    def _drain(self) -> None:
        if self._resampler is not None:
            with suppress(self._broken):
                self._write(self._resampler.resample(None))

    def _write(self, frames: list[Any]) -> None:
        for frame in frames:
            data = frame.to_ndarray().astype(np.int16, copy=False).reshape(-1)
            if self._at < 0:
                data, self._at = data[-self._at :], min(0, self._at + len(data))
            self._samples[2 * self._at : 2 * (self._at + len(data))] = data.tobytes()
            self._at += len(data)
