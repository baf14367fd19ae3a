"""Watching a video: faces that come and go, cuts, gaps, and what is kept."""

import threading
import time
from functools import partial

import numpy as np
import pytest
from PIL import Image

from curate.errors import StorageFailed
from curate.media.container.decode import Span, read_frames
from curate.media.faces import analyse
from curate.media.faces.analyse import analyse_video
from curate.media.faces.background import BackgroundWorker
from curate.media.faces.centerface import CenterFace
from curate.media.faces.detector import intersection_over_union
from curate.storage.blobs import Blobs
from tests.support.media_builders import make_frames, make_portrait, make_tone, sample, turn_mp4, write_media

WHOLE = [Span(0.0, 999.0)]


def make_stage(*places, size=(640, 360), head=160, grey=90):
    """A picture with heads, each with its left upper corner at a place."""
    frame = np.full((size[1], size[0], 3), grey, np.uint8)
    portrait = np.asarray(Image.fromarray(make_portrait()).resize((head, head), Image.Resampling.BILINEAR))
    for x, y in places:
        x0, x1 = max(0, x), min(size[0], x + head)
        if x1 > x0:
            frame[y : y + head, x0:x1] = portrait[:, x0 - x : x1 - x]
    return frame


class Counting:
    """The embedded detector, counting what it is asked."""

    name = "counting"

    def __init__(self):
        self.whole = self.small = 0

    def detect(self, rgb):
        self.whole += 1
        return CenterFace().detect(rgb)

    def detect_small(self, pictures):
        self.small += len(pictures)
        return CenterFace().detect_small(pictures)


def test_a_sample_has_one_track_over_both_utterances():
    watched = analyse_video(sample(), [Span(0.3, 3.4), Span(4.1, 7.3)], CenterFace())
    assert len(watched.tracks) == 1
    track = watched.tracks[0]
    assert set(track.best) == {0, 1}
    assert track.detections_in(Span(0.3, 3.4)) > 10
    assert 0.3 <= track.crop.time_s <= 7.3
    assert np.ptp(track.track.times_s) == pytest.approx(7, abs=0.3)
    assert track.visible_share > 0.95
    assert len(watched.shots) == 1


def test_known_faces_cost_no_look_at_the_whole_picture(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=[make_stage((200, 100))] * 100)
    detector = Counting()
    watched = analyse_video(path, WHOLE, detector)
    assert len(watched.tracks[0].track.times_s) >= 20
    assert detector.whole <= 2
    assert detector.small >= 19


def test_tracks_follow_what_every_whole_frame_would_show(tmp_path):
    frames = [make_stage((40 + 4 * step, 60), (420 - 2 * step, 150)) for step in range(70)]
    path = write_media(tmp_path / "a.mp4", frames=frames)
    tracks = analyse_video(path, WHOLE, CenterFace()).tracks
    assert len(tracks) == 2
    overlaps = []
    for frame in read_frames(path, WHOLE, every=3):
        mine = np.stack([found.track.face_at(frame.time_s).box for found in tracks])
        for face in CenterFace().detect(frame.rgb):
            overlaps.append(intersection_over_union(face.box[None], mine).max())
    assert len(overlaps) >= 45
    assert min(overlaps) > 0.5
    assert np.mean(overlaps) > 0.8


def test_a_face_that_comes_and_goes(tmp_path):
    frames = [make_stage(*([(240, 90)] if 35 <= step < 90 else [])) for step in range(130)]
    # No cut: the rest of the picture stays.
    path = write_media(tmp_path / "a.mp4", frames=frames)
    tracks = analyse_video(path, WHOLE, CenterFace(), crops="none").tracks
    seen = [(found.track.times_s[0], found.track.times_s[-1]) for found in tracks]
    assert min(start for start, _ in seen) == pytest.approx(35 / 25, abs=0.21)
    assert max(end for _, end in seen) == pytest.approx(89 / 25, abs=0.21)


def test_two_people_who_cross(tmp_path):
    frames = [make_stage((20 + 6 * step, 20), (460 - 6 * step, 190)) for step in range(72)]
    tracks = analyse_video(write_media(tmp_path / "a.mp4", frames=frames), WHOLE, CenterFace()).tracks
    assert len(tracks) == 2
    for found in tracks:
        heights = [face.box[1] for face in found.track.faces]
        assert np.ptp(heights) < 40


