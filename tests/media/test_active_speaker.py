"""Whose face speaks."""

import numpy as np
import pytest

from curate.media.container.decode import Span, read_audio
from curate.media.faces.analyse import analyse_video
from curate.media.faces.centerface import CenterFace
from curate.media.speech.active_speaker import find_active_speakers
from tests.support.media_builders import make_portrait, make_speech, make_tone, sample, write_media
from tests.support.talking_heads import Turn, make_dialogue


def places(watched, answers):
    """For each answer the place of the head from left to right, or the outcome where it is nobody's."""
    order = sorted(range(len(watched.tracks)), key=lambda i: watched.tracks[i].track.faces[0].box[0])
    return [order.index(a.track) if a.outcome == "speaker face" else a.outcome for a in answers]


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory):
    path = tmp_path_factory.mktemp("talk") / "dialogue.mp4"
    turns = [Turn(i % 6, (0, 1, 1, 0, None)[i % 5]) for i in range(15)]
    spans = make_dialogue(path, turns)
    watched = analyse_video(path, [Span(0.0, 999.0)], CenterFace(), crops="none")
    return turns, spans, watched, find_active_speakers(watched.tracks, read_audio(path), spans)


def test_of_two_faces_the_one_that_speaks_is_chosen(dialogue):
    turns, _, watched, answers = dialogue
    assert len(watched.tracks) == 2
    found = [(place, turn.speaker) for place, turn in zip(places(watched, answers), turns, strict=True)]
    spoken = [(place, speaker) for place, speaker in found if speaker is not None]
    assert np.mean([place == speaker for place, speaker in spoken]) >= 0.9
    assert not any(place == 1 - speaker for place, speaker in spoken)


def test_where_it_is_uncertain_the_likeliest_face_is_kept(dialogue):
    _, spans, watched, answers = dialogue
    assert all((answer.track is None) == (answer.outcome == "off screen") for answer in answers)
    assert all(answer.score <= 0.5 for answer in answers if answer.outcome == "uncertain")
    starts = [Span(span.start_s, span.start_s + 0.3) for span in spans]
    short = find_active_speakers(watched.tracks, np.zeros(0, np.int16), starts)
    assert all(answer.outcome == "uncertain" and answer.track is not None for answer in short)


def test_a_voice_off_screen_is_nobodys(dialogue):
    turns, _, watched, answers = dialogue
    hidden = [p for p, turn in zip(places(watched, answers), turns, strict=True) if turn.speaker is None]
    assert hidden
    assert all(place in ("off screen", "uncertain") for place in hidden)
    assert "off screen" in hidden


def test_a_single_face_that_speaks():
    spans = [Span(0.3, 3.4), Span(4.1, 7.3)]
    watched = analyse_video(sample(), spans, CenterFace(), crops="none")
    answers = find_active_speakers(watched.tracks, make_speech(), spans)
    assert [answer.track for answer in answers] == [0, 0]
    assert all(answer.outcome == "speaker face" and 0.3 < answer.score <= 1 for answer in answers)


def test_a_still_photo_does_not_speak(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=[make_portrait()] * 150, sound=make_speech())
    watched = analyse_video(path, [Span(0.0, 6.0)], CenterFace(), crops="none")
    answer = find_active_speakers(watched.tracks, make_speech(), [Span(0.4, 3.3)])[0]
    assert (answer.track, answer.outcome) == (None, "off screen")


def test_without_a_face_and_too_short_and_silent():
    assert find_active_speakers([], make_tone(), [Span(0.0, 1.0)])[0].outcome == "off screen"
    watched = analyse_video(sample(), [Span(0.0, 2.0)], CenterFace(), crops="none")
    short, silent, beyond = find_active_speakers(
        watched.tracks, np.zeros(0, np.int16), [Span(1.0, 1.1), Span(0.5, 1.9), Span(36_000.0, 36_001.0)]
    )
    assert short == (0, "uncertain", 0.0)
    assert 0 <= silent.score <= 1
    assert beyond.outcome == "off screen"
