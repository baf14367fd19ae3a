"""Viewing copies: small, upright, the same bytes every time."""

import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from curate.errors import InvalidRow
from curate.media.container import ffmpeg
from curate.media.container.decode import Span, cut_audio, read_audio, read_frames
from curate.media.container.probe import probe
from curate.media.container.render import amplify_quiet, render_video, viewing_format
from tests.support.media_builders import make_frames, make_speech, make_tone, sample, turn_mp4, write_media


@pytest.fixture(params=["found", "bundled"])
def program(request, monkeypatch):
    """The ffmpeg found on this machine, and the one of imageio-ffmpeg where the PATH holds none."""
    if request.param == "bundled":
        monkeypatch.setenv("PATH", "/nonexistent")
    ffmpeg.find_ffmpeg.cache_clear()
    yield ffmpeg.find_ffmpeg()
    ffmpeg.find_ffmpeg.cache_clear()


def test_a_viewing_copy(tmp_path, program):
    span = Span(0.284, 3.428)
    sound = cut_audio(make_speech(), span)
    data = render_video(sample(), span, sound)
    assert data == render_video(sample(), span, sound)
    (tmp_path / "copy.mp4").write_bytes(data)
    assert data.index(b"moov") < data.index(b"mdat")
    found = probe(tmp_path / "copy.mp4")
    assert (found.kind, found.video_codec, found.audio_codec) == ("video", "h264", "aac")
    assert found.duration_s == pytest.approx(3.144, abs=0.1)
    heard, said = read_audio(tmp_path / "copy.mp4"), make_speech()[4544:54848]
    lag = np.argmax(np.correlate(heard[:30_000].astype(float), said[5000:15_000].astype(float))) - 5000
    assert abs(lag) / 16_000 < 0.04