def test_a_cut_ends_tracks_at_the_frame(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (9, 16, 3), np.uint8)
    scene = np.kron(noise, np.ones((40, 40, 1), np.uint8))
    other = scene[::-1, ::-1].copy()
    for picture in (scene, other):
        picture[100:260, 240:400] = make_stage((240, 100))[100:260, 240:400]
    path = write_media(tmp_path / "a.mp4", frames=[scene] * 33 + [other] * 33)
    watched = analyse_video(path, WHOLE, CenterFace())
    ends = [(found.track.times_s[0], found.track.times_s[-1]) for found in watched.tracks]
    assert ends == [pytest.approx((0.0, 32 / 25), abs=0.001), pytest.approx((33 / 25, 65 / 25), abs=0.001)]
    assert [shot.start_s for shot in watched.shots] == pytest.approx([0.0, 33 / 25], abs=0.001)


def test_a_face_at_rest_does_not_tremble(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=[make_portrait()] * 60)
    mouth = analyse_video(path, WHOLE, CenterFace(), crops="none").tracks[0].mouth
    assert len(mouth.motion) > 25
    assert np.mean(mouth.motion) < 0.01


def test_looks_that_lie_far_apart(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=[make_stage((200, 100))] * 130)
    tracks = analyse_video(path, WHOLE, CenterFace(), every=60).tracks
    assert [time_s for found in tracks for time_s in found.track.times_s] == pytest.approx([0.0, 2.4, 4.8, 5.16])
    assert len(analyse_video(path, WHOLE, CenterFace(), every=1).tracks[0].track.times_s) == 130


def test_gaps_are_not_decoded_and_part_tracks(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=[make_stage((200, 100))] * 500)
    watched = analyse_video(path, [Span(1.0, 2.0), Span(17.0, 18.0)], CenterFace())
    times = [time_s for found in watched.tracks for time_s in found.track.times_s]
    assert len(watched.tracks) == 2
    assert all(0.9 < time_s < 2.01 or 16.9 < time_s < 18.01 for time_s in times)
    assert [set(found.best) for found in watched.tracks] == [{0}, {1}]


@pytest.mark.parametrize("crops", ["frames", "video"])
def test_crops_and_track_videos_are_kept(tmp_path, crops):
    path = write_media(tmp_path / "a.mp4", frames=[make_stage((100 + step, 90)) for step in range(50)])
    blobs = Blobs(tmp_path / "blobs")
    found = analyse_video(path, WHOLE, CenterFace(), crops=crops, store=blobs.put, size_px=128).tracks[0]
    if crops == "frames":
        assert [frame.time_s for frame in found.frames] == pytest.approx(found.track.times_s)
        with Image.open(blobs.path(found.frames[3].name)) as picture:
            assert picture.size == (128, 128)
        return
    frames = list(read_frames(blobs.path(found.video), WHOLE))
    assert len(frames) == 50
    assert frames[-1].time_s == pytest.approx(49 / 25, abs=0.01)
    spots = [
        CenterFace().detect(np.asarray(Image.fromarray(f.rgb).resize((256, 256))))[0].landmarks for f in frames[::10]
    ]
    assert np.ptp(np.stack(spots), axis=0).max() < 12


def test_a_track_video_is_stored_as_soon_as_the_track_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(analyse, "_QUEUE_BYTES", 0)
    frames = [make_stage(*([(240, 90)] if step % 60 < 20 else [])) for step in range(140)]
    path = write_media(tmp_path / "a.mp4", frames=frames)
    stored_while = []

    def keep(data, suffix):
        stored_while.append(seen_s[-1])
        return f"{len(stored_while)}.{suffix}"

    class Watching(Counting):
        def detect(self, rgb):
            seen_s.append(len(seen_s))
            return super().detect(rgb)

    seen_s = []
    tracks = analyse_video(path, WHOLE, Watching(), crops="video", store=keep).tracks
    assert [found.video for found in tracks] == ["1.mp4", "2.mp4", "3.mp4"]
    assert stored_while[0] < stored_while[1] < stored_while[2]


