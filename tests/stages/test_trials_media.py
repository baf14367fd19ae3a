"""Media of kinds that went wrong in other tools: stored is what a player shows and plays, or a notice says why."""

import errno
import shutil
import subprocess

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from curate.errors import InvalidRow
from curate.media.container import open as opening
from curate.media.container.decode import Span, read_frames
from curate.media.container.pictures import load_rgb
from curate.media.container.probe import probe
from curate.stages.ingest.inspecting import inspect_media
from tests.support.builders import make_recipe
from tests.support.media_builders import make_frames, make_portrait, make_speech, sample, turn_mp4, write_media
from tests.support.preprocessing import preprocess
from tests.support.runs import contents, run_quietly


@pytest.fixture
def trial(shared_data):
    """The folder of a trial."""
    if not (shared_data / "trials").is_dir():
        pytest.skip(f"no trials at {shared_data}")
    return lambda name: shared_data / "trials" / name


def encode(*arguments: object) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)], check=True)


def spans(items):
    return [(item["start_s"], item["end_s"]) for item in items]


def near(box, x0, y0, x1, y1, *, px=8):
    return np.abs(np.array(box) - (x0, y0, x1, y1)).max() <= px


@pytest.mark.parametrize("name", ["hflip", "vflip", "rot90flip"])
def test_mirrored_films_are_upright_and_not_mirrored(trial, tmp_path, name):
    done = preprocess(trial("mirrored-matrix"), f"{name}.mp4", blobs=tmp_path)
    assert {(item["width_px"], item["height_px"]) for item in done.items} == {(400, 300)}
    (face,) = done.faces
    assert near(face["boxes"][0], 151, 44, 312, 235)
    shown = tmp_path / "shown.png"
    encode("-i", trial("mirrored-matrix") / f"{name}.mp4", "-frames:v", "1", shown)
    ours = next(iter(read_frames(trial("mirrored-matrix") / f"{name}.mp4", [Span(0, 1)]))).rgb
    assert np.abs(ours.astype(int) - load_rgb(shown)).mean() < 4


def test_a_film_that_changes_its_size_has_boxes_of_one_size(trial, tmp_path):
    done = preprocess(trial("size-change"), "*.webm", blobs=tmp_path)
    columns = inspect_media(trial("size-change") / "resize.webm")
    assert (columns["width_px"], columns["height_px"]) == (320, 320)
    late = [
        box for face in done.faces for time_s, box in zip(face["times_s"], face["boxes"], strict=True) if time_s > 3
    ]
    assert near(late[0], 110, 62, 216, 202, px=12)


def test_a_film_whose_shape_changes_gets_black_borders(tmp_path):
    white = [np.full((64, 96, 3), 250, np.uint8)] * 10
    write_media(tmp_path / "wide.ts", frames=white)
    write_media(tmp_path / "tall.ts", frames=[frame[:, :32] for frame in white])
    (tmp_path / "a.ts").write_bytes((tmp_path / "wide.ts").read_bytes() + (tmp_path / "tall.ts").read_bytes())
    frames = [frame.rgb for frame in read_frames(tmp_path / "a.ts", [Span(0, 9)])]
    assert {frame.shape for frame in frames} == {(64, 96, 3)}
    assert frames[0].mean() > 240
    assert frames[-1][:, 36:60].mean() > 240
    assert max(frames[-1][:, :28].mean(), frames[-1][:, 68:].mean()) < 5


def test_a_face_that_is_rarely_redrawn_stays_on_screen(trial, tmp_path):
    done = preprocess(trial("vfr-sparse"), "vfr.mp4", blobs=tmp_path, unit="cue")
    assert {item["face_outcome"] for item in done.items} <= {"speaker face", "uncertain"}
    assert all(item["face"] for item in done.items)


def test_one_picture_for_all_of_a_talk_is_on_screen_in_all_of_it(tmp_path):
    write_media(tmp_path / "a.mp4", frames=[make_portrait()] * 2, times_s=[0.0, 7.0], sound=make_speech())
    done = preprocess(tmp_path, "a.mp4", blobs=tmp_path / "blobs")
    assert len(done.items) == 2
    assert all(item["face_outcome"] is not None for item in done.items)
    (face,) = done.faces
    assert (face["start_s"], face["end_s"]) == (0.0, 7.0)