def test_large_pictures_are_reduced_and_odd_sizes_made_even(tmp_path):
    for size, height in (((1600, 900), 480), ((1280, 720), 720), ((101, 77), 76)):
        path = write_media(tmp_path / "a.mkv", frames=make_frames(5, size=(size[0] // 2 * 2, size[1] // 2 * 2)))
        (tmp_path / "copy.mp4").write_bytes(render_video(path, Span(0, 0.2)))
        assert probe(tmp_path / "copy.mp4").height == height


def test_a_turned_video_is_shown_upright(tmp_path, program):
    frame = make_frames(1, size=(96, 64))[0].copy()
    frame[:32] = 250
    path = turn_mp4(write_media(tmp_path / "a.mp4", frames=[frame] * 10))
    (tmp_path / "copy.mp4").write_bytes(render_video(path, Span(0, 0.4)))
    ours, theirs = (next(iter(read_frames(p, [Span(0, 1)]))).rgb for p in (path, tmp_path / "copy.mp4"))
    assert ours.shape == theirs.shape == (96, 64, 3)
    assert np.abs(ours.astype(int) - theirs).mean() < 6


def test_late_sound_stays_in_step(tmp_path):
    path = write_media(tmp_path / "a.mkv", frames=make_frames(100), sound=make_tone(2.0), sound_start_s=1.48)
    (tmp_path / "copy.mp4").write_bytes(render_video(path, Span(1.0, 3.0), read_audio(path)[16_000:]))
    heard = np.abs(read_audio(tmp_path / "copy.mp4")) > 2000
    assert np.argmax(heard) / 16_000 == pytest.approx(0.48, abs=0.04)


def test_only_quiet_sound_is_raised(tmp_path):
    quiet = make_tone(1.0, level=0.004)
    for sound in (make_tone(1.0), np.zeros(16_000, np.int16)):
        assert amplify_quiet(sound) is sound
    assert 10 * np.log10(
        (amplify_quiet(quiet) / 32768.0) @ (amplify_quiet(quiet) / 32768.0) / len(quiet)
    ) == pytest.approx(-23, abs=1)
    path = write_media(tmp_path / "a.mkv", frames=make_frames(25), sound=quiet)
    (tmp_path / "copy.mp4").write_bytes(render_video(path, Span(0, 1), quiet))
    assert np.abs(read_audio(tmp_path / "copy.mp4")).max() > 5 * np.abs(quiet).max()


def make_numbered(path, seconds=12, **options):
    """A film whose frames show their number in ten bits; a keyframe every five seconds, B-frames in between."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            options.pop("codec", "libx264"), rate=25, options={"g": "125", "sc_threshold": "0"}
        )
        stream.width, stream.height, stream.pix_fmt = 640, 360, options.pop("pixels", "yuv420p")
        if aspect := options.pop("aspect", None):
            stream.codec_context.sample_aspect_ratio = aspect
        for number in range(seconds * 25):
            rgb = np.full((360, 640, 3), 40, np.uint8)
            for bit in range(10):
                rgb[100:200, bit * 64 : (bit + 1) * 64] += 180 * (number >> bit & 1)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers_of(path):
    """The number that each frame shows, by its time."""
    return {
        round(frame.time_s, 3): sum(
            int(frame.rgb[150, b * frame.rgb.shape[1] // 10 + 32].mean() > 128) << b for b in range(10)
        )
        for frame in read_frames(path, [Span(0, 60)])
    }


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("start_s", [0.0, 3.12, 7.51, 9.99])
def test_pictures_of_h264_are_copied_from_the_frame_nearest_to_the_start_to_the_end(tmp_path, suffix, start_s):
    path = make_numbered(tmp_path / f"film.{suffix}")
    sound = make_tone(1.8)
    (tmp_path / "copy.mp4").write_bytes(data := render_video(path, Span(start_s, start_s + 1.8), sound))
    assert data == render_video(path, Span(start_s, start_s + 1.8), sound)
    shown = numbers_of(tmp_path / "copy.mp4")
    first = round(start_s * 25)
    assert list(shown.values()) == [first + step for step in range(len(shown))]
    assert len(shown) == pytest.approx(45, abs=1)
    assert list(shown) == pytest.approx([step / 25 for step in range(len(shown))], abs=0.003)
    with av.open(str(path)) as film, av.open(str(tmp_path / "copy.mp4")) as copy:
        packets = {bytes(packet) for packet in film.demux(video=0)}
        assert {bytes(packet) for packet in copy.demux(video=0)} <= packets
    found = probe(tmp_path / "copy.mp4")
    assert (found.width, found.height, found.frame_rate_hz) == (640, 360, pytest.approx(25, abs=0.3))
    assert found.duration_s == pytest.approx(1.8, abs=0.07)
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert container.duration / av.time_base == pytest.approx(1.8, abs=0.002)


@pytest.mark.parametrize(
    "options",
    [{"pixels": "yuv444p"}, {"codec": "mpeg4"}, {"aspect": Fraction(4, 3)}, None],
    ids=["chroma", "codec", "wide pixels", "uneven"],
)
def test_pictures_that_browsers_do_not_show_as_they_are_are_encoded(tmp_path, options):
    if options is None:
        times_s = [number / 25 + number % 3 * 0.012 for number in range(100)]
        path = write_media(tmp_path / "film.mp4", frames=make_frames(100), times_s=times_s)
    else:
        path = make_numbered(tmp_path / "film.mp4", 4, **options)
    (tmp_path / "copy.mp4").write_bytes(render_video(path, Span(1.0, 2.0)))
    shape, copy = viewing_format(path), probe(tmp_path / "copy.mp4")
    assert (copy.width, copy.height, copy.frame_rate_hz) == (
        shape.width_px,
        shape.height_px,
        float(shape.frame_rate_hz),
    )
    assert copy.video_codec == "h264"
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert container.streams.video[0].pix_fmt == "yuv420p"
        assert next(iter(container.demux(video=0))).is_keyframe


def test_what_cannot_be_cut_is_a_bad_row(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"nothing")
    with pytest.raises(InvalidRow):
        render_video(path, Span(0, 1))


@pytest.mark.parametrize("name", ["-i.mp4", "a;touch b.mp4", "con:cat %03d.mp4", "ümlaut 'q\".mp4"])
def test_names_are_only_names(tmp_path, name):
    path = write_media(tmp_path / "plain.mp4", frames=make_frames(5)).rename(tmp_path / name)
    assert render_video(path, Span(0, 0.2))[4:8] == b"ftyp"


def test_pydub_is_loaded_without_a_word(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    for cached in (ffmpeg.find_ffmpeg, ffmpeg.audio_segment):
        cached.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ffmpeg.audio_segment().converter == ffmpeg.find_ffmpeg()
    for cached in (ffmpeg.find_ffmpeg, ffmpeg.audio_segment):
        cached.cache_clear()