@pytest.mark.parametrize("crops", ["frames", "video"])
def test_the_same_whatever_the_threads_do(tmp_path, monkeypatch, crops):
    frames = [make_stage((40 + 4 * step, 60), (420 - 2 * step, 150)) for step in range(40)]
    path = write_media(tmp_path / "a.mp4", frames=frames)
    kept = []

    def keep(data, suffix):
        time.sleep(0.002 * (len(kept) % 5))
        kept.append(data)
        return str(len(kept))

    rows = []
    for queue_bytes in (0, 10**9):
        kept.clear()
        monkeypatch.setattr(analyse, "_QUEUE_BYTES", queue_bytes)
        tracks = analyse_video(path, WHOLE, CenterFace(), crops=crops, store=keep).tracks
        rows.append([(list(kept), one.track.times_s, one.frames, one.video, one.mouth.motion) for one in tracks])
    assert len(rows[0]) == 2
    assert rows[0] == rows[1]


def test_a_full_disk_ends_the_reading(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=[make_stage((100, 90))] * 60)

    def keep(data, suffix):
        raise StorageFailed("cannot write media: No space left on device")

    others = set(threading.enumerate())
    with pytest.raises(StorageFailed):
        analyse_video(path, WHOLE, CenterFace(), crops="frames", store=keep)
    assert not [each for each in set(threading.enumerate()) - others if each.name.startswith("curate-")]


def test_jobs_are_done_in_order_and_few_wait():
    worker, done, gate = BackgroundWorker(10), [], threading.Event()
    worker.submit(gate.wait, size_bytes=4)
    worker.submit(partial(done.append, 1), size_bytes=6)
    third = threading.Thread(target=worker.submit, args=(partial(done.append, 2),), kwargs={"size_bytes": 1})
    third.start()
    third.join(0.1)
    assert third.is_alive()
    gate.set()
    third.join()
    worker.join()
    worker.close()
    assert done == [1, 2]


def test_what_a_job_raises_is_raised():
    worker = BackgroundWorker(0)
    worker.submit(partial(int, "x"))
    with pytest.raises(ValueError, match="invalid literal"):
        worker.join()
    worker.close()


def test_somewhere_to_keep_crops_is_needed():
    with pytest.raises(ValueError, match="store"):
        analyse_video(sample(), WHOLE, CenterFace(), crops="frames")


def test_odd_inputs(tmp_path):
    """Music without pictures, a tenth of a second, times of ten hours, a picture turned, a still photo."""
    assert analyse_video(write_media(tmp_path / "a.wav", sound=make_tone()), WHOLE, CenterFace()) == ([], [])
    short = write_media(tmp_path / "b.mp4", frames=[make_stage((200, 100))] * 3)
    assert len(analyse_video(short, [Span(0.0, 0.1)], CenterFace()).tracks) == 1
    assert analyse_video(short, [Span(36_000.0, 36_001.0)], CenterFace()) == ([], [])
    assert analyse_video(short, [], CenterFace()) == ([], [])
    late = [36_000 + step / 25 for step in range(20)]
    hours = write_media(tmp_path / "c.mkv", frames=[make_stage((200, 100))] * 20, times_s=late)
    found = analyse_video(hours, WHOLE, CenterFace()).tracks
    assert found[0].track.times_s[0] == pytest.approx(0.0, abs=0.01)
    upright = np.ascontiguousarray(np.rot90(make_stage((200, 100))))
    turned = turn_mp4(write_media(tmp_path / "d.mp4", frames=[upright] * 10))
    box = analyse_video(turned, WHOLE, CenterFace()).tracks[0].track.faces[0].box
    assert 200 < (box[0] + box[2]) / 2 < 360
    assert analyse_video(write_media(tmp_path / "e.mp4", frames=make_frames(20)), WHOLE, CenterFace()).tracks == []


def test_faces_below_the_limit_are_passed_over(tmp_path):
    path = write_media(tmp_path / "a.mp4", frames=[make_portrait()] * 5)
    assert len(analyse_video(path, [Span(0, 1)], CenterFace()).tracks) == 1
    assert analyse_video(path, [Span(0, 1)], CenterFace(), min_face_px=250).tracks == []


def test_faces_mostly_outside_are_not_cropped(tmp_path):
    frames = [make_stage((-95, 90))] * 20
    tracks = analyse_video(write_media(tmp_path / "a.mp4", frames=frames), WHOLE, CenterFace()).tracks
    assert all(found.visible_share >= 0.6 for found in tracks)
