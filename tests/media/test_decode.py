"""Sound and pictures on one clock."""

import gc
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from curate.errors import InvalidRow
from curate.media.container.decode import Span, cut_audio, decode_frames, merge_spans, read_audio, read_frames
from curate.media.container.pictures import resize
from curate.media.container.planes import Region
from curate.media.container.render import render_audio
from curate.media.speech.vad import find_utterances, speech_probabilities
from tests.support.media_builders import make_frames, make_speech, make_tone, turn_mp4, write_media


def onset_s(samples):
    return int(np.argmax(np.abs(samples) > 3000)) / 16_000


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_that_starts_late_stays_late(tmp_path, suffix):
    path = write_media(tmp_path / f"a.{suffix}", frames=make_frames(100), sound=make_speech(), sound_start_s=1.48)
    early, late = make_speech(), read_audio(path)
    assert onset_s(late) - onset_s(early) == pytest.approx(1.48, abs=0.01)
    spans = [
        [one.span for one in find_utterances(speech_probabilities(sound), duration_s=len(sound) / 16_000)]
        for sound in (early, late)
    ]
    assert len(spans[0]) == len(spans[1]) == 2
    for before, after in zip(*spans, strict=True):
        assert after.start_s - before.start_s == pytest.approx(1.48, abs=0.041)


def test_holes_are_silence(tmp_path):
    path = write_media(tmp_path / "a.mkv", sound=make_tone(3.0), hole=Span(1.0, 2.0))
    sound = np.abs(read_audio(path)[:, None])[: 3 * 16_000].reshape(30, -1).max(axis=1)
    assert (sound[:9] > 5000).all()
    assert (sound[12:18] < 50).all()
    assert (sound[22:] > 5000).all()


def test_timestamps_gone_mad_do_not_fill_the_memory(tmp_path):
    path = write_media(tmp_path / "a.mkv", sound=make_tone(2.0), hole=Span(1.0, 90_000.0))
    assert len(read_audio(path)) / 16_000 == pytest.approx(1.0, abs=0.2)


def test_no_sound_and_broken_sound(tmp_path):
    silent = write_media(tmp_path / "a.mp4", frames=make_frames(5))
    with pytest.raises(InvalidRow) as caught:
        read_audio(silent)
    assert caught.value.reason == "no_audio"


