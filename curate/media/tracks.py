"""Join the faces of successive frames into tracks."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curate.media.faces import Face, intersection_over_union
from curate.media.pictures import resize

MIN_OVERLAP = 0.3
MAX_GAP_S = 1.0
THUMB = (64, 36)


@dataclass
class Track:
    """One face over time: seconds from the start of the file and the face at each of them."""

    times_s: list[float] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    def predict(self, time_s: float) -> NDArray[np.float32]:
        """The box expected at a later time, at constant velocity."""
        last = self.faces[-1].box
        if len(self.faces) < 2 or self.times_s[-1] <= self.times_s[-2]:
            return last
        rate = (last - self.faces[-2].box) / (self.times_s[-1] - self.times_s[-2])
        shift = (rate[:2] + rate[2:]) / 2 * min(time_s - self.times_s[-1], MAX_GAP_S)
        return np.asarray(last + np.tile(shift, 2), np.float32)


@dataclass
class Tracker:
    """Overlap, constant velocity and the Hungarian assignment; a track ends at a cut or after ``MAX_GAP_S`` unseen."""

    tracks: list[Track] = field(default_factory=list)
    _open: list[Track] = field(default_factory=list)

    def reset(self) -> None:
        """End all open tracks."""
        self._open = []

    def update(self, time_s: float, faces: list[Face]) -> list[Track]:
        """The track of each face, in the order of the faces."""
        self._open = [track for track in self._open if time_s - track.times_s[-1] <= MAX_GAP_S]
        found: list[Track | None] = [None] * len(faces)
        if self._open and faces:
            from scipy.optimize import linear_sum_assignment

            expected = np.stack([track.predict(time_s) for track in self._open])
            overlap = intersection_over_union(expected, np.stack([face.box for face in faces]))
            for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
                if overlap[row, column] >= MIN_OVERLAP:
                    found[column] = self._open[row]
        result = []
        for face, known in zip(faces, found, strict=True):
            track = known or self._begin()
            track.times_s.append(time_s)
            track.faces.append(face)
            result.append(track)
        return result

    def _begin(self) -> Track:
        track = Track()
        self.tracks.append(track)
        self._open.append(track)
        return track


@dataclass
class CutTest:
    """Tells a cut from motion on 64x36 thumbnails: a jump above 12 grey levels and three times the recent change."""

    _last: NDArray[np.int16] | None = None
    _changes: list[float] = field(default_factory=list)

    def is_cut(self, rgb: NDArray[np.uint8]) -> bool:
        """Whether this frame belongs to another shot than the one before."""
        thumb = resize(rgb, *THUMB).astype(np.int16)
        last, self._last = self._last, thumb
        if last is None:
            return False
        change = float(np.abs(thumb - last).mean())
        usual = float(np.mean(self._changes)) if self._changes else 10.0
        if change > max(12.0, 3 * usual):
            self._changes.clear()
            return True
        self._changes = [*self._changes[-7:], change]
        return False