def test_joined_films_follow_each_other(trial, tmp_path):
    done = preprocess(trial("ts-joined"), "concat.ts", blobs=tmp_path)
    duration_s = inspect_media(trial("ts-joined") / "concat.ts")["duration_s"]
    assert duration_s == pytest.approx(13.6, abs=0.2)
    assert max(item["end_s"] for item in done.items) <= duration_s
    assert [start_s for start_s, _ in spans(done.items)] == pytest.approx([0.3, 3.3, 6.2, 10.1], abs=0.2)
    first, second = done.faces
    assert first["end_s"] < 5.9 < second["start_s"]


def test_sound_after_a_hole_of_eleven_minutes(trial, tmp_path):
    done = preprocess(trial("hole-11-min"), "*.mka", blobs=tmp_path)
    assert inspect_media(trial("hole-11-min") / "long_hole.mka")["duration_s"] == pytest.approx(678, abs=1)
    times_s = [time_s for span in spans(done.items) for time_s in span]
    assert times_s == pytest.approx([0.3, 2.7, 3.2, 5.6, 670.3, 673.5, 674.2, 677.4], abs=0.2)


def test_sound_that_changes_its_rate(trial, tmp_path):
    done = preprocess(trial("aac-rates"), "*.aac", blobs=tmp_path)
    times_s = [time_s for span in spans(done.items)[2:] for time_s in span]
    assert times_s == pytest.approx([6.2, 9.5, 10.1, 13.3], abs=0.2)
    assert inspect_media(trial("aac-rates") / "rates.aac")["duration_s"] >= times_s[-1]


def test_a_film_cut_off_says_what_is_missing(trial, tmp_path):
    done = preprocess(trial("cut-off"), "*.mp4", blobs=tmp_path, unit="cue")
    assert [item["text"] for item in done.items] == ["You promised to be there, and you lied to me!"]
    details = [rejection.detail for rejection in done.outcome.rejections if rejection.reason == "partial"]
    assert "ends after 3.1 s of the 5.9 s that it declares: 2.8 s (47%) are missing" in details[0]


def test_a_picture_of_16_bits_shows_its_face(trial, tmp_path):
    done = preprocess(trial("picture-16-bit"), "*.png", blobs=tmp_path, units=("image",))
    assert load_rgb(done.tools.blobs.path(done.items[0]["image"])).mean() == pytest.approx(132, abs=5)
    (face,) = done.faces
    assert near(face["boxes"][0], 122, 62, 242, 206, px=12)


