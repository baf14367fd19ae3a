"""Follow the faces of a video and keep an aligned crop of each at its best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.align import Quality, align, measure
from curate.media.decode import Span, read_frames
from curate.media.faces import Face, FaceDetector
from curate.media.pictures import encode_jpeg
from curate.media.tracks import CutTest, Track, Tracker

MIN_CONTRAST = 8.0
"""Spread (standard deviation) of the grey levels in the middle of a crop, 0-255, below which no face can be told."""


class Shot(NamedTuple):
    """An aligned JPEG crop, when it was taken, and how good it is."""

    time_s: float
    jpeg: bytes
    quality: Quality
    worth: float
    """0-1: only for choosing among the shots of one face"""


@dataclass
class FaceTrack:
    """One face over time and its best shot in each span (by the span's place in the list) that it was seen in."""

    track: Track
    best: dict[int, Shot] = field(default_factory=dict)

    @property
    def shot(self) -> Shot:
        """The best of all shots."""
        return max(self.best.values(), key=lambda shot: shot.worth)

    @property
    def size_px(self) -> float:
        """Median of the longer side of the boxes."""
        return float(np.median([face.size_px for face in self.track.faces]))

    def looks_in(self, span: Span) -> int:
        """In how many of the frames looked at within a span the face was seen."""
        return sum(span.start_s <= time_s <= span.end_s for time_s in self.track.times_s)


class Watched(NamedTuple):
    """What was seen of a video."""

    tracks: list[FaceTrack]
    shots: list[tuple[float, float]]


def watch(
    path: Path,
    spans: Sequence[Span],
    detector: FaceDetector,
    *,
    every: int = 5,
    min_face_px: int = 40,
    size_px: int = 256,
    crops: Literal["none", "best", "frames", "video"] = "best",
    keep: Callable[[bytes, str], str] | None = None,
) -> Watched:
    """The shots and face tracks of the spans of a video; ``keep`` (bytes, suffix) stores frames and track videos."""
    return Watched(follow_faces(path, spans, detector, every=every, min_face_px=min_face_px, size_px=size_px), [])


def follow_faces(
    path: Path,
    spans: Sequence[Span],
    detector: FaceDetector,
    *,
    every: int = 5,
    min_face_px: int = 40,
    size_px: int = 256,
) -> list[FaceTrack]:
    """The face tracks seen in the spans of a video, in order of appearance.

    Looks at every ``every``-th frame; faces whose box is below ``min_face_px`` are passed over; crops are ``size_px``
    square. ``spans`` are in order and do not overlap.
    """
    tracker, cuts = Tracker(), CutTest()
    found: dict[int, FaceTrack] = {}
    for time_s, rgb in read_frames(path, spans, every=every):
        if cuts.is_cut(rgb):
            tracker.reset()
        faces = [face for face in detector.detect(rgb) if face.size_px >= min_face_px]
        place = next((i for i, span in enumerate(spans) if span.start_s <= time_s <= span.end_s), None)
        for track, face in zip(tracker.update(time_s, faces), faces, strict=True):
            if place is None:
                continue
            known = found.setdefault(id(track), FaceTrack(track))
            shot = take_shot(rgb, face, time_s=time_s, size_px=size_px)
            if shot and (place not in known.best or shot.worth > known.best[place].worth):
                known.best[place] = shot
    return [track for track in found.values() if track.best]


def take_shot(rgb: NDArray[np.uint8], face: Face, *, time_s: float = 0.0, size_px: int = 256) -> Shot | None:
    """The aligned crop of one face of one picture, or None where it is too dark or flat to see a face."""
    crop = align(rgb, face.landmarks, size_px=size_px)
    if crop[size_px // 4 : -size_px // 4, size_px // 4 : -size_px // 4].mean(axis=2).std() < MIN_CONTRAST:
        return None
    quality = measure(rgb, face, crop)
    eyes, nose = face.landmarks[:2], face.landmarks[2]
    middle, apart = eyes.mean(axis=0), float(np.linalg.norm(eyes[1] - eyes[0]))
    axis = (eyes[1] - eyes[0]) / max(apart, 1e-6)
    frontal = max(0.1, 1 - 2 * abs(float((nose - middle) @ axis)) / max(apart, 1e-6))
    sharp = quality.sharpness / (quality.sharpness + 50)
    worth = face.score * quality.visible_share * min(1.0, face.size_px / size_px) * frontal * (0.5 + 0.5 * sharp)
    return Shot(time_s, encode_jpeg(crop), quality, worth)
