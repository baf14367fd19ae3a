"""How good sound is: speech over noise, loudness, clipping and silence."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.speech.vad import HOP_S

SILENT_DBFS = -50.0
NEIGHBOURHOOD_S = 10.0
"""Noise is heard in the pauses this near an item."""
_WINDOW = round(HOP_S * AUDIO_RATE_HZ)
_CLIPPED = 0.985 * 32768
_QUANTISATION = 1 / 12
_MIN_NOISE_WINDOWS = 6


class SoundQuality(NamedTuple):
    """Measures of one item. None where it cannot be told: no pause to hear noise in, too short, or digital silence."""

    snr_db: float | None
    """Speech (VAD above .8) over the noise of the pauses (VAD below .1) in and around the item"""
    loudness_lufs: float | None
    """Integrated loudness by ITU-R BS.1770-4, of 16 kHz mono sound"""
    clipping_share: float
    """Share of the samples within 0.13 dB of full scale"""
    silence_share: float
    """Share of 32 ms windows below -50 dBFS"""


def window_powers(samples: Samples) -> NDArray[np.float32]:
    """Mean square of each window of 32 ms, on the grid of the VAD; a block at a time, so that long films fit."""
    count = -(-len(samples) // _WINDOW)
    powers = np.zeros(count, np.float32)
    for first in range(0, count, 4096):
        block = samples[first * _WINDOW : (first + 4096) * _WINDOW].astype(np.float32)
        block = np.pad(block, (0, -len(block) % _WINDOW)).reshape(-1, _WINDOW)
        powers[first : first + len(block)] = (block**2).mean(axis=1)
    return powers


def sound_quality(
    samples: Samples, span: Span, probabilities: NDArray[np.float32], powers: NDArray[np.float32]
) -> SoundQuality:
    """The measures of one span of 16 kHz sound, given its speech probabilities and ``window_powers``."""
    sound = cut_audio(samples, span)
    here = slice(int(span.start_s / HOP_S), max(int(span.start_s / HOP_S) + 1, round(span.end_s / HOP_S)))
    levels = powers[here]
    silent = float((levels < 10 ** (SILENT_DBFS / 10) * 32768**2).mean()) if len(levels) else 1.0
    clipped = float((np.abs(sound.astype(np.int32)) >= _CLIPPED).mean()) if len(sound) else 0.0
    snr_db = _snr_db(span, here, probabilities, powers)
    return SoundQuality(snr_db, loudness_lufs(sound), round(clipped, 6), round(silent, 4))


def _snr_db(span: Span, here: slice, probabilities: NDArray[np.float32], powers: NDArray[np.float32]) -> float | None:
    around = slice(
        max(0, int((span.start_s - NEIGHBOURHOOD_S) / HOP_S)), int((span.end_s + NEIGHBOURHOOD_S) / HOP_S) + 1
    )
    noise = powers[around][probabilities[around] < 0.1]
    speech = powers[here][probabilities[here] > 0.8]
    if len(noise) < _MIN_NOISE_WINDOWS or not len(speech):
        return None
    floor = max(float(np.median(noise)), _QUANTISATION)
    signal = max(float(speech.mean()) - floor, _QUANTISATION)
    return round(10 * float(np.log10(signal / floor)), 2)


def loudness_lufs(samples: Samples, rate_hz: int = AUDIO_RATE_HZ) -> float | None:
    """Integrated loudness (ITU-R BS.1770-4, gated), or None below 0.4 s and where nothing is above -70 LUFS."""
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
    """Response of the two K-weighting filters (head and low cut), whose analogue prototypes BS.1770 samples."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(length))
    k = np.tan(np.pi * 1681.974450955533 / rate_hz)
    high, quality = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    mid = high**0.4996667741545416
    shelf = np.polyval([high - mid * k / quality + k * k, 2 * (k * k - high), high + mid * k / quality + k * k], z)
    shelf = shelf / np.polyval([1 - k / quality + k * k, 2 * (k * k - 1), 1 + k / quality + k * k], z)
    k, quality = np.tan(np.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    low = np.polyval([1.0, -2.0, 1.0], z)
    low = low / np.polyval([1 - k / quality + k * k, 2 * (k * k - 1), 1 + k / quality + k * k], z)
    # The standard's low cut is not scaled to unity; only its poles are normalised.
    return np.asarray(shelf * low * (1 + k / quality + k * k))
