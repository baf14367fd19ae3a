"""Pictures at a constant rate: those that a player shows at these times."""

import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from curate.errors import InvalidRow
from curate.media.container.decode import Span, read_frames
from curate.media.container.encode import encode_steady
from curate.media.container.planes import Colour, Planes
from curate.media.container.render import render_video
from curate.media.container.steady import steady_pictures
from tests.support.media_builders import make_frames, make_tone, write_media


def numbered(count: int, size: tuple[int, int] = (128, 64)) -> list[np.ndarray]:
    """Frames that show their number in eight bits, as bright and dark fields."""
    frames = []
    for number in range(count):
        bits = [(number >> bit & 1) * 200 + 20 for bit in range(8)]
        row = np.repeat(np.array(bits, np.uint8), size[0] // 8)
        frames.append(np.repeat(np.repeat(row[None], size[1], axis=0)[..., None], 3, axis=2))
    return frames


def number_of(luma: np.ndarray) -> int:
    step = luma.shape[1] // 8
    return sum(int(luma[luma.shape[0] // 2, bit * step + step // 2] > 120) << bit for bit in range(8))


def shown(path, span, rate=25):
    return [number_of(picture.y) for picture in steady_pictures(path, span, rate=Fraction(rate), size=(128, 64))]


@pytest.mark.parametrize("suffix", ["ts", "mpg", "mkv", "mp4", "avi"])
@pytest.mark.parametrize("start_s", [0.0, 0.4, 2.6, 5.04])
def test_copies_begin_with_the_picture_at_their_start(tmp_path, suffix, start_s):
    write_media(tmp_path / "plain.mkv", frames=numbered(200))
    codec = {"mpg": "mpeg2video", "avi": "mpeg4"}.get(suffix, "libx264")
    command = [get_ffmpeg_exe(), "-v", "error", "-i", tmp_path / "plain.mkv", "-c:v", codec, "-q:v", "2", "-g", "75"]
    subprocess.run([*map(str, command), str(tmp_path / f"a.{suffix}")], check=True)
    first = round(start_s * 25)
    assert shown(tmp_path / f"a.{suffix}", Span(start_s, start_s + 1.2)) == list(range(first, first + 30))


def test_each_picture_of_an_uneven_film_comes_within_half_a_frame(tmp_path):
    times_s = np.cumsum([0.0, *np.random.default_rng(1).choice([0.02, 0.05, 0.11, 0.4], 80)]).round(3).tolist()
    path = write_media(tmp_path / "a.mp4", frames=numbered(81), times_s=times_s)
    start_s = times_s[30] + 0.013
    pictures = shown(path, Span(start_s, start_s + 4.0), 30)
    for number, at_s in enumerate(times_s):
        if number in pictures and at_s > start_s:
            assert abs(start_s + pictures.index(number) / 30 - at_s) < 0.5 / 30 + 0.002
    assert pictures[0] == 30 + (times_s[31] - start_s < 0.5 / 30)
    assert len(pictures) == 120


def test_a_picture_shown_for_long_is_there_at_once(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=numbered(4), times_s=[0.0, 6.0, 6.04, 9.0])
    assert shown(path, Span(4.0, 6.5)) == [0] * 50 + [1] + [2] * 12


@pytest.mark.parametrize("colour", [Colour("bt709", False), Colour("bt601", True), Colour("bt2020", False)])
def test_copies_say_what_their_colours_mean(tmp_path, colour):
    planes = [Planes(*(np.full(s, v, np.uint8) for s, v in (((64, 96), 90), ((32, 48), 110), ((32, 48), 200))), colour)]
    (tmp_path / "a.mp4").write_bytes(encode_steady(planes * 5, Fraction(25)))
    rgb = next(iter(read_frames(tmp_path / "a.mp4", [Span(0, 1)]))).rgb
    assert np.abs(rgb.astype(int) - planes[0].rgb(96, 64)).max() < 5
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == 25


def test_without_pictures_there_is_no_copy(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=make_frames(3))
    with pytest.raises(InvalidRow):
        list(steady_pictures(path, Span(50.0, 51.0), rate=Fraction(25), size=(96, 64)))


def test_copies_of_transport_streams_do_not_begin_frozen(tmp_path):
    write_media(tmp_path / "plain.mkv", frames=numbered(200), sound=make_tone(8.0))
    command = [get_ffmpeg_exe(), "-v", "error", "-i", tmp_path / "plain.mkv", "-c:v", "libx264", "-g", "75"]
    subprocess.run([*map(str, command), str(tmp_path / "a.ts")], check=True)
    (tmp_path / "copy.mp4").write_bytes(render_video(tmp_path / "a.ts", Span(2.6, 3.8), make_tone(1.2)))
    frames = list(read_frames(tmp_path / "copy.mp4", [Span(0, 9)]))
    times_s = {number_of(frame.rgb[..., 1]): frame.time_s for frame in read_frames(tmp_path / "a.ts", [Span(0, 9)])}
    first = min(times_s, key=lambda number: abs(times_s[number] - 2.6))
    assert [number_of(frame.rgb[..., 1]) for frame in frames] == list(range(first, first + 30))
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(30) / 25, abs=0.001)
