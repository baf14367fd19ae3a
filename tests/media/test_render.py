"""Viewing copies: small, upright, the same bytes every time."""

import warnings

import numpy as np
import pytest

from curate.errors import InvalidRow
from curate.media.container import ffmpeg
from curate.media.container.decode import Span, read_audio, read_frames
from curate.media.container.probe import probe
from curate.media.container.render import amplify_quiet, render_video
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
    data = render_video(sample(), span, make_speech())
    assert data == render_video(sample(), span, make_speech())
    (tmp_path / "copy.mp4").write_bytes(data)
    assert data.index(b"moov") < data.index(b"mdat")
    found = probe(tmp_path / "copy.mp4")
    assert (found.kind, found.video_codec, found.audio_codec) == ("video", "h264", "aac")
    assert found.duration_s == pytest.approx(3.144, abs=0.1)
    heard, said = read_audio(tmp_path / "copy.mp4"), make_speech()[4544:54848]
    lag = np.argmax(np.correlate(heard[:30_000].astype(float), said[5000:15_000].astype(float))) - 5000
    assert abs(lag) / 16_000 < 0.04


def test_large_pictures_are_reduced_and_odd_sizes_made_even(tmp_path):
    for size, height in (((1280, 720), 480), ((101, 77), 76)):
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
    (tmp_path / "copy.mp4").write_bytes(render_video(path, Span(1.0, 3.0), read_audio(path)))
    heard = np.abs(read_audio(tmp_path / "copy.mp4")) > 2000
    assert np.argmax(heard) / 16_000 == pytest.approx(0.48, abs=0.04)


def test_only_quiet_sound_is_raised(tmp_path):
    quiet = make_tone(1.0, level=0.004)
    assert amplify_quiet(make_tone(1.0)) is None
    assert amplify_quiet(np.zeros(16_000, np.int16)) is None
    assert amplify_quiet(quiet).dBFS == pytest.approx(-23, abs=1)
    path = write_media(tmp_path / "a.mkv", frames=make_frames(25), sound=quiet)
    (tmp_path / "copy.mp4").write_bytes(render_video(path, Span(0, 1), quiet))
    assert np.abs(read_audio(tmp_path / "copy.mp4")).max() > 5 * np.abs(quiet).max()


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
