"""When each word is said: spread over the speech, or aligned with the sound."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import MissingDependency
from curate.media.container.decode import Span
from curate.media.speech.vad import HOP_S, speech_probabilities
from curate.media.words import alignment
from curate.media.words.alignment import align_english, clip_ends
from curate.media.words.spread import Word, speech_spans, spread_words
from tests.support.media_builders import make_speech, make_talk

TEXT = "I got the job, I can not believe it, I am so happy! But leaving all my friends makes me really sad."


def test_words_are_spread_by_letters_over_the_speech():
    words = spread_words("I really do", [Span(1.0, 2.0), Span(3.0, 4.0)])
    assert [word.text for word in words] == ["I", "really", "do"]
    assert words[0] == Word("I", 1.0, 1.333)
    assert words[1].end_s == pytest.approx(3.5)
    assert words[2].end_s == 4.0
    assert spread_words("", [Span(0, 1)]) == spread_words("word", []) == []
    assert spread_words("one two", [Span(0, 1), Span(2, 3)]) == [Word("one", 0, 1), Word("two", 2, 3)]


@given(st.text(max_size=60), st.lists(st.floats(0.01, 5), min_size=2, max_size=8))
def test_spread_words_are_in_order_inside_the_stretches(text, lengths):
    edges = np.cumsum(lengths).tolist()
    stretches = [Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    words = spread_words(text, stretches)
    assert [word.text for word in words] == text.split()
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert all(stretches[0].start_s - 0.002 <= time <= stretches[-1].end_s + 0.002 for time in times)


def test_the_speech_in_a_span():
    probabilities = np.asarray([0.1] * 10 + [0.9] * 10 + [0.1] * 10 + [0.8] * 10, np.float32)
    assert speech_spans(probabilities, Span(0, 40 * HOP_S)) == [
        Span(10 * HOP_S, 20 * HOP_S),
        Span(30 * HOP_S, 40 * HOP_S),
    ]
    assert speech_spans(probabilities, Span(0, 0.2)) == [Span(0, 0.2)]


def test_english_words_are_found_in_the_sound():
    sound = make_speech()
    words = align_english(sound, Span(0, len(sound) / 16_000), TEXT)
    assert [word.text for word in words] == TEXT.split()
    times = {word.text: word for word in words}
    assert times["I"].start_s == pytest.approx(2.55, abs=0.1)
    assert times["But"].start_s == pytest.approx(4.23, abs=0.05)
    assert times["sad."].end_s == pytest.approx(7.25, abs=0.1)
    late = np.concatenate([np.zeros(16_000, np.int16), sound])
    moved = align_english(late, Span(1.0, len(late) / 16_000), TEXT)
    assert [word.start_s - 1 for word in moved] == pytest.approx([word.start_s for word in words])


def test_alignment_does_not_depend_on_what_was_aligned_before():
    sound, other = make_speech(), make_speech("night_noise")
    span = Span(0, len(sound) / 16_000)
    first = align_english(sound, span, TEXT)
    align_english(other, Span(0, 3), "There is somebody in the house")
    assert align_english(sound, span, TEXT) == first


@pytest.mark.parametrize("snr_db", [20, 10])
def test_word_starts_in_noise(snr_db):
    clean, (span, *_) = make_talk(gaps_s=[0.5, 0.5])
    noisy, _ = make_talk(gaps_s=[0.5, 0.5], snr_db=snr_db)
    said = TEXT.partition("!")[0]
    truth = align_english(clean, span, said)
    found = align_english(noisy, span, said)
    errors_s = [abs(a.start_s - b.start_s) for a, b in zip(truth, found, strict=True)]
    assert np.median(errors_s) <= 0.03


def test_an_unknown_word_shares_the_time_of_the_one_before():
    sound = make_speech("broken_promise")
    words = align_english(sound, Span(0, len(sound) / 16_000), "You promised to be there, zzyzx and you lied to me!")
    there, unknown, following = words[4:7]
    assert there.end_s == unknown.start_s
    assert there.start_s < unknown.start_s < unknown.end_s <= following.start_s


@pytest.mark.parametrize(
    "text", ["", "...", "zzyzx qwrtl bbrrk", "日本語", "ja nein doch zzyzx qwrt", "\x00", "<> {} ()"]
)
def test_text_that_cannot_be_aligned_returns_none(text):
    sound = make_speech()
    assert align_english(sound, Span(0, 3), text) is None
    assert align_english(np.zeros(0, np.int16), Span(0, 3), text or "hello") is None
    assert align_english(sound, Span(0, 0.05), "hello") is None


def test_the_end_of_a_word_is_drawn_back_to_the_end_of_the_speech():
    assert clip_ends([Word("so", 0.2, 1.9)], [Span(0, 1), Span(2, 3)]) == [Word("so", 0.2, 1.05)]
    assert clip_ends([Word("so", 0.2, 0.4)], [Span(0, 1)]) == [Word("so", 0.2, 0.4)]
    assert clip_ends([Word("so", 5.0, 5.4)], [Span(0, 1)]) == [Word("so", 5.0, 5.4)]


def test_probabilities_and_alignment_agree_on_where_speech_is():
    sound = make_speech()
    stretches = speech_spans(speech_probabilities(sound), Span(0, len(sound) / 16_000))
    words = align_english(sound, Span(0, len(sound) / 16_000), TEXT)
    inside = [any(one.start_s - 0.1 <= word.middle_s <= one.end_s + 0.1 for one in stretches) for word in words]
    assert all(inside)


def test_alignment_that_is_demanded_names_the_extra(monkeypatch):
    alignment._open.cache_clear()
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingDependency) as caught:
        align_english(make_speech(), Span(0, 3), TEXT)
    assert "curate[alignment]" in (caught.value.hint or "")


@pytest.mark.parametrize("is_installed", [True, False])
def test_words_are_aligned_where_the_extra_is_unless_the_recipe_decides(monkeypatch, is_installed):
    monkeypatch.setattr(alignment, "is_installed", lambda: is_installed)
    assert [alignment.is_wanted(setting) for setting in (None, True, False)] == [is_installed, True, False]
