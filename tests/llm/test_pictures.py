"""Which pictures of an item a model is shown, and in which form it gets the sound."""

import hashlib
import io
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.errors import InvalidRow
from curate.media.container.decode import Span, read_audio, read_frames
from curate.media.container.encode import encode_flac
from curate.media.container.pictures import encode_jpeg
from curate.media.faces.align import align
from curate.media.faces.centerface import CenterFace
from curate.media.sampling import FrameCandidate, choose_frames, rate_crops, sample_faces, sample_frames, sample_sound
from tests.support.media_builders import make_portrait, make_speech, make_tone, sample, write_media

looks = st.lists(st.builds(FrameCandidate, st.floats(0, 9), st.floats(0, 1), st.floats(0, 255)), max_size=40).map(
    lambda found: sorted(found, key=lambda look: look.time_s)
)


def make_look(at, worth=0.5, motion=1.0):
    return FrameCandidate(at * 0.1, worth, motion)


def blurred(rgb, times):
    small = Image.fromarray(rgb).resize((rgb.shape[1] // times, rgb.shape[0] // times))
    return np.asarray(small.resize((rgb.shape[1], rgb.shape[0])))


@given(looks, st.integers(0, 12))
def test_as_many_as_there_are_in_order_each_once(found, count):
    chosen = choose_frames(found, count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, len(found))
    assert choose_frames(found, count) == chosen


def test_they_are_spread_over_time_and_the_sharpest_of_each_part():
    still = [make_look(at, worth=0.9 if at in (2, 7, 11, 13) else 0.3, motion=0.0) for at in range(16)]
    assert choose_frames(still, 4) == [2, 7, 11, 13]


def test_there_are_more_where_something_changes():
    moving = [make_look(at, motion=20.0 if at >= 15 else 0.0) for at in range(20)]
    assert sum(at >= 15 for at in choose_frames(moving, 4)) >= 2
    assert choose_frames(moving, 4)[0] < 10


def test_one_jump_does_not_take_all_places():
    cut = [make_look(at, motion=255.0 if at == 9 else 0.0) for at in range(10)]
    assert len(choose_frames(cut, 5)) == 5


def make_film(tmp_path):
    """Two seconds: a blurred half, then a sharp portrait that moves."""
    portrait = make_portrait()
    soft = [blurred(portrait, 16)] * 25
    sharp = [np.roll(portrait, 2 * at, axis=1) if at % 5 == 0 else blurred(portrait, 8) for at in range(25)]
    return write_media(tmp_path / "film.mp4", frames=[*soft, *sharp])


def test_frames_are_sharp_ones_of_their_part_and_no_larger_than_asked(tmp_path):
    film = make_film(tmp_path)
    stills = sample_frames(film, Span(0.0, 2.0), 4, side_px=160)
    assert [still.time_s for still in stills] == sorted({still.time_s for still in stills})
    assert len(stills) == 4
    pictures = [Image.open(io.BytesIO(still.jpeg)) for still in stills]
    assert {picture.size for picture in pictures} == {(160, 160)}
    late = [still.time_s for still in stills if still.time_s >= 1]
    assert len(late) >= 2
    assert all(round(time_s * 25) % 5 == 0 for time_s in late)
    assert sample_frames(film, Span(0.0, 2.0), 4, side_px=160) == stills
    (one,) = sample_frames(film, Span(0.0, 2.0), 1, side_px=9_999)
    assert Image.open(io.BytesIO(one.jpeg)).size == (320, 320)


def test_frames_of_a_file_without_any(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 500)
    with pytest.raises(InvalidRow):
        sample_frames(tmp_path / "broken.mp4", Span(0.0, 1.0), 3, side_px=100)
    write_media(tmp_path / "sound.mp4", sound=make_tone())
    with pytest.raises(InvalidRow):
        sample_frames(tmp_path / "sound.mp4", Span(0.0, 1.0), 3, side_px=100)


def test_faces_are_cut_from_the_viewing_copy_by_their_track():
    frames = list(read_frames(sample(), [Span(1.0, 2.9)], every=5))
    detector = CenterFace()
    track = [(frame.time_s, detector.detect(frame.rgb)[0]) for frame in frames]
    assert len(track) >= 8
    stills = sample_faces(sample(), track, 3, size_px=128)
    assert len(stills) == 3
    assert {still.time_s for still in stills} <= {time_s for time_s, _ in track}
    for still in stills:
        rgb = np.asarray(Image.open(io.BytesIO(still.jpeg)))
        assert rgb.shape == (128, 128, 3)
        near = min(frames, key=lambda frame: abs(frame.time_s - still.time_s))
        wanted = align(near.rgb, dict(track)[still.time_s].landmarks, size_px=128)
        assert np.abs(rgb.astype(int) - wanted.astype(int)).mean() < 12
    assert sample_faces(sample(), track, 3, size_px=128) == stills
    assert sample_faces(sample(), [], 3) == []


def test_faces_that_cannot_be_seen_are_not_shown():
    (frame,) = list(read_frames(sample(), [Span(1.0, 1.03)]))[:1]
    face = CenterFace().detect(frame.rgb)[0]
    outside = face._replace(box=face.box + 5_000, landmarks=face.landmarks + 5_000)
    assert sample_faces(sample(), [(1.0, outside)], 3) == []
    beyond = [(900.0, face)]
    assert sample_faces(sample(), beyond, 3) == []


def test_crops_are_worth_less_the_more_they_are_blurred_turned_or_small(tmp_path):
    portrait = make_portrait()
    points = CenterFace().detect(portrait)[0].landmarks
    turned = points.copy()
    turned[2, 0] += 0.5 * (points[1, 0] - points[0, 0])
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    paths = [tmp_path / f"{at}.jpg" for at in range(2)]
    paths[0].write_bytes(encode_jpeg(portrait))
    paths[1].write_bytes(encode_jpeg(blurred(portrait, 12)))
    crops = [(0.0, paths[0]), (0.2, paths[1]), (0.4, paths[0]), (0.6, paths[0]), (0.8, tmp_path / "broken.jpg")]
    marks = [points, points, turned, points / 2, None]
    rated = rate_crops(crops, marks, largest_px=float(np.linalg.norm(points[1] - points[0])))
    best, *rest = [look.score for look in rated]
    assert all(worth < 0.8 * best for worth in rest)
    assert rated[-1] == FrameCandidate(0.8, 0.0, 0.0)
    assert rated[1].motion > 1
    assert rated[3].motion == 0
    (alone,) = rate_crops(crops[:1], [None])
    assert alone.score == pytest.approx(best, rel=0.2)


def test_sound_as_wav_is_exact_and_as_mp3_small(tmp_path):
    speech = make_speech()[:48_000]
    path = tmp_path / "speech.flac"
    path.write_bytes(encode_flac(speech))
    wav, duration_s = sample_sound(path, "wav", max_s=3.0)
    assert duration_s == 3.0
    with wave.open(io.BytesIO(wav)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 16_000)
        assert np.array_equal(np.frombuffer(reader.readframes(99_999_999), "<i2"), speech)
    mp3, _ = sample_sound(path, "mp3", max_s=3.0)
    assert len(mp3) < len(wav) / 5
    assert hashlib.sha256(mp3).digest() == hashlib.sha256(sample_sound(path, "mp3", max_s=9.0).data).digest()
    assert sample_sound(path, "wav", max_s=2.9) is None
    (tmp_path / "speech.mp3").write_bytes(mp3)
    heard = read_audio(tmp_path / "speech.mp3")
    assert abs(len(heard) - len(speech)) < 2_500
    shift = np.correlate(heard.astype(float)[:20_000], speech.astype(float)[4_000:16_000], "valid").argmax()
    same = np.corrcoef(heard[shift : shift + 12_000], speech[4_000:16_000])[0, 1]
    assert same > 0.95


def test_sound_of_a_film_without_any(tmp_path):
    path = write_media(tmp_path / "mute.mp4", frames=[make_portrait()] * 3)
    with pytest.raises(InvalidRow, match="no sound"):
        sample_sound(path, "wav", max_s=9.0)