def test_only_the_first_picture_of_an_animation_and_a_notice(tmp_path):
    portrait = Image.fromarray(make_portrait())
    portrait.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", portrait.size)])
    done = preprocess(tmp_path, "a.gif", blobs=tmp_path / "blobs", units=("image",))
    assert done.items[0]["face"]
    assert [(r.reason, r.detail) for r in done.outcome.rejections] == [
        ("partial", "a.gif holds 2 pictures: only the first is used")
    ]


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("levels", ["tv", "pc"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_colours_are_those_of_the_film(tmp_path, matrix, levels, pixels):
    colours = [(200, 30, 40), (30, 180, 60), (40, 60, 220), (128, 128, 128), (250, 250, 250), (5, 5, 5)]
    bars = np.concatenate([np.full((64, 32, 3), colour, np.uint8) for colour in colours], axis=1)
    Image.fromarray(bars).save(tmp_path / "a.png")
    scale = f"scale=in_range=pc:out_color_matrix={matrix.removesuffix('nc')}:out_range={levels}:flags=accurate_rnd"
    tags = ("-colorspace", matrix, "-color_range", levels, "-c:v", "libx264", "-qp", "1", "-pix_fmt", pixels)
    encode("-i", tmp_path / "a.png", "-vf", f"{scale},format={pixels}", *tags, tmp_path / "a.mp4")
    rgb = next(iter(read_frames(tmp_path / "a.mp4", [Span(0, 1)]))).rgb
    for number, colour in enumerate(colours):
        assert np.abs(rgb[20:40, 32 * number + 10 : 32 * number + 22].mean(axis=(0, 1)) - colour).max() < 6, colour


@pytest.mark.parametrize("codec", ["ffv1", "png"])
def test_films_stored_as_rgb_keep_their_colours(tmp_path, codec):
    Image.fromarray(np.full((720, 64, 3), (200, 30, 40), np.uint8)).save(tmp_path / "a.png")
    encode(
        "-i", tmp_path / "a.png", "-c:v", codec, "-pix_fmt", "bgr0" if codec == "ffv1" else "rgb24", tmp_path / "a.mkv"
    )
    rgb = next(iter(read_frames(tmp_path / "a.mkv", [Span(0, 1)]))).rgb
    assert np.abs(rgb.mean(axis=(0, 1)) - (200, 30, 40)).max() < 4


def test_a_film_turned_by_an_odd_angle_is_refused(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=make_frames(5))
    turned = turn_mp4(path, (1, 1, -1, 1, 0, 0))
    with pytest.raises(InvalidRow, match="not by a quarter turn: convert it with ffmpeg first"):
        probe(turned)


def test_faces_of_stretched_pixels_have_their_shape(tmp_path):
    encode("-i", sample(), "-vf", "scale=iw/2:ih,setsar=2", "-c:v", "libx264", "-c:a", "copy", tmp_path / "a.mp4")
    shutil.copy(sample(), tmp_path / "b.mp4")
    stretched, plain = (preprocess(tmp_path, name, blobs=tmp_path / "blobs") for name in ("a.mp4", "b.mp4"))
    assert near(stretched.faces[0]["boxes"][0], *plain.faces[0]["boxes"][0])
    crops = [load_rgb(done.tools.blobs.path(done.faces[0]["crop"])).astype(int) for done in (stretched, plain)]
    assert np.abs(crops[0] - crops[1]).mean() < 14


def test_films_of_too_many_pixels_are_refused_with_their_size(tmp_path):
    encode("-f", "lavfi", "-i", "color=s=12000x8000", "-frames:v", "1", "-c:v", "mjpeg", tmp_path / "a.avi")
    with pytest.raises(InvalidRow, match=r"has 96 megapixels \(12000x8000\); the limit is 67") as caught:
        probe(tmp_path / "a.avi")
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("name", ["a.wav", "a.mp4", "a.png"])
def test_a_disk_that_fails_midway_is_not_a_bad_file(tmp_path, monkeypatch, name):
    if name == "a.png":
        Image.fromarray(make_portrait()).save(tmp_path / name)
    else:
        shutil.copy(sample(), tmp_path / "a.mp4") if name == "a.mp4" else write_media(
            tmp_path / name, sound=make_speech()
        )
    labels = "image_emotion.v1" if name == "a.png" else "utterance_emotion.v1"
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": name}, {"stage": "preprocess"}, labels=labels)
    run_quietly(recipe, tmp_path / "w", until="ingest")

    def fail(*_: object, **__: object):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        if name == "a.png":
            patch.setattr(Image, "open", fail)
        else:
            patch.setattr(opening.MediaFile, "decoded", fail_within(opening.MediaFile.decoded))
        result = run_quietly(recipe, tmp_path / "w")
    assert not contents(tmp_path / "w")["items"].num_rows
    assert "unavailable" in contents(tmp_path / "w")["rejections"].column("reason").to_pylist()
    assert [stage.unavailable for stage in result.stages] == [0, 1]
    run_quietly(recipe, tmp_path / "w")
    assert contents(tmp_path / "w")["items"].num_rows


def fail_within(decoded):
    """``MediaFile.decoded`` of a file whose disk fails after ten frames."""

    def fail(self, stream):
        for number, frame in enumerate(decoded(self, stream)):
            if number == 10:
                opening.check_reachable(self.path, OSError(errno.EIO, "Input/output error"))
            yield frame

    return fail


def test_a_run_says_which_files_were_out_of_reach_and_ends_with_3(tmp_path, run_curate):
    for name in ("a.wav", "b.wav", "c.wav"):
        write_media(tmp_path / name, sound=make_speech() // (1 + "abc".index(name[0])))
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "*.wav"}, {"stage": "preprocess"})
    assert run_curate("run", recipe, "-w", tmp_path / "w", "--until", "ingest").returncode == 0
    (tmp_path / "b.wav").rename(tmp_path / "b.gone")
    done = run_curate("run", recipe, "-w", tmp_path / "w", "--only", "preprocess")
    assert done.returncode == 3, done.stderr
    assert "1 file was out of reach in preprocess; mount the disk or put them back, then run again" in done.stdout
    (tmp_path / "b.gone").rename(tmp_path / "b.wav")
    assert run_curate("run", recipe, "-w", tmp_path / "w", "--only", "preprocess").returncode == 0
