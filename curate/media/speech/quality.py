"""Measure sound: signal-to-noise ratio, loudness, clipping and silence."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.container.sample_store import release_pages
from curate.media.speech.vad import HOP_S

SILENT_DBFS = -50.0
NEIGHBOURHOOD_S = 10.0
"""Noise is measured in the pauses up to this far from an item."""
_WINDOW = round(HOP_S * AUDIO_RATE_HZ)
_CLIPPED = 0.985 * 32768
_QUANTISATION = 1 / 12
_MIN_NOISE_WINDOWS = 6


class SoundQuality(NamedTuple):
    """Measures of one item; None if not measurable: no pause to measure noise in, too short, or digital silence."""

    snr_db: float | None
    """Speech (VAD above .8) over the noise of the pauses (VAD below .1) in and around the item"""
    loudness_lufs: float | None
    """Integrated loudness (ITU-R BS.1770-4) of 16 kHz mono sound"""
    clipping_share: float
    """Share of the samples within 0.13 dB of full scale"""
    silence_share: float
    """Share of 32 ms windows below -50 dBFS"""


def window_powers(samples: Samples) -> NDArray[np.float32]:
    """Return the mean square of each window of 32 ms, on the grid of the VAD."""
    count = -(-len(samples) // _WINDOW)
    powers = np.zeros(count, np.float32)
    # In blocks, so that the sound of a long film fits into memory.
    for first in range(0, count, 4096):
        release_pages(samples)
        block = samples[first * _WINDOW : (first + 4096) * _WINDOW].astype(np.float32)
        block = np.pad(block, (0, -len(block) % _WINDOW)).reshape(-1, _WINDOW)
        powers[first : first + len(block)] = (block**2).mean(axis=1)
    return powers


def sound_quality(
    samples: Samples, span: Span, probabilities: NDArray[np.float32], powers: NDArray[np.float32]
) -> SoundQuality:
    """Return the measures of one span of 16 kHz sound, given the speech probabilities and powers of all windows."""
    sound = cut_audio(samples, span)
    windows = slice(int(span.start_s / HOP_S), max(int(span.start_s / HOP_S) + 1, round(span.end_s / HOP_S)))
    levels = powers[windows]
    silence_share = float((levels < 10 ** (SILENT_DBFS / 10) * 32768**2).mean()) if len(levels) else 1.0
    clipping_share = float((np.abs(sound.astype(np.int32)) >= _CLIPPED).mean()) if len(sound) else 0.0
    snr_db = _snr_db(span, windows, probabilities, powers)
    return SoundQuality(snr_db, loudness_lufs(sound), round(clipping_share, 6), round(silence_share, 4))


def _snr_db(
    span: Span, windows: slice, probabilities: NDArray[np.float32], powers: NDArray[np.float32]
) -> float | None:
    vicinity = slice(
        max(0, int((span.start_s - NEIGHBOURHOOD_S) / HOP_S)), int((span.end_s + NEIGHBOURHOOD_S) / HOP_S) + 1
    )
    noise = powers[vicinity][probabilities[vicinity] < 0.1]
    speech = powers[windows][probabilities[windows] > 0.8]
    if len(noise) < _MIN_NOISE_WINDOWS or not len(speech):
        return None
    floor = max(float(np.median(noise)), _QUANTISATION)
    signal = max(float(speech.mean()) - floor, _QUANTISATION)
    return round(10 * float(np.log10(signal / floor)), 2)


def loudness_lufs(samples: Samples, rate_hz: int = AUDIO_RATE_HZ) -> float | None:
    """Return the gated integrated loudness (ITU-R BS.1770-4), or None below 0.4 s or if nothing exceeds -70 LUFS."""
    block, step = round(0.4 * rate_hz), round(0.1 * rate_hz)
    if len(samples) < block:
        return None
    padded = 1 << (len(samples) + rate_hz // 4 - 1).bit_length()
    spectrum = np.fft.rfft(samples.astype(np.float32) / np.float32(32768), padded)
    spectrum *= _k_weighting(padded, rate_hz)
    weighted = np.fft.irfft(spectrum, padded)[: len(samples)]
    sums = np.concatenate([[0.0], np.cumsum(weighted.astype(np.float64) ** 2)])
    starts = np.arange(0, len(samples) - block + 1, step)
    powers = (sums[starts + block] - sums[starts]) / block
    powers = powers[powers > 10 ** ((-70 + 0.691) / 10)]
    if not len(powers):
        return None
    powers = powers[powers > powers.mean() / 10]
    return round(-0.691 + 10 * float(np.log10(powers.mean())), 2)


def _k_weighting(length: int, rate_hz: int) -> NDArray[np.complex128]:
    """Return the response of the two K-weighting filters, from the analogue prototypes that BS.1770 discretises."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(length))
    k = np.tan(np.pi * 1681.974450955533 / rate_hz)
    high, quality = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    mid = high**0.4996667741545416
    shelf = np.polyval([high - mid * k / quality + k * k, 2 * (k * k - high), high + mid * k / quality + k * k], z)
    shelf = shelf / np.polyval([1 - k / quality + k * k, 2 * (k * k - 1), 1 + k / quality + k * k], z)
    k, quality = np.tan(np.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    low_cut = np.polyval([1.0, -2.0, 1.0], z)
    low_cut = low_cut / np.polyval([1 - k / quality + k * k, 2 * (k * k - 1), 1 + k / quality + k * k], z)
    # The standard's low cut is not scaled to unity; only its poles are normalised.
    return np.asarray(shelf * low_cut * (1 + k / quality + k * k))
