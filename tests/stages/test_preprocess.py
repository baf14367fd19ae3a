"""Preprocess: sources become items with sound, viewing copy, words and face."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.assets import shipped_folder
from curate.corpus.sources import RawFolders, SourceMissing
from curate.files import sha256_of_file
from curate.labels import load_labels
from curate.media.container.decode import Span, read_audio
from curate.media.container.pictures import load_rgb
from curate.media.container.probe import probe
from curate.media.container.render import render_video
from curate.media.faces.centerface import CenterFace
from curate.stages.contract import Tools
from curate.stages.preprocess.stage import Preprocess
from curate.storage.blobs import Blobs
from tests.support.builders import make_recipe
from tests.support.media_builders import (
    make_frames,
    make_portrait,
    make_speech,
    make_tone,
    sample,
    turn_mp4,
    write_media,
)
from tests.support.preprocessing import make_sources, preprocess
from tests.support.runs import assert_same, contents, run_quietly


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    blobs = tmp_path_factory.mktemp("blobs")
    return preprocess(shipped_folder("recipes"), "quickstart/*.mp4", "quickstart/posts.jsonl", blobs=blobs)


def copy_of(done, item, folder):
    """The viewing copy of an item, as annotators would get it."""
    path = next(
        path for path in done.tools.folder.glob("quickstart/*.mp4") if sha256_of_file(path) == item["source_id"]
    )
    data = render_video(path, Span(item["start_s"], item["end_s"]))
    (folder / "copy.mp4").write_bytes(data)
    return probe(folder / "copy.mp4")


def test_the_samples_give_two_spoken_utterances_each(quickstart, tmp_path):
    spoken = [item for item in quickstart.items if item["unit"] == "utterance"]
    assert len(spoken) == 6
    assert len(quickstart.faces) == 3
    assert not quickstart.reasons
    for item in spoken:
        assert item["layout"] == "video"
        assert item["text_source"] == "subtitles"
        assert len(item["text"]) > 20
        assert item["group"] == item["source_id"]
        assert item["face_id"] in {face["face_id"] for face in quickstart.faces}
        for column in ("audio", "face"):
            assert quickstart.tools.blobs.read(item[column])
        sound = read_audio(quickstart.tools.blobs.path(item["audio"]))
        assert len(sound) / 16_000 == pytest.approx(item["end_s"] - item["start_s"], abs=0.002)
        assert "video" not in item
        copy = copy_of(quickstart, item, tmp_path)
        assert (item["width_px"], item["height_px"], item["frame_rate_hz"]) == (
            copy.width,
            copy.height,
            copy.frame_rate_hz,
        )
        assert copy.duration_s == pytest.approx(item["end_s"] - item["start_s"], abs=0.1)
        assert item["frame_rate_hz"] > 0
        assert 0.9 < item["speech_share"] + item["silence_share"] < 1.1
        assert -25 < item["loudness_lufs"] < -15
        assert (item["language"], item["word_time_source"]) == ("en", "aligned")
        assert " ".join(word["word"] for word in item["words"]) == item["text"]
        assert item["start_s"] <= item["words"][0]["start_s"] < item["words"][-1]["end_s"] <= item["end_s"]
    anonymous = {item["source_id"] for item in spoken if item["speaker_source"] == "unknown"}
    assert {item["speaker"] for item in spoken} == {"Robin", None}
    assert len(anonymous) == 2


def test_posts_are_items(quickstart):
    posts = [item for item in quickstart.items if item["unit"] == "post"]
    assert len(posts) == 6
    assert all(item["layout"] == "text" and item["text"] and item["text_source"] == "post" for item in posts)
    assert posts[0]["speaker"] == "maple"


def test_ids_are_the_hash_of_source_unit_and_time(quickstart):
    import hashlib

    item = quickstart.items[0]
    start_ms, end_ms = round(item["start_s"] * 1000), round(item["end_s"] * 1000)
    text = f"{item['source_id']}:utterance:{start_ms}:{end_ms}"
    assert item["item_id"] == hashlib.sha256(text.encode()).hexdigest()[:24]
    assert len({item["item_id"] for item in quickstart.items}) == len(quickstart.items)


def test_crops_show_the_face_upright_with_level_eyes(quickstart):
    crops = [quickstart.tools.blobs.path(row["crop"]) for row in quickstart.faces]
    crops += [quickstart.tools.blobs.path(item["face"]) for item in quickstart.items if item.get("face")]
    for crop in crops:
        rgb = load_rgb(crop)
        left, right, nose, *_ = CenterFace().detect(rgb)[0].landmarks
        assert rgb.shape == (256, 256, 3)
        assert abs(left[1] - right[1]) < 8
        assert left[0] < 128 < right[0]
        assert nose[1] > left[1]


def test_rows_have_the_columns_of_their_tables(quickstart):
    for table in ("items", "faces", "shots"):
        columns = (shipped_folder("schemas") / "tables" / f"{table}.yaml").read_text()
        for row in quickstart.outcome.dicts(table):
            assert not [name for name in row if f"\n  {name}:" not in columns]


def test_the_same_input_gives_the_same_rows_and_blobs(quickstart, tmp_path):
    second = preprocess(shipped_folder("recipes"), "quickstart/*.mp4", "quickstart/posts.jsonl", blobs=tmp_path)
    assert second.outcome.rows == quickstart.outcome.rows
    names = [sorted(path.name for path in done.tools.blobs.root.rglob("*.*")) for done in (second, quickstart)]
    assert names[0] == names[1]


def test_single_sources_give_the_rows_of_a_batch(quickstart, tmp_path):
    sources = make_sources(shipped_folder("recipes"), "quickstart/*.mp4", "quickstart/posts.jsonl")
    tools = quickstart.tools._replace(blobs=Blobs(tmp_path))
    parts = [Preprocess().apply(sources.slice(i, 1), tools) for i in reversed(range(len(sources)))]
    items = {row["item_id"]: row for part in parts for row in part.dicts("items")}
    assert items == {row["item_id"]: row for row in quickstart.items}


def test_hostile_media(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write_media(folder / "silent_film.mp4", frames=make_frames(50))
    write_media(folder / "silence.wav", sound=np.zeros(32_000, np.int16))
    write_media(folder / "tone.mp3", sound=make_tone(2.0), cover=make_frames(1)[0])
    write_media(folder / "short.wav", sound=make_tone(0.005))
    Image.fromarray(make_frames(1)[0]).save(folder / "wall.png")
    done = preprocess(folder, "*", blobs=tmp_path / "blobs")
    (wall,) = done.items
    assert (wall["unit"], wall.get("face"), wall["width_px"] > 0) == ("image", None, True)
    assert (f"{wall['item_id']}#face", "no_face") in [
        (rejection.subject, rejection.reason) for rejection in done.outcome.rejections
    ]
    assert sorted(done.reasons) == ["no_audio", "no_face", "no_speech", "no_speech", "no_speech"]


def test_late_sound_in_a_turned_video_of_variable_rate(tmp_path):
    portrait = np.rot90(make_portrait())
    times = np.cumsum([0.02, 0.04, 0.08] * 60)
    path = tmp_path / "a.mp4"
    write_media(path, frames=[portrait] * len(times), times_s=times, sound=make_speech(), sound_start_s=1.48)
    turn_mp4(path)
    done = preprocess(tmp_path, "*.mp4", blobs=tmp_path / "blobs")
    straight = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path / "blobs")
    assert len(done.items) == 2
    for late, early in zip(done.items, straight.items, strict=True):
        assert late["start_s"] - early["start_s"] == pytest.approx(1.48, abs=0.041)
        assert (early["face_outcome"], late["face_outcome"]) == ("speaker face", "off screen")
    left, right, nose, *_ = CenterFace().detect(load_rgb(done.tools.blobs.path(done.faces[0]["crop"])))[0].landmarks
    assert left[0] < right[0]
    assert nose[1] > left[1]


def test_a_video_that_breaks_midway_keeps_what_came_before(tmp_path):
    sound = np.concatenate([make_speech(), make_speech("night_noise")])
    path = write_media(tmp_path / "a.mkv", frames=[make_portrait()] * 350, sound=sound)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    done = preprocess(tmp_path, "*.mkv", blobs=tmp_path / "blobs")
    assert 1 <= len(done.items) < 4
    assert done.items[0]["layout"] == "video"
    assert done.faces


def test_a_file_that_vanished_is_a_rejection(tmp_path):
    write_media(tmp_path / "a.wav", sound=make_speech())
    sources = make_sources(tmp_path, "*.wav")
    (tmp_path / "a.wav").unlink()
    tools = Tools(Blobs(tmp_path), load_labels("utterance_emotion.v1"), tmp_path)
    assert [rejection.reason for rejection in Preprocess().apply(sources, tools).rejections] == ["unavailable"]


def test_a_file_out_of_reach_is_tried_again_by_the_next_run(tmp_path, monkeypatch):
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "*.wav"}, {"stage": "preprocess", "chunk_s": 2.0})
    write_media(tmp_path / "a.wav", sound=make_speech())
    run_quietly(recipe, tmp_path / "new")

    def fail_at(number):
        opened = itertools.count()

        def locate(raw, name):
            if next(opened) == number:
                raise SourceMissing(f"{name} is on a disk that is not mounted")
            return raw.join(name)

        return locate

    # The second look is for subtitles in the file, which may be missing.
    for number in (0, 2):
        workspace = tmp_path / f"w{number}"
        with monkeypatch.context() as patch:
            patch.setattr(RawFolders, "path", fail_at(number))
            run_quietly(recipe, workspace)
        assert not contents(workspace)["items"].num_rows
        rejections = contents(workspace)["rejections"].to_pylist()
        assert "unavailable" in [row["reason"] for row in rejections if row["subject"] == row["parent_id"]]
        run_quietly(recipe, workspace)
        assert_same(contents(workspace), contents(tmp_path / "new"))


def test_broken_subtitles_leave_the_words_empty_and_are_rejected(tmp_path):
    write_media(tmp_path / "a.wav", sound=make_speech())
    (tmp_path / "a.srt").write_text("no subtitle at all")
    done = preprocess(tmp_path, "*.wav", blobs=tmp_path / "blobs")
    assert [item["text"] for item in done.items] == [None, None]
    assert [(rejection.subject, rejection.reason) for rejection in done.outcome.rejections] == [("a.srt", "invalid")]


def test_units_decide_what_is_made(tmp_path):
    write_media(tmp_path / "a.mp4", frames=[make_portrait()] * 25)
    write_media(tmp_path / "b.wav", sound=make_speech())
    (tmp_path / "c.txt").write_text("A post.")
    Image.fromarray(make_portrait()).save(tmp_path / "d.png")
    blobs = tmp_path / "blobs"
    clips = preprocess(tmp_path, "*.*", blobs=blobs, units=("clip",))
    assert [(item["unit"], item["layout"]) for item in clips.items] == [("clip", "video"), ("clip", "audio")]
    assert clips.items[0]["face"]
    assert clips.reasons == ["no_unit", "no_unit"]
    pictures = preprocess(tmp_path, "*.*", blobs=blobs, units=("image",))
    assert [(item["unit"], item["layout"]) for item in pictures.items] == [("image", "image")]
    rgb = load_rgb(pictures.tools.blobs.path(pictures.items[0]["image"]))
    assert rgb.shape[:2] == (pictures.items[0]["height_px"], pictures.items[0]["width_px"])
    assert rgb.shape == make_portrait().shape
    assert pictures.reasons == ["no_unit"] * 3


def test_settings_reach_the_media(tmp_path):
    patient = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, max_pause_s=1.5)
    assert len(patient.items) == 1
    undetected = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, faces={"min_face_px": 300, "every": 25})
    assert not undetected.faces
    small = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, faces={"size_px": 64})
    assert load_rgb(small.tools.blobs.path(small.items[0]["face"])).shape == (64, 64, 3)


def test_the_models_are_part_of_the_identity(tmp_path):
    tools = Tools(Blobs(tmp_path), load_labels("utterance_emotion.v1"), tmp_path)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/det.onnx").write_bytes(b"one")
    stages = [Preprocess(), Preprocess(faces={"model_pack": "pack"}), Preprocess(max_pause_s=0.5)]
    identities = [stage.identity(tools) for stage in stages]
    (tmp_path / "pack/det.onnx").write_bytes(b"two")
    assert len({*identities, stages[1].identity(tools)}) == 4
    assert list(Preprocess(faces={"model_pack": "gone"}).problems(tmp_path))
    assert not list(Preprocess(faces={"model_pack": "pack"}).problems(tmp_path))


@pytest.mark.media
@pytest.mark.parametrize("folder", ["pyfeat", "moviepy", "sadtalker", "face_recognition", "whisper", "silero", "emodb"])
def test_real_media(shared_data, folder, tmp_path):
    done = preprocess(shared_data / "media" / folder, "*", blobs=tmp_path)
    utterances = [item for item in done.items if item["unit"] == "utterance"]
    assert (len(utterances) > 0) == (folder not in ("pyfeat", "moviepy"))
    assert all(item["end_s"] - item["start_s"] < 16 for item in utterances)
    if folder == "sadtalker":
        assert len(utterances) == 4
        assert len(done.faces) == 2
        assert all(item["face"] for item in utterances)
    if folder == "emodb":
        assert {item["source_id"] for item in utterances} == set(make_sources_ids(shared_data / "media" / folder))


def make_sources_ids(folder: Path) -> list[str]:
    return make_sources(folder, "*.wav")["source_id"].to_pylist()


@pytest.mark.media
def test_real_faces_are_followed_where_the_unit_is_the_clip(shared_data, tmp_path):
    files = ("single_face.mp4", "no_face.mp4", "face_noface.mov")
    done = preprocess(shared_data / "media" / "pyfeat", *files, blobs=tmp_path, units=("clip",))
    assert len(done.items) == 3
    assert sorted(bool(item.get("face")) for item in done.items) == [False, True, True]
    assert max(face["end_s"] for face in done.faces) < 3
