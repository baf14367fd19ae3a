"""Cuts, fades and motion."""

from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from curate.media.container.decode import Span, decode_frames
from curate.media.shots import ShotDetector


def make_scene(seed, *, level=0.0):
    blocks = np.random.default_rng(seed).integers(0, 255, (9, 16), np.uint8)
    return np.clip(np.kron(blocks, np.ones((4, 4))) + level, 0, 255).astype(np.uint8)


def find(thumbs, *, fps=25):
    finder = ShotDetector()
    cuts = [index for index, thumb in enumerate(thumbs) if finder.add_frame(index / fps, thumb)]
    finder.end_shot()
    return cuts, finder.shots


def test_a_cut_differs_from_motion():
    wide = np.asarray(Image.fromarray(np.hstack([make_scene(0)] * 2)).resize((512, 144)))
    moving = [np.asarray(Image.fromarray(wide[:, 3 * step : 3 * step + 256]).resize((64, 36))) for step in range(16)]
    cuts, shots = find([*moving, *[make_scene(1)] * 10])
    assert cuts == [16]
    assert shots == [(0.0, 16 / 25), (16 / 25, 25 / 25)]


def test_every_cut_of_a_fast_sequence():
    cuts, shots = find([make_scene(seed) for seed in range(6) for _ in range(5)])
    assert cuts == [5, 10, 15, 20, 25]
    assert len(shots) == 6


def test_frames_taken_at_once_give_the_same_cuts():
    ramp = np.linspace(1, 0, 12)
    thumbs = [make_scene(seed) for seed in range(4) for _ in range(7)] + [make_scene(3)] * 20
    thumbs += [(make_scene(3) * gain).astype(np.uint8) for gain in ramp] + [make_scene(4)] * 13
    finder, cuts, asked = ShotDetector(), [], []

    def thumb(place):
        asked.append(start + place)
        return thumbs[start + place]

    for start in range(0, len(thumbs), 5):
        times_s = [index / 25 for index in range(start, min(start + 5, len(thumbs)))]
        cuts += [start + place for place in finder.add_frames(times_s, thumb)]
    finder.end_shot()
    assert (cuts, finder.shots) == find(thumbs)
    assert cuts == [7, 14, 21, 60]
    assert len(set(asked)) < 0.8 * len(thumbs)


def test_light_that_changes_slowly_is_no_cut():
    assert find([make_scene(0, level=step) for step in range(60)])[0] == []


def test_a_fade_through_black_ends_a_shot():
    ramp = np.linspace(1, 0, 12)
    fade = [(make_scene(seed) * gain).astype(np.uint8) for seed, way in ((0, ramp), (1, ramp[::-1])) for gain in way]
    cuts, shots = find([*[make_scene(0)] * 10, *fade, *[make_scene(1)] * 10])
    assert len(cuts) == 1
    assert 20 <= cuts[0] <= 26
    assert len(shots) == 2


def test_a_still_picture_is_one_shot():
    assert find([make_scene(0)] * 40) == ([], [(0.0, 39 / 25)])


def test_what_was_not_decoded_parts_shots():
    finder = ShotDetector()
    for time_s in (0.0, 0.04, 0.08):
        assert not finder.add_frame(time_s, make_scene(0))
    finder.end_shot()
    assert not finder.add_frame(9.0, make_scene(1))
    assert not finder.add_frame(9.04, make_scene(1))
    finder.end_shot()
    assert finder.shots == [(0.0, 0.08), (9.0, 9.04)]


@pytest.mark.parametrize("share", [0.45, 0.9])
def test_a_head_that_moves_violently_is_no_cut(share):
    """A head of this share of the height jerks in front of a still wall."""
    rows, columns = np.mgrid[:36, :64]
    wall = 90 + 40 * np.sin(columns / 9) + rows
    shots = []
    for index in range(100):
        jerk = (0, 0.2, 1, 1, 1, 0.2, 0)[max(0, index % 20 - 13)]
        x, y = 32 + 6 * jerk * np.sin(index * 1.3), 22 + 5 * jerk * np.cos(index * 1.7)
        side = 36 * share / 2
        inside = ((columns - x) / side) ** 2 + ((rows - y) / side) ** 2 < 1
        face = 200 - 60 * np.exp(-(((rows - y - side / 3) / 3) ** 2) - ((columns - x) / side) ** 2)
        shots.append(np.where(inside, face, wall).clip(0, 255).astype(np.uint8))
    assert find(shots)[0] == []
    assert find([*shots, *[make_scene(1)] * 10])[0] == [100]


def test_a_camera_that_jerks_is_no_cut():
    wide = np.asarray(Image.fromarray(make_scene(0)).resize((128, 72), Image.Resampling.BICUBIC))
    left, begun, right = wide[16:52, 20:84], wide[16:52, 21:85], wide[20:56, 29:93]
    assert np.abs(begun.astype(int) - right).mean() > 10
    assert find([*[left] * 12, begun, *[right] * 12, *[make_scene(1)] * 10])[0] == [25]
    # Without an onset it is a cut to another picture of the same.
    assert find([*[left] * 12, *[wide[20:56, 29:93]] * 12])[0] == [12]


@pytest.mark.media
def test_the_cuts_of_real_films(shared_data):
    def cuts(name):
        detector, path = ShotDetector(), shared_data / "media" / name
        with closing(decode_frames(path, [Span(0.0, 999.0)])) as frames:
            return [
                round(frame.time_s, 1)
                for frame in frames
                if detector.add_frame(frame.time_s, frame.to_planes().thumbnail())
            ]

    assert cuts("face_recognition/short_hamilton_clip.mp4") == [1.5, 3.6, 7.9]
    # At 20.7 s an animal leaves a picture that stays.
    assert cuts("moviepy/big_buck_bunny_0_30.webm") == [0.5, 11.8, 15.7, 23.0]
    assert len(cuts("pyscenedetect/fades.mp4")) == 3
