"""Where speech begins and ends, from probabilities and from sound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.media.speech.vad import HOP_S, find_utterances, speech_probabilities
from tests.support.media_builders import make_speech, make_talk, make_tone


def bounds(probabilities, **settings):
    values = np.asarray(probabilities, np.float32)
    found = find_utterances(values, duration_s=len(values) * HOP_S, **settings)
    return [(round(one.span.start_s / HOP_S), round(one.span.end_s / HOP_S)) for one in found]


def test_the_samples_hold_two_utterances_each():
    for name in ("good_news", "broken_promise", "night_noise"):
        sound = make_speech(name)
        found = find_utterances(speech_probabilities(sound), duration_s=len(sound) / 16_000)
        assert len(found) == 2
        assert all(one.share > 0.5 for one in found)


def test_no_speech_in_silence_and_in_a_tone():
    for sound in (np.zeros(48_000, np.int16), make_tone(3.0)):
        assert find_utterances(speech_probabilities(sound), duration_s=3.0) == []
    assert len(speech_probabilities(np.zeros(0, np.int16))) == 0


def test_blocks_do_not_change_the_result():
    long = np.tile(make_speech(), 6)
    whole = speech_probabilities(long)
    assert len(whole) == -(-len(long) // 512) > 1024
    assert np.array_equal(whole[:1024], speech_probabilities(long[: 512 * 1024]))


def test_hysteresis_and_pauses():
    talk, dip, still = [0.9] * 20, [0.4] * 5, [0.1]
    assert bounds(still * 5 + talk + dip + talk + still * 30, pad_s=0) == [(5, 50)]
    assert bounds(talk + still * 5 + talk, pad_s=0, max_pause_s=0.3) == [(0, 45)]
    assert bounds(talk + still * 12 + talk, pad_s=0, max_pause_s=0.3) == [(0, 20), (32, 52)]
    assert bounds(still * 5 + [0.9] * 3 + still * 30, min_speech_s=0.25) == []


def test_padding_meets_in_the_middle_of_a_gap():
    assert bounds([0.9] * 20 + [0.1] * 12 + [0.9] * 20, pad_s=1.0) == [(0, 26), (26, 52)]


def test_a_long_utterance_is_split_where_it_is_least_like_speech():
    talk = [0.9] * 100
    talk[60] = 0.6
    assert bounds(talk, pad_s=0, max_utterance_s=2.5) == [(0, 60), (60, 100)]


@given(st.lists(st.floats(0, 1, width=32), max_size=200), st.floats(0, 2), st.floats(0.1, 2), st.floats(1, 5))
def test_utterances_lie_in_order_inside_the_sound(probabilities, pad_s, max_pause_s, max_utterance_s):
    duration_s = len(probabilities) * HOP_S
    found = find_utterances(
        np.asarray(probabilities, np.float32),
        duration_s=duration_s,
        pad_s=pad_s,
        max_pause_s=max_pause_s,
        max_utterance_s=max_utterance_s,
        min_speech_s=0,
    )
    edges = [edge for one in found for edge in one.span]
    assert edges == sorted(edges)
    assert all(-0.001 <= edge <= duration_s + 0.001 for edge in edges)
    assert all(one.span.end_s - one.span.start_s <= max_utterance_s + 2 * pad_s + HOP_S for one in found)


def test_late_quiet_speech_is_found():
    quiet = (make_speech() * 0.05).astype(np.int16)
    assert len(find_utterances(speech_probabilities(quiet), duration_s=len(quiet) / 16_000)) == pytest.approx(2, abs=1)


def frame_f1(found, truth, seconds):
    marks = np.zeros((2, round(seconds * 100)), bool)
    for row, spans in zip(marks, (found, truth), strict=True):
        for start_s, end_s in spans:
            row[round(start_s * 100) : round(end_s * 100)] = True
    return 2 * (marks[0] & marks[1]).sum() / marks.sum()


@pytest.mark.parametrize(
    ("snr_db", "least", "most_ms"), [(None, 0.97, 60), (20, 0.96, 80), (10, 0.95, 120), (0, 0.94, 150)]
)
def test_utterances_against_known_gaps_in_noise(snr_db, least, most_ms):
    gaps_s = [0.5, 0.8, 1.2, 2.5, 0.6, 1.6, 0.5, 2.0, 0.9, 0.7, 1.4, 0.5]
    talk, truth = make_talk(gaps_s=gaps_s, snr_db=snr_db)
    seconds = len(talk) / 16_000
    found = [one.span for one in find_utterances(speech_probabilities(talk), duration_s=seconds, pad_s=0)]
    assert len(found) == len(truth)
    assert frame_f1(found, truth, seconds) >= least
    errors_ms = np.abs(np.asarray(found) - np.asarray(truth)) * 1000
    assert np.median(errors_ms) < most_ms / 2
    assert np.percentile(errors_ms, 90) < most_ms
    padded = [one.span for one in find_utterances(speech_probabilities(talk), duration_s=seconds)]
    assert frame_f1(padded, truth, seconds) >= 0.94


def test_a_lower_threshold_takes_in_what_is_less_like_speech():
    still, moan = [0.1] * 10, [0.4] * 20
    assert bounds(still + moan + still) == []
    assert len(bounds(still + moan + still, threshold=0.3)) == 1


def test_hum_hiss_and_what_is_next_to_nothing():
    times = np.arange(16_000 * 4) / 16_000
    hum = (600 * sum(np.sin(2 * np.pi * 50 * k * times) / k for k in (1, 2, 3))).astype(np.int16)
    hiss = np.random.default_rng(0).normal(0, 300, len(times)).astype(np.int16)
    for sound in (hum, hiss, hum[:1600], make_speech()[8000:9600]):
        assert find_utterances(speech_probabilities(sound), duration_s=len(sound) / 16_000) == []


def talk_far_away(talk, level):
    """Talk in a room with 0.7 s of reverberation and pink noise 5 dB below it, recorded at a share of the level."""
    rng = np.random.default_rng(0)
    echoes = rng.normal(size=12_000) * np.exp(-np.arange(12_000) / 16_000 * 6.9 / 0.7)
    echoes[0] = 2.0
    size = 2 ** int(np.ceil(np.log2(len(talk) + len(echoes))))
    far = np.fft.irfft(np.fft.rfft(talk, size) * np.fft.rfft(echoes, size), size)[: len(talk)]
    spectrum = np.fft.rfft(rng.normal(size=len(talk)))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), len(talk))
    far = far / far.std() + 0.56 * noise / noise.std()
    return (far * talk.std() * level).clip(-32768, 32767).astype(np.int16)


@pytest.mark.parametrize("level", [1.0, 0.1, 0.02])
def test_quiet_talk_far_away_is_found_as_well_as_loud(level):
    talk, truth = make_talk(gaps_s=[0.8, 1.2, 2.5, 1.6, 2.0, 1.4])
    seconds = len(talk) / 16_000
    found = [one.span for one in find_utterances(speech_probabilities(talk_far_away(talk, level)), duration_s=seconds)]
    assert frame_f1(found, truth, seconds) >= 0.85


@pytest.mark.parametrize("level", [1, 3, 30])
def test_quiet_noise_is_no_speech(level):
    hiss = np.random.default_rng(1).normal(0, level, 16_000 * 6).astype(np.int16)
    assert find_utterances(speech_probabilities(hiss), duration_s=6.0) == []
