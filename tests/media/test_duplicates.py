"""The same content has nearly the same hash, whatever file it lies in; other content has not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.media import hamming
from curate.media.container.decode import Span, read_audio, read_audio_start, read_frames
from curate.media.duplicates import (
    NEAR_PICTURE_SHARE,
    NEAR_SOUND_SHARE,
    first_duplicates,
    is_near,
    picture_hash,
    sound_hash,
    video_hash,
)
from tests.support.media_builders import (
    make_frames,
    make_portrait,
    make_speech,
    make_talk,
    make_tone,
    sample,
    write_media,
)

NAMES = ("good_news", "broken_promise", "night_noise")


def test_a_picture_smaller_and_brighter(tmp_path):
    portrait = make_portrait()
    Image.fromarray(portrait).resize((177, 177)).save(tmp_path / "a.jpg", quality=40)
    again = np.asarray(Image.open(tmp_path / "a.jpg"))
    brighter = np.clip(portrait.astype(int) + 30, 0, 255).astype(np.uint8)
    assert is_near(picture_hash(portrait), picture_hash(again), NEAR_PICTURE_SHARE)
    assert is_near(picture_hash(portrait), picture_hash(brighter), NEAR_PICTURE_SHARE)
    assert not is_near(picture_hash(portrait), picture_hash(portrait[:, ::-1]), NEAR_PICTURE_SHARE)
    assert picture_hash(make_frames(1)[0]) is None


def test_sound_encoded_and_quieter(tmp_path):
    for name in NAMES:
        sound = make_speech(name)
        encoded = read_audio(write_media(tmp_path / f"{name}.mp3", sound=(sound * 0.3).astype(np.int16)))
        assert is_near(sound_hash(sound), sound_hash(encoded), NEAR_SOUND_SHARE)
    hashes = [sound_hash(make_speech(name)) for name in NAMES]
    assert not any(is_near(a, b, NEAR_SOUND_SHARE) for a in hashes for b in hashes if a != b)
    assert sound_hash(np.zeros(16_000, np.int16)) is None
    assert sound_hash(make_tone(0.1)) is None


def test_no_two_utterances_are_alike():
    talk, spans = make_talk(gaps_s=[0.7] * 6)
    hashes = [sound_hash(talk[round(a * 16_000) : round(b * 16_000)]) for a, b in spans]
    assert not any(is_near(a, b, NEAR_SOUND_SHARE) for i, a in enumerate(hashes) for b in hashes[:i])


def test_a_film_encoded_again(tmp_path):
    frames = [frame.rgb for frame in read_frames(sample(), [Span(0, 7.3)])]
    half = [np.asarray(Image.fromarray(rgb).resize((160, 160))) for rgb in frames]
    again = write_media(tmp_path / "a.mkv", frames=half)
    assert is_near(video_hash(sample(), len(frames) / 25), video_hash(again, len(frames) / 25), NEAR_PICTURE_SHARE)
    assert video_hash(write_media(tmp_path / "grey.mp4", frames=make_frames(25)), 1.0) is None
    assert video_hash(write_media(tmp_path / "a.wav", sound=make_tone()), 1.0) is None


def test_the_start_of_the_sound(tmp_path):
    path = write_media(tmp_path / "a.wav", sound=make_speech())
    assert np.array_equal(read_audio_start(path, 2.0), read_audio(path)[:32_000])
    assert len(read_audio_start(write_media(tmp_path / "b.mp4", frames=make_frames()), 2.0)) == 0


def make_hash(*flips):
    bits = np.random.default_rng(0).integers(0, 2, 256)
    bits[list(flips)] ^= 1
    return np.packbits(bits).tobytes().hex()


def test_what_repeats_an_earlier_one():
    seen = [make_hash(), make_hash(1, 2), None, make_hash(*range(100)), make_hash(5), None]
    heard = [make_hash(), make_hash(3), make_hash(), make_hash(), None, None]
    assert first_duplicates(seen, heard, [10.0, 10.1, 10.0, 10.0, 10.0, None]) == [None, 0, None, None, None, None]
    assert first_duplicates([make_hash()] * 3, [None] * 3, [10.0, 12.0, 12.1]) == [None, None, 1]
    assert first_duplicates([None] * 2, [make_hash()] * 2, [None, None]) == [None, 0]
    assert first_duplicates([], [], []) == []


def first_by_brute_force(pictures, sounds, seconds):
    """The definition, pair by pair."""
    firsts = []
    for later, length in enumerate(seconds):
        kinds = [(column, share) for column, share in ((pictures, 0.12), (sounds, 0.27)) if column[later]]
        match = None
        for earlier in range(later if kinds else 0):
            is_same_kind = all((c[earlier] is None) == (c[later] is None) for c in (pictures, sounds))
            if not is_same_kind or firsts[earlier] is not None:
                continue
            is_as_long = length is None or (
                seconds[earlier] is not None and abs(seconds[earlier] - length) <= max(0.5, 0.02 * length)
            )
            if is_as_long and all(is_near(c[earlier], c[later], share) for c, share in kinds):
                match = earlier
                break
        firsts.append(match)
    return firsts


@st.composite
def collections(draw):
    """Hashes around a few others, of any density, some missing, with lengths that are near, far apart or unknown."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, density = draw(st.integers(0, 60)), draw(st.sampled_from([0.5, 0.1]))
    centres = rng.random((4, 256)) < density

    def column():
        flips = rng.random((count, 256)) < rng.choice([0.0, 0.06, 0.13, 0.2], (count, 1))
        bits = centres[rng.integers(0, 4, count)] ^ flips
        present = rng.random(count) < draw(st.sampled_from([0.0, 0.5, 1.0]))
        return [np.packbits(row).tobytes().hex() if there else None for row, there in zip(bits, present, strict=True)]

    seconds = rng.choice([1.0, 1.5, 1.51, 60.0, 61.2, 61.3, 3600.0], count)
    known = rng.random(count) < draw(st.sampled_from([0.5, 1.0]))
    return column(), column(), [float(s) if k else None for s, k in zip(seconds, known, strict=True)]


