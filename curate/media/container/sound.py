"""Decode the sound of an open file, every sample at the place that its timestamp gives."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.open import AUDIO_RATE_HZ, MAX_JUMP_S, MediaFile, decode_errors, pyav
from curate.media.container.sample_store import SampleStore

_SLACK_S = 0.04
_BLOCK_SAMPLES = 1 << 18
_SILENT_SHARE, _CANCELLED_SHARE, _MIN_SOUNDING_SHARE = 1e-6, 0.1, 0.6
_FRONT, _SURROUND = math.sqrt(0.5), 0.5

Weights = Mapping[str, Sequence[float]]
"""The share of each channel in the mix, for each layout of channels in the file."""


class Mix(NamedTuple):
    """Mono sound, and how it should have been mixed if that differs; None if it is right."""

    samples: NDArray[np.int16]
    better: dict[str, tuple[float, ...]] | None
    is_complete: bool
    """Whether all sound is in it: false after timestamps that cannot be trusted"""


def sound_start_s(media: MediaFile) -> float | None:
    """Return the time of the first audio frame that decodes (0 if it has no time), or None if none does."""
    for frame in media.decoded(media.audio):
        return 0.0 if frame.time is None else max(0.0, float(frame.time) - media.origin_s)
    return None


def decode_mix(media: MediaFile, *, weights: Weights | None = None, until_s: float = math.inf) -> Mix:
    """Return the sound as 16 kHz int16, mixed to mono, with sample 0 at second 0 of the file; holes are silence.

    Channels are mixed by ``weights``, or by those usual for the layout. Decoding stops soon after ``until_s``.
    """
    mixer = _Mixer(weights or {})
    is_complete = _decode(media, mixer.add, lambda layout: layout, until_s)
    return Mix(mixer.store.to_array(), mixer.better_weights(), is_complete)


def decode_channels(media: MediaFile) -> list[NDArray[np.int16]]:
    """Return each channel of the sound, as ``decode_mix`` returns the mix."""
    first = [] if media.audio is None else [media.audio.codec_context.layout]
    stores = [SampleStore() for _ in range(first[0].nb_channels if first else 1)]

    def add(_: Any, start: int, block: NDArray[np.int16]) -> None:
        for store, samples in zip(stores, block.T, strict=True):
            store.write(start, samples)

    _decode(media, add, lambda layout: first[0], math.inf)
    return [store.to_array() for store in stores]


def _decode(media: MediaFile, add: "_Add", layout_for: Callable[[Any], Any], until_s: float) -> bool:
    """Hand all sound to ``add``; returns False if the timestamps could not be trusted to the end."""
    placer = _Placer(add, layout_for, is_counted=media.is_counted)
    is_complete = True
    for frame in media.decoded(media.audio):
        time_s = None if frame.time is None else frame.time - media.origin_s
        try:
            is_complete = placer.add(frame, time_s)
        except decode_errors():
            is_complete = False
        if not is_complete or placer.length_s >= until_s:
            break
    placer.finish()
    return is_complete


_Add = Callable[[Any, int, NDArray[np.int16]], None]
"""Takes the layout of a block of sound, the number of its first sample, and the block, (samples, channels)."""


class _Placer:
    """Resamples frames to 16 kHz, and hands them on with the place that their timestamps give."""

    def __init__(self, add: _Add, layout_for: Callable[[Any], Any], *, is_counted: bool) -> None:
        self._make_resampler = partial(pyav().AudioResampler, format="s16", rate=AUDIO_RATE_HZ)
        self._add, self._layout_for, self._is_counted = add, layout_for, is_counted
        self._position = self._length = 0
        self._layout: Any = None
        self._resampler: Any = None
        self._frame_format: tuple[Any, ...] = ()
        self._expected_s = 0.0
        self._trusts_times = True
        self._waiting: list[NDArray[np.int16]] = []
        self._waiting_samples = 0

    @property
    def length_s(self) -> float:
        """Seconds of sound so far."""
        return max(self._length, self._position + self._waiting_samples) / AUDIO_RATE_HZ

    def add(self, frame: Any, time_s: float | None) -> bool:
        """Add a frame; returns False once the timestamps cannot be trusted any more."""
        frame_format = (frame.sample_rate, frame.format.name, frame.layout.name)
        if self._is_counted and self._frame_format and frame.sample_rate != self._frame_format[0]:
            self._trusts_times = False
        start_s = time_s if time_s is not None and self._trusts_times else self._expected_s
        if start_s > self._expected_s + MAX_JUMP_S:
            return False
        is_off = abs(start_s - self._expected_s) > _SLACK_S
        if self._resampler is None or frame_format != self._frame_format or is_off:
            self.finish()
            is_backwards = start_s < self._expected_s - 1.0 and self._resampler is not None
            self._position = round((self.length_s if is_backwards else start_s) * AUDIO_RATE_HZ)
            self._layout = self._layout_for(frame.layout)
            self._resampler = self._make_resampler(layout=self._layout)
            self._frame_format, self._expected_s = frame_format, start_s
        frame.pts = None
        self._take(self._resampler.resample(frame))
        self._expected_s += frame.samples / frame.sample_rate
        return True

    def finish(self) -> None:
        """Hand on what is left in the resampler."""
        if self._resampler is not None:
            with suppress(pyav().FFmpegError):
                self._take(self._resampler.resample(None))
        self._hand_on()

    def _take(self, frames: list[Any]) -> None:
        for frame in frames:
            self._waiting.append(frame.to_ndarray().reshape(-1, self._layout.nb_channels))
            self._waiting_samples += len(self._waiting[-1])
        if self._waiting_samples >= _BLOCK_SAMPLES:
            self._hand_on()

    def _hand_on(self) -> None:
        if not self._waiting:
            return
        block = np.concatenate(self._waiting)[max(0, -self._position) :]
        self._add(self._layout, max(0, self._position), block)
        self._position += self._waiting_samples
        self._length = max(self._length, self._position)
        self._waiting, self._waiting_samples = [], 0


class _Mixer:
    """Mixes channels to mono, and measures whether any of them is lost by that."""

    def __init__(self, weights: Weights) -> None:
        self.store = SampleStore()
        self._weights = dict(weights)
        self._covariances: dict[str, NDArray[np.float64]] = {}

    def add(self, layout: Any, start: int, block: NDArray[np.int16]) -> None:
        """Mix a block of sound, (samples, channels)."""
        if block.shape[1] == 1:
            self.store.write(start, block[:, 0])
            return
        if layout.name not in self._weights:
            self._weights[layout.name] = _usual_weights([channel.name for channel in layout.channels])
        floats = block.astype(np.float32)
        before = self._covariances.get(layout.name, np.zeros((1, 1)))
        self._covariances[layout.name] = np.asarray(before + floats.T @ floats, np.float64)
        mixed = np.rint(floats @ np.asarray(self._weights[layout.name], np.float32))
        self.store.write(start, mixed.clip(-32768, 32767).astype(np.int16))

    def better_weights(self) -> dict[str, tuple[float, ...]] | None:
        """Return weights with which no voice is lost, or None if none was."""
        better = {name: _better_weights(self._weights[name], cov) for name, cov in self._covariances.items()}
        changed = {name: weights for name, weights in better.items() if weights is not None}
        return changed or None


def _usual_weights(names: Sequence[str]) -> tuple[float, ...]:
    """Return the weights of ITU-R BS.775 if there is a centre, else equal ones; they add up to 1."""
    weights = [1.0] * len(names)
    if "FC" in names:
        weights = [1.0 if n == "FC" else _FRONT if n in ("FL", "FR") else _SURROUND * (n != "LFE") for n in names]
    return tuple(weight / sum(weights) for weight in weights)


def _better_weights(used: Sequence[float], covariance: NDArray[np.float64]) -> tuple[float, ...] | None:
    """Return better weights if channels cancel each other, or if much of the mix is silence."""
    weights, powers = np.asarray(used, np.float64), np.diag(covariance)
    if not powers.max():
        return None
    sounding = np.where(powers > _SILENT_SHARE * powers.max(), weights, 0.0)
    if not sounding.any():
        sounding = np.where(powers > _SILENT_SHARE * powers.max(), 1.0, 0.0)
    signs = np.where(covariance[int(powers.argmax())] < 0, -1.0, 1.0)
    cancels = weights @ covariance @ weights < _CANCELLED_SHARE * float((sounding**2 * powers).sum())
    is_faint = np.abs(sounding).sum() < _MIN_SOUNDING_SHARE
    if not cancels and not is_faint:
        return None
    better = (np.abs(sounding) * signs if cancels else sounding) / np.abs(sounding).sum()
    return None if np.allclose(better, weights) else tuple(better.tolist())


def describe_mix(weights: Weights) -> str:
    """Return a sentence on the channels that were left out of the mix or inverted for it."""
    parts = []
    for shares in weights.values():
        silent = [str(number) for number, share in enumerate(shares, 1) if not share]
        inverted = [str(number) for number, share in enumerate(shares, 1) if share < 0]
        for numbers, treatment in (
            (silent, "silent and left out of the mix"),
            (inverted, "of opposite phase and inverted in the mix"),
        ):
            if numbers:
                parts.append(f"channel {' and '.join(numbers)} of {len(shares)} is {treatment}")
    return "; ".join(parts)
