"""Loudness against the standard, noise against what was mixed in, clipping and silence against what was made."""

import numpy as np
import pytest

from curate.media.container.decode import Span
from curate.media.speech.quality import loudness_lufs, sound_quality, window_powers
from curate.media.speech.vad import HOP_S, speech_probabilities
from tests.support.media_builders import make_talk, make_tone


def make_sine(hertz, dbfs, seconds=5.0, rate_hz=16_000):
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (np.sin(2 * np.pi * hertz * times) * 32767 * 10 ** (dbfs / 20)).astype(np.int16)


def measure(sound, span=None):
    span = span or Span(0, len(sound) / 16_000)
    return sound_quality(sound, span, speech_probabilities(sound), window_powers(sound))


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_loudness_of_a_tone_is_that_of_the_standard(rate_hz):
    assert loudness_lufs(make_sine(997, 0, rate_hz=rate_hz), rate_hz) == pytest.approx(-3.01, abs=0.1)
    assert loudness_lufs(make_sine(997, -20, rate_hz=rate_hz), rate_hz) == pytest.approx(-23.01, abs=0.1)
    # EBU Tech 3341, case 3: what is much quieter does not count.
    quiet, loud = (make_sine(997, level, seconds=s, rate_hz=rate_hz) for level, s in ((-36, 10), (-23, 60)))
    whole = np.concatenate([quiet, loud, quiet])
    assert loudness_lufs(whole, rate_hz) == pytest.approx(-26.0, abs=0.15)


def test_low_hum_is_weighted_down():
    assert loudness_lufs(make_sine(30, -20)) < loudness_lufs(make_sine(997, -20)) - 3


def test_what_has_no_loudness():
    assert loudness_lufs(make_tone(0.3)) is None
    assert loudness_lufs(np.zeros(16_000, np.int16)) is None
    assert loudness_lufs(np.zeros(0, np.int16)) is None


@pytest.mark.parametrize("snr_db", [20, 10, 5])
def test_noise_that_was_mixed_in_is_measured(snr_db):
    talk, spans = make_talk(gaps_s=[1.0] * 6, snr_db=snr_db)
    found = [measure(talk, span).snr_db for span in spans]
    assert np.median(found) == pytest.approx(snr_db, abs=3)


def test_noise_is_unknown_without_a_pause():
    tone = make_tone(1.0)
    assert measure(tone).snr_db is None
    nothing = measure(np.zeros(16_000, np.int16))
    assert (nothing.snr_db, nothing.loudness_lufs, nothing.silence_share) == (None, None, 1.0)
    assert measure(np.zeros(1600, np.int16)).clipping_share == 0.0


def test_clipping_and_silence_are_shares():
    sound = np.concatenate([make_sine(300, -6, 1.0), np.zeros(16_000, np.int16)])
    sound[:1600] = 32767
    found = measure(sound)
    assert found.clipping_share == pytest.approx(0.05, abs=0.001)
    assert found.silence_share == pytest.approx(0.5, abs=0.02)


def test_powers_are_on_the_grid_of_the_detector():
    sound = make_tone(3.3)
    powers = window_powers(np.tile(sound, 50))
    assert len(powers) == -(-50 * len(sound) // 512) == len(speech_probabilities(np.tile(sound, 50)))
    assert powers[:-1].min() > 0
    assert HOP_S == 0.032
    assert len(window_powers(np.zeros(0, np.int16))) == 0
