"""Score, crop, encode and store the faces of a video as they are detected."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from curate.media.container.encode import SquareVideoWriter
from curate.media.container.planes import Planes
from curate.media.faces.crops import aligned_planes, crop_frame, max_score
from curate.media.faces.detector import Face
from curate.media.faces.face_track import FaceTrack, StoredCrop

Crops = Literal["none", "best", "frames", "video"]
Store = Callable[[bytes, str], str]
"""Stores bytes under a file suffix and returns their name."""
_MOUTH_INTERVAL_S = 0.055
"""Frames closer than this to the last sample of the mouth are skipped."""


class FaceFrame(NamedTuple):
    """A frame and the box and landmarks of one face in it."""

    time_s: float
    planes: Planes
    face: Face


class Detection(NamedTuple):
    """A face detected in a frame, with the frames since the last detection, its face interpolated in them."""

    track: FaceTrack
    current: FaceFrame
    interpolated: list[FaceFrame]


class CropRecorder:
    """Keeps the best crops of face tracks and stores the others that were asked for; use it from one thread."""

    def __init__(self, size_px: int, crops: Crops, store: Store | None) -> None:
        self._size_px, self._crops, self._store = size_px, crops, store
        self._videos: dict[int, tuple[FaceTrack, SquareVideoWriter]] = {}

    def record(self, detections: Sequence[Detection], span: int | None, active: Sequence[FaceTrack]) -> None:
        """Record the faces of one frame, and of the frames before it.

        ``span`` is the index of the span that holds the frame, if any does. Videos of tracks that are not ``active``
        are finished.
        """
        for track, current, interpolated in detections:
            if span is not None:
                self._crop(track, current, span)
            for frame in interpolated:
                if frame.time_s - track.mouth.last_s >= _MOUTH_INTERVAL_S:
                    track.mouth.add_frame(*frame)
                if self._crops == "video":
                    self._add_to_video(track, frame)
        self.finish_videos(active)

    def finish_videos(self, active: Sequence[FaceTrack] = ()) -> None:
        """Store the unfinished videos, except those of ``active`` tracks."""
        unfinished = {id(track) for track in active}
        for key in [key for key in self._videos if key not in unfinished]:
            track, video = self._videos.pop(key)
            if self._store is not None:
                track.video = self._store(video.finish(), "mp4")

    def _crop(self, track: FaceTrack, frame: FaceFrame, span: int) -> None:
        time_s, planes, face = frame
        size_px, best = self._size_px, track.best.get(span)
        best_score = best.score if best else -1.0
        upper_bound = max_score(face, width=planes.width, height=planes.height, size_px=size_px)
        if self._crops != "frames" and best and upper_bound <= best_score:
            return
        min_score = -1.0 if self._crops == "frames" else best_score
        encode = self._crops != "none"
        crop = crop_frame(planes, face, time_s=time_s, size_px=size_px, encode=encode, min_score=min_score)
        if crop is None:
            return
        if self._crops == "frames" and self._store is not None:
            track.frames.append(StoredCrop(time_s, self._store(crop.jpeg, "jpg")))
        if crop.score > best_score:
            track.best[span] = crop

    def _add_to_video(self, track: FaceTrack, frame: FaceFrame) -> None:
        square = aligned_planes(frame.planes, frame.face, self._size_px)
        if square is not None:
            if id(track) not in self._videos:
                self._videos[id(track)] = (track, SquareVideoWriter(self._size_px))
            self._videos[id(track)][1].add(frame.time_s, square)
