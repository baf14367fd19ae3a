"""Analyse a video in one pass: its shots, its face tracks with crops, and the motion of their mouths."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curate.media.container.decode import MERGE_GAP_S, Span, decode_frames, frame_interval_s, merge_spans
from curate.media.container.planes import Planes
from curate.media.container.video import REPEAT_S
from curate.media.faces.background import BackgroundWorker
from curate.media.faces.detector import FaceDetector
from curate.media.faces.face_track import FaceTrack
from curate.media.faces.record import CropRecorder, Crops, Detection, FaceFrame, Store
from curate.media.faces.search import FaceSearch
from curate.media.faces.tracks import MAX_GAP_S
from curate.media.shots import Shot, ShotDetector

_QUEUE_BYTES = 12_000_000
_MAX_BATCH = 25
_SPARSE_S = 0.1
"""Frames are left out only if faces are searched for at least this far apart."""


class VideoAnalysis(NamedTuple):
    """Face tracks by first appearance, and shots in order."""

    tracks: list[FaceTrack]
    shots: list[Shot]


def analyse_video(
    path: Path,
    spans: Sequence[Span],
    detector: FaceDetector,
    *,
    every: int = 5,
    min_face_px: int = 40,
    size_px: int = 256,
    crops: Crops = "best",
    store: Store | None = None,
    exact_cuts: bool = False,
) -> VideoAnalysis:
    """Return the shots and face tracks of the spans of a video, which are in order and do not overlap.

    Faces are detected about every ``every``-th frame; those whose box is smaller than ``min_face_px`` are ignored.
    Frames in between that are costly to decode are left out unless ``exact_cuts`` are wanted or videos of the faces.
    Crops are squares of ``size_px`` (rounded up to even): the best of each track in each span and, through ``store``,
    also one of every detection (``frames``: JPEG) or every frame (``video``: one H.264 MP4 per track). With ``none``,
    crops are scored but not encoded. An error raised by ``store`` ends the analysis. Memory grows with the tracks, not
    with the length of the video.
    """
    if crops in ("frames", "video") and store is None:
        raise ValueError(f"crops={crops!r} needs a function to store them")
    recorder = CropRecorder(size_px + size_px % 2, crops, store)
    search = FaceSearch(detector, min_face_px)
    interval_s = every * min(frame_interval_s(path), REPEAT_S)
    sparse = not exact_cuts and crops != "video" and interval_s > _SPARSE_S
    with (
        closing(decode_frames(path, spans, prefetch=True, repeat=True, sparse=sparse)) as frames,
        closing(BackgroundWorker(_QUEUE_BYTES)) as worker,
    ):
        # Half a frame early, since times are rounded.
        analyser = _Analyser(spans, search, interval_s * (1 - 0.5 / every), recorder, worker)
        part = 0
        for frame in frames:
            if frame.part != part:
                part = frame.part
                analyser.end_shot()
            analyser.add_frame(frame.time_s, frame.to_planes())
        return analyser.finish()


class _Analyser:
    """Splits the frames at cuts, searches them for faces, and hands these to the recorder on another thread."""

    def __init__(
        self,
        spans: Sequence[Span],
        search: FaceSearch,
        interval_s: float,
        recorder: CropRecorder,
        worker: BackgroundWorker,
    ) -> None:
        self._spans, self._stretches = list(spans), merge_spans(spans, MERGE_GAP_S)
        self._search, self._interval_s, self._recorder, self._worker = search, interval_s, recorder, worker
        self._shot_detector = ShotDetector()
        self._tracks: dict[int, FaceTrack] = {}
        self._visible_shares: dict[int, list[float]] = {}
        self._unsorted: list[tuple[float, Planes]] = []
        """Frames not yet assigned to a shot"""
        self._unsearched: list[tuple[float, Planes]] = []
        """Frames of the shot from the last searched one on"""
        self._due_s = -1e9
        """When to search again"""

    def add_frame(self, time_s: float, planes: Planes) -> None:
        if self._stretches and time_s >= self._stretches[0].end_s:
            self.end_shot()
        while self._stretches and time_s >= self._stretches[0].end_s:
            self._stretches.pop(0)
        self._unsorted.append((time_s, planes))
        if time_s >= self._due_s or len(self._unsorted) == _MAX_BATCH:
            self._process_batch()

    def end_shot(self) -> None:
        """End the shot and all tracks: what follows has nothing to do with what came before."""
        self._process_batch()
        self._finish_stretch()
        self._shot_detector.end_shot()

    def _process_batch(self) -> None:
        """Split the waiting frames at the cuts among them; search the first frame of a shot and at every interval."""
        frames, self._unsorted = self._unsorted, []
        if not frames:
            return
        cuts = self._shot_detector.add_frames([time_s for time_s, _ in frames], lambda i: frames[i][1].thumbnail())
        for index, frame in enumerate(frames):
            if index in cuts:
                self._finish_stretch()
            if self._unsearched and frame[0] - self._unsearched[0][0] > MAX_GAP_S:
                # No track continues across a longer gap, so the frames within it will not be needed.
                del self._unsearched[:-1]
            self._unsearched.append(frame)
            if frame[0] >= self._due_s:
                self._search_frame(*frame)
                self._due_s = frame[0] + self._interval_s

    def finish(self) -> VideoAnalysis:
        self.end_shot()
        self._worker.join()
        for key, shares in self._visible_shares.items():
            self._tracks[key].visible_share = float(np.median(shares))
        tracks = [track for track in self._tracks.values() if track.best]
        return VideoAnalysis(sorted(tracks, key=lambda track: track.track.times_s[0]), self._shot_detector.shots)

    def _finish_stretch(self) -> None:
        """Search the last frame before a cut or gap, and end all tracks."""
        if len(self._unsearched) > 1 and self._search.tracker.active:
            self._search_frame(*self._unsearched[-1])
        self._worker.submit(self._recorder.finish_videos)
        self._search.reset()
        self._unsearched, self._due_s = [], -1e9

    def _search_frame(self, time_s: float, planes: Planes) -> None:
        span_index = next((i for i, span in enumerate(self._spans) if span.start_s <= time_s <= span.end_s), None)
        detections = []
        for track, face in self._search.update(time_s, planes):
            face_track = self._tracks.setdefault(id(track), FaceTrack(track))
            self._visible_shares.setdefault(id(track), []).append(face.visible_share(planes.width, planes.height))
            interpolated = [
                FaceFrame(frame_s, frame, frame_face)
                for frame_s, frame in self._unsearched[0 if len(track.times_s) == 1 else 1 :]
                if (frame_face := track.face_at(frame_s)) is not None
            ]
            detections.append(Detection(face_track, FaceFrame(time_s, planes, face), interpolated))
        active = [self._tracks[id(track)] for track in self._search.tracker.active]
        size_bytes = sum(frame.y.nbytes * 3 // 2 for _, frame in self._unsearched)
        self._worker.submit(partial(self._recorder.record, detections, span_index, active), size_bytes=size_bytes)
        self._unsearched = [(time_s, planes)]
