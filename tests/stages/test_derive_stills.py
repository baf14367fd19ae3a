"""Stills are the pictures that are shown at their times, with the labels that hold then."""

import numpy as np
import pytest

from curate.errors import InvalidRow
from curate.labels import load_labels
from curate.media.container.pictures import load_rgb
from curate.stages.derive.media import take_still, to_media
from curate.stages.derive.views.stills import Stills
from curate.storage.blobs import Blobs
from tests.support.media_builders import make_frames, write_media
from tests.support.parents import derive, make_answer, make_parent, make_schema

FACE = load_labels("face_expression.v1")
PICTURE = make_schema("image", emotion={"type": "category", "taxonomy": "ekman7.v1"})
SEGMENTS = load_labels("emotion_segments.v1")


def make_clip(*answers, end_s: float = 12.0):
    return make_parent(
        "a", *answers, unit="clip", layout="video", video="aa/a.mp4", start_s=10.0, end_s=end_s, text="hello"
    )  # fmt: skip


def test_pictures_are_taken_at_shares_or_steps_with_the_label_of_their_time():
    seen = [{"start_s": 0.0, "end_s": 1.0, "label": "fear"}, {"start_s": 1.0, "end_s": 2.0, "label": "anger"}]
    clip = make_clip(make_answer("r1", seen=seen))
    view = Stills.model_validate({"view": "stills", "at": [0.5, 0, 1], "fields": {"emotion": "seen"}})
    made, left_out = derive(view, PICTURE, SEGMENTS, [clip])
    assert [(item.detail, item.start_s, item.still_s) for item in made] == [
        ("0", 10.0, 0.0),
        ("1000", 11.0, 1.0),
        ("1999", 11.999, 1.999),
    ]
    assert [item.answers[0].values["emotion"] for item in made] == ["fear", "anger", "anger"]
    assert (made[0].unit, made[0].layout, left_out) == ("image", "image", [])
    steps = Stills.model_validate({"view": "stills", "every_s": 0.75})
    made, _ = derive(steps, PICTURE, SEGMENTS, [clip])
    assert [item.detail for item in made] == ["0", "750", "1500"]


def test_two_labels_at_once_are_tied_and_what_has_no_copy_waits():
    seen = [{"start_s": 0.0, "end_s": 2.0, "label": label} for label in ("fear", "anger")]
    view = Stills.model_validate({"view": "stills", "at": [0.5], "fields": {"emotion": "seen"}})
    sound = make_parent("b", unit="clip", layout="audio", start_s=0.0, end_s=1.0)
    film = make_parent("c", unit="clip", layout="video", start_s=0.0, end_s=1.0)
    made, left_out = derive(view, PICTURE, SEGMENTS, [make_clip(make_answer("r", seen=seen)), sound, film])
    assert made == []
    assert [(out.item_id, out.reason) for out in left_out] == [
        ("a:1000", "tied"),
        ("b", "filtered"),
        ("c", "unavailable"),
    ]


def test_the_picture_is_the_one_that_is_shown_then(tmp_path):
    path = write_media(tmp_path / "clip.mp4", frames=make_frames(10), fps=10)
    brightness = [float(np.mean(take_still(path, time_s))) for time_s in (0.0, 0.3, 0.35, 0.9, 5.0)]
    assert brightness == pytest.approx([20, 20 + 200 * 3 / 9, 20 + 200 * 3 / 9, 220, 220], abs=6)
    own, parent = Blobs(tmp_path / "own"), Blobs(tmp_path / "parent")
    name = parent.put(path.read_bytes(), "mp4")
    media = to_media({"video": name}, {"start_s": None, "end_s": None, "still_s": 0.0}, parent, own)
    assert (media["video"], media["width_px"], media["height_px"]) == (None, 96, 64)
    assert load_rgb(own.path(media["image"])).shape == (64, 96, 3)
    sound = write_media(tmp_path / "tone.wav", sound=np.zeros(16_000, np.int16))
    with pytest.raises(InvalidRow):
        take_still(sound, 0.0)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"at": [0.5], "every_s": 1}, "name either `at` or `every_s`"),
        ({}, "name either `at` or `every_s`"),
        ({"at": [0.5], "fields": {"emotion": "agree"}}, "emotion cannot hold every value of agree"),
    ],
)
def test_settings_that_cannot_work_are_named(settings, problem):
    view = Stills.model_validate({"view": "stills", **settings})
    assert any(problem in sentence for _, sentence in view.problems(PICTURE, SEGMENTS))
    assert any("frame or image" in sentence for _, sentence in view.problems(SEGMENTS, SEGMENTS))