def test_sound_that_breaks_midway_is_kept_until_there(tmp_path):
    path = write_media(tmp_path / "a.wav", sound=make_tone(4.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(read_audio(path)) / 16_000 == pytest.approx(2.0, abs=0.1)


def test_a_turned_video_is_given_upright(tmp_path):
    frame = make_frames(1)[0].copy()
    frame[:32] = 250
    path = turn_mp4(write_media(tmp_path / "a.mp4", frames=[frame] * 5))
    rgb = next(iter(read_frames(path, [Span(0, 1)]))).rgb
    assert rgb.shape == (96, 64, 3)
    assert rgb[:, 40:].mean() > 200 > 100 > rgb[:, :24].mean()


def test_times_of_a_variable_frame_rate(tmp_path):
    times = [0.0, 0.04, 0.08, 0.5, 1.3, 1.34, 2.0]
    path = write_media(tmp_path / "a.mp4", frames=make_frames(7), times_s=times)
    seen = list(read_frames(path, [Span(0, 9)]))
    assert [frame.time_s for frame in seen] == pytest.approx(times, abs=0.002)
    assert [frame.time_s for frame in read_frames(path, [Span(1.2, 9)])] == pytest.approx(times[4:], abs=0.002)
    levels = [frame.rgb.mean() for frame in seen]
    assert levels == sorted(levels)


def test_only_every_nth_frame_of_the_spans(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=make_frames(300))
    spans = [Span(1.0, 2.0), Span(8.0, 9.0)]
    times = [frame.time_s for frame in read_frames(path, spans, every=5)]
    assert times == pytest.approx([1.0, 1.2, 1.4, 1.6, 1.8, 8.0, 8.2, 8.4, 8.6, 8.8], abs=0.001)


def test_a_picture_outlives_the_file(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=make_frames(30))
    last = list(decode_frames(path, [Span(0, 9)], prefetch=True))[-1]
    assert last.to_planes().rgb(48, 32).mean() == pytest.approx(last.to_rgb().mean(), abs=3)


def test_pictures_of_spans_are_the_same_as_of_the_whole(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=make_frames(600))
    times = [picture.time_s for picture in decode_frames(path, [Span(0, 99)])]
    spans = [Span(1.0, 1.5), Span(9.91, 10.1), Span(23.0, 99.0)]
    wanted = [time_s for time_s in times if any(span.start_s - 0.01 < time_s < span.end_s - 0.001 for span in spans)]
    for prefetch in (False, True):
        found = [picture.time_s for picture in decode_frames(path, spans, prefetch=prefetch)]
        assert found == pytest.approx(wanted)


def test_merge_joins_what_lies_close():
    assert merge_spans([Span(5, 6), Span(0, 1), Span(1.5, 3)], 1.0) == [Span(0, 3), Span(5, 6)]


def test_a_cut_as_flac_is_exact(tmp_path):
    samples, span = make_speech(), Span(1.0, 2.5)
    (tmp_path / "a.flac").write_bytes(render_audio(samples, span))
    assert np.array_equal(read_audio(tmp_path / "a.flac"), cut_audio(samples, span))
    assert render_audio(samples, span) == render_audio(samples, span)


def test_converted_frames_are_freed_at_once(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=make_frames(200))
    gc.collect()
    gc.disable()
    try:
        for frame in decode_frames(path, [Span(0, 60)], prefetch=True):
            frame.to_planes()
        alive = sum(isinstance(value, av.VideoFrame) for value in gc.get_objects())
    finally:
        gc.enable()
    assert alive < 60


def make_reordered(path, *, seconds=8, pixels=None, **options):
    """A film with B-frames that no other frame needs, and a keyframe every four seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "100", "bf": "3", "preset": "fast", **options})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        if pixels:
            stream.codec_context.sample_aspect_ratio = pixels
        for rgb in make_frames(seconds * 25, size=(320, 240)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sparse_frames_are_some_of_all_and_those_of_a_span_are_all_of_it(tmp_path, suffix):
    path = make_reordered(tmp_path / f"a.{suffix}")
    every = {frame.time_s: frame.to_planes().y.tobytes() for frame in decode_frames(path, [Span(0, 60)])}
    assert len(every) == 200
    sparse = {f.time_s: f.to_planes().y.tobytes() for f in decode_frames(path, [Span(0, 60)], sparse=True)}
    assert 60 < len(sparse) < 150
    assert sparse.items() <= every.items()
    part = {frame.time_s: frame.to_planes().y.tobytes() for frame in decode_frames(path, [Span(6.5, 7.1)])}
    assert part == {time_s: y for time_s, y in every.items() if 6.48 <= time_s < 7.1}


def test_sparse_frames_are_never_far_apart(tmp_path):
    path = make_reordered(tmp_path / "a.mp4", seconds=3, **{"b-pyramid": "none", "b_strategy": "0"})
    times_s = [frame.time_s for frame in decode_frames(path, [Span(0, 9)], sparse=True)]
    assert sum(b - a > 0.13 for a, b in pairwise(times_s)) <= 2
    assert len(times_s) > 60


def test_wide_pixels_are_shown_wide_without_stretching_every_frame(tmp_path):
    plain, wide = (
        make_reordered(tmp_path / f"{name}.mp4", seconds=1, pixels=pixels)
        for name, pixels in (("plain", None), ("wide", Fraction(4, 3)))
    )
    square, stretched = (next(iter(decode_frames(path, [Span(0, 1)]))) for path in (plain, wide))
    planes = stretched.to_planes()
    assert (planes.width, planes.height, planes.y.shape) == (427, 240, (240, 320))
    wanted = resize(square.to_rgb(), 427, 240).astype(int)
    assert np.abs(stretched.to_rgb() - wanted).mean() < 1
    part = planes.rgb(100, 100, Region(200, 60, 300, 160)).astype(int)
    assert np.abs(part - wanted[60:160, 200:300]).mean() < 3
    inverse = np.array([[1.0, 0.0, 150.0], [0.0, 1.0, 60.0]])
    warped = planes.warp_square(inverse, 96).rgb(96, 96).astype(int)
    assert np.abs(warped - wanted[60:156, 150:246]).mean() < 3
    assert (planes.warp_luma(inverse, 96) == planes.warp_square(inverse, 96).y).all()
