"""Faces: found, followed, set upright."""

from itertools import permutations

import numpy as np
import pytest
from PIL import Image

from curate.media.faces.align import TEMPLATE, align, estimate_pose, measure_face, similarity_transform
from curate.media.faces.centerface import CenterFace
from curate.media.faces.crops import crop_picture
from curate.media.faces.detector import Face, intersection_over_union
from curate.media.faces.tracks import Tracker, best_pairs
from tests.support.media_builders import make_frames, make_portrait


def make_face(x: float, y: float, size: float = 40.0, score: float = 0.9) -> Face:
    points = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    corner = np.array([x, y], np.float32)
    return Face(np.array([x, y, x + size, y + size], np.float32), points * size + corner, score)


def turned(rgb, turns):
    return np.ascontiguousarray(np.rot90(rgb, turns))


def test_the_portrait_has_one_face():
    faces = CenterFace().detect(make_portrait())
    assert len(faces) == 1
    left, right, nose, *mouth = faces[0].landmarks
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < nose[1] < min(corner[1] for corner in mouth)
    assert faces[0].score > 0.7


def test_no_face_in_noise_and_in_odd_sizes():
    noise = np.random.default_rng(0).integers(0, 255, (200, 31, 3), np.uint8)
    for rgb in (noise, noise[:1, :1], make_frames(1)[0]):
        assert CenterFace().detect(rgb) == []


def test_boxes_are_in_pixels_of_the_picture_given():
    small = make_portrait()
    large = np.kron(small, np.ones((4, 4, 1), np.uint8))
    a, b = CenterFace().detect(small)[0], CenterFace().detect(large)[0]
    assert intersection_over_union(a.box[None] * 4, b.box[None])[0, 0] > 0.8


@pytest.mark.parametrize("degrees", [0, 20, -30])
def test_a_crop_has_level_eyes_at_the_template(degrees):
    portrait = Image.fromarray(make_portrait()).rotate(degrees, Image.Resampling.BILINEAR)
    rgb = np.asarray(portrait)
    crop = align(rgb, CenterFace().detect(rgb)[0].landmarks, size_px=256)
    again = CenterFace().detect(crop)[0].landmarks
    eyes = again[:2]
    assert abs(eyes[1, 1] - eyes[0, 1]) < 0.08 * (eyes[1, 0] - eyes[0, 0])
    assert np.abs(again - TEMPLATE * 256 / 112).max() < 16


def test_similarity_recovers_a_known_transform():
    angle = np.deg2rad(25)
    rotation = 1.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = TEMPLATE @ rotation.T + [5, -9]
    assert np.allclose(similarity_transform(TEMPLATE, moved), np.hstack([rotation, [[5], [-9]]]))


def test_beyond_the_border_the_edge_is_repeated():
    rgb = np.full((100, 100, 3), 200, np.uint8)
    face = make_face(-20, -20)
    crop = align(rgb, face.landmarks)
    assert crop.shape == (256, 256, 3)
    assert crop.min() >= 199
    assert face.visible_share(100, 100) == pytest.approx(0.25, abs=0.01)
    assert measure_face(crop[:, :, 0], face, width=100, height=100).visible_share == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("landmarks", [np.zeros((5, 2)), np.full((5, 2), 1e7), np.eye(5, 2) * 1e-4])
def test_nonsense_landmarks_still_give_a_picture(landmarks):
    assert align(make_portrait(), landmarks.astype(np.float32), size_px=64).shape == (64, 64, 3)


def test_a_face_in_the_dark_is_no_shot():
    portrait = make_portrait()
    face = CenterFace().detect(portrait)[0]
    assert crop_picture(portrait, face) is not None
    assert crop_picture(portrait // 40, face) is None


def test_two_faces_that_pass_each_other_keep_their_tracks():
    tracker = Tracker()
    for step in range(20):
        tracker.update(step * 0.2, [make_face(10 + 8 * step, 50), make_face(160 - 8 * step, 75)])
    assert [len(track.times_s) for track in tracker.tracks] == [20, 20]
    assert all(np.ptp([face.box[1] for face in track.faces]) == 0 for track in tracker.tracks)


def test_tracks_end_at_cuts_and_after_long_absence():
    tracker = Tracker()
    tracker.update(0.0, [make_face(10, 10)])
    tracker.update(0.2, [make_face(12, 10)])
    tracker.reset()
    tracker.update(0.4, [make_face(12, 10)])
    tracker.update(5.0, [make_face(12, 10)])
    assert [len(track.times_s) for track in tracker.tracks] == [2, 1, 1]


def test_faces_and_tracks_are_paired_for_the_most_overlap():
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (1, 4), (3, 2), (2, 3), (4, 4)] * 8:
        overlap = rng.random(shape, np.float32)
        pairs = best_pairs(overlap)
        most = max(
            sum(overlap[row, column] for row, column in zip(rows, columns, strict=False))
            for rows in permutations(range(shape[0]))
            for columns in permutations(range(shape[1]))
        )
        assert len(pairs) == min(shape)
        assert sum(overlap[pair] for pair in pairs) == pytest.approx(most)


def test_a_small_picture_gives_the_same_face():
    portrait = make_portrait()
    face = CenterFace().detect(portrait)[0]
    x, y = ((face.box[:2] + face.box[2:]) / 2).astype(int) // 2 * 2
    side = int(face.size_px) // 2 * 2
    around = np.pad(portrait, ((side, side), (side, side), (0, 0)), mode="edge")[y : y + 2 * side, x : x + 2 * side]
    small = np.asarray(Image.fromarray(around).resize((96, 96), Image.Resampling.BILINEAR))
    found = [
        faces[0].map_to(np.full(2, 2 * side / 96), np.array([x - side, y - side], np.float32))
        for faces in CenterFace().detect_small(np.stack([small, small]))
    ]
    for one in found:
        assert intersection_over_union(one.box[None], face.box[None])[0, 0] > 0.8


@pytest.mark.parametrize("mirrored", [False, True])
def test_pose_has_the_sign_of_the_turn(mirrored):
    face = make_face(0, 0, 100)
    assert np.abs(estimate_pose(face.landmarks)).max() < 10
    turned_right = face.landmarks + np.array([[0, 0], [0, 0], [12, 0], [0, 0], [0, 0]], np.float32)
    if mirrored:
        turned_right = (turned_right * (-1, 1) + (100, 0))[[1, 0, 2, 4, 3]]
    yaw = estimate_pose(turned_right.astype(np.float32)).yaw_deg
    assert (yaw < -15) if mirrored else (yaw > 15)
    lowered = face.landmarks + np.array([[0, 0], [0, 0], [0, 10], [0, 0], [0, 0]], np.float32)
    assert estimate_pose(lowered).pitch_deg > estimate_pose(face.landmarks).pitch_deg + 10
    tilted = face.landmarks @ np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]], np.float32)
    assert estimate_pose(tilted).roll_deg == pytest.approx(np.degrees(0.3), abs=1)
