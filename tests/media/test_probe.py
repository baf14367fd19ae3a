"""What a file is, told from its inside, whatever its name or header claims."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.errors import InvalidRow
from curate.media.container.open import open_media
from curate.media.container.probe import probe
from curate.stages.contract import REASONS
from tests.support.media_builders import make_frames, make_speech, make_tone, turn_mp4, write_media


def reason(path: Path) -> str:
    with pytest.raises(InvalidRow) as caught:
        probe(path)
    assert caught.value.reason in REASONS
    return caught.value.reason


def test_a_video_with_sound(tmp_path):
    found = probe(write_media(tmp_path / "a.mp4", frames=make_frames(25), sound=make_tone(1.0)))
    assert (found.kind, found.width, found.height) == ("video", 96, 64)
    assert found.duration_s == pytest.approx(1.0, abs=0.1)
    assert (found.video_codec, found.audio_codec, found.audio_rate_hz, found.audio_channels) == (
        "h264",
        "aac",
        16000,
        1,
    )
    assert found.frame_rate_hz == pytest.approx(25, abs=0.1)


def test_nothing_in_it(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"")
    assert reason(path) == "empty_file"


@pytest.mark.parametrize("content", [b"Dear diary, today was fine.\n" * 200, os.urandom(20_000), b"\0" * 5000])
def test_not_media_whatever_the_name_says(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert reason(path) == "not_media"


@pytest.mark.parametrize("name", ["a.m3u8", "a.mp4"])
def test_a_playlist_cannot_open_other_files(tmp_path, name):
    other = write_media(tmp_path / "secret.mp4", frames=make_frames(5))
    path = tmp_path / name
    path.write_text(f"#EXTM3U\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n")
    assert reason(path) == "not_media"
    path.write_text(f"ffconcat version 1.0\nfile '{other}'\n")
    assert reason(path) == "not_media"


def test_a_header_without_the_rest(tmp_path):
    whole = write_media(tmp_path / "a.mp4", frames=make_frames(25)).read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) // 3])
    assert reason(tmp_path / "a.mp4") == "truncated"


def test_a_cut_file_is_as_long_as_what_is_left(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (50, 64, 96, 3), np.uint8)
    path = write_media(tmp_path / "a.mkv", frames=list(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = probe(path)
    assert 0.5 < found.duration_s < 1.5


def test_a_directory_and_a_missing_file(tmp_path):
    assert reason(tmp_path) == "unreadable"
    assert reason(tmp_path / "none.mp4") == "unavailable"


def test_cover_art_is_not_video(tmp_path):
    found = probe(write_media(tmp_path / "a.mp3", sound=make_tone(1.0), cover=make_frames(1)[0]))
    assert (found.kind, found.video_codec, found.width) == ("audio", None, None)


def test_a_late_sound(tmp_path):
    found = probe(write_media(tmp_path / "a.mkv", frames=make_frames(99), sound=make_speech(), sound_start_s=1.48))
    assert found.audio_start_s == pytest.approx(1.48, abs=0.04)


def test_a_turned_video(tmp_path):
    found = probe(turn_mp4(write_media(tmp_path / "a.mp4", frames=make_frames(9))))
    assert (found.width, found.height, found.rotation_deg) == (64, 96, 270)
    found = probe(turn_mp4(write_media(tmp_path / "b.mp4", frames=make_frames(9)), (0, 1, 0, -1, 0, 0)))
    assert (found.width, found.height, found.rotation_deg) == (96, 64, 0)


def test_a_picture(tmp_path):
    Image.fromarray(make_frames(1)[0]).save(tmp_path / "a.jpg", exif=_turned())
    found = probe(tmp_path / "a.jpg")
    assert (found.kind, found.width, found.height, found.duration_s) == ("image", 64, 96, None)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "b.jpg")
    data = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(data[: len(data) // 2])
    assert reason(tmp_path / "b.jpg") == "truncated"


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_a_title_in_another_encoding_is_read_as_far_as_it_goes(tmp_path):
    path = write_media(tmp_path / "a.mkv", frames=make_frames(5), title="XXbergang")
    path.write_bytes(path.read_bytes().replace(b"XXbergang", b"X\xdcbergang"))
    with open_media(path) as media:
        assert media.title == "X\ufffdbergang"
