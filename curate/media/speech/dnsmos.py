"""Rate how speech sounds to people, with the DNSMOS network."""

import functools
from typing import Any, NamedTuple

import numpy as np

from curate.media.container.decode import Samples
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.onnx import Weights, find_weights, open_network

DNSMOS = Weights(
    "speechmos",
    "dnsmos_models/sig_bak_ovr.onnx",
    "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
    install="pip install 'curate[dnsmos]'",
)
_WINDOW, _HOP = 144_160, AUDIO_RATE_HZ
_MIN_SAMPLES = AUDIO_RATE_HZ // 10
_SCALES = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)


class DnsmosScores(NamedTuple):
    """Mean opinion scores, 1 (bad) to 5, by ITU-T P.835; None for sound that is too short."""

    dnsmos_sig: float | None
    """Quality of the speech itself"""
    dnsmos_bak: float | None
    """Quality of the background"""
    dnsmos_ovr: float | None
    """Overall quality"""


def rate_speech(samples: Samples) -> DnsmosScores:
    """Return the ratings of 16 kHz sound (Reddy et al. 2022, "DNSMOS P.835"); None for less than 0.1 s.

    They are means over windows of 9.01 s, one every second; shorter sound is repeated to fill one window. Microsoft's
    script doubles it and takes more windows instead, which differs by up to 0.1. Raises ``MissingDependency`` if the
    network is not installed.
    """
    session = open_dnsmos()
    if len(samples) < _MIN_SAMPLES:
        return DnsmosScores(None, None, None)
    sound = samples.astype(np.float32) / np.float32(32768)
    if len(sound) < _WINDOW:
        sound = np.resize(sound, _WINDOW)
    starts = range(0, len(sound) - _WINDOW + 1, _HOP)
    raw = [session.run(None, {"input_1": sound[None, start : start + _WINDOW]})[0][0] for start in starts]
    scores = [np.polyval(scale, values).mean() for scale, values in zip(_SCALES, np.transpose(raw), strict=True)]
    return DnsmosScores(*(round(float(score), 3) for score in scores))


@functools.cache
def open_dnsmos() -> Any:
    """Return the session of the network: input ``input_1`` (n, 144160)."""
    return open_network(find_weights(DNSMOS))