@given(collections())
def test_the_fast_search_is_exact(collection):
    assert first_duplicates(*collection) == first_by_brute_force(*collection)


@pytest.mark.parametrize("density", [0.5, 0.05])
def test_the_search_is_exact_over_several_blocks(monkeypatch, density):
    monkeypatch.setattr(hamming, "_BLOCK", 64)
    monkeypatch.setattr(hamming, "_TILE", (8, 32))
    rng = np.random.default_rng(0)
    bits = rng.random((250, 256)) < density
    for index in rng.integers(1, 250, 90):
        bits[index] = bits[rng.integers(0, index)] ^ (rng.random(256) < 0.11)
    hashes = [np.packbits(row).tobytes().hex() for row in bits]
    seconds = [float(s) for s in rng.uniform(0.5, 6.0, 250)]
    for probe_cost in (0, 12, 10**9):
        monkeypatch.setattr(hamming, "_PROBE_COST", probe_cost)
        for collection in ((hashes, [None] * 250, [None] * 250), ([None] * 250, hashes, seconds)):
            firsts = first_duplicates(*collection)
            assert firsts == first_by_brute_force(*collection)
            assert sum(first is not None for first in firsts) >= 5


def test_few_of_all_pairs_of_pictures_are_compared():
    words = np.random.default_rng(0).integers(0, 2**64, (20_000, 4), np.uint64)
    assert hamming._Bands(words, words).count < 20_000**2 / 200


@pytest.mark.media
def test_acted_sentences_are_told_apart(shared_data):
    paths = sorted((shared_data / "media/emodb").glob("*.wav"))
    hashes = [sound_hash(read_audio(path)) for path in paths]
    assert not any(is_near(a, b, NEAR_SOUND_SHARE) for i, a in enumerate(hashes) for b in hashes[:i])
