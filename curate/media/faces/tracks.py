"""Join the faces of successive frames into tracks."""

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curate.media.faces.detector import Face, intersection_over_union

MIN_OVERLAP = 0.3
MAX_GAP_S = 1.0
_RECENT_S = 0.7


def widened_overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) overlap, 0-1, of boxes widened by half: a small face moves by most of its width between two looks."""
    return intersection_over_union(_widened(a), _widened(b))


def _widened(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    margin = (boxes[:, 2:] - boxes[:, :2]) / np.float32(4)
    return np.hstack([boxes[:, :2] - margin, boxes[:, 2:] + margin])


@dataclass
class Track:
    """One face over time: seconds from the start of the file, in order, and the face at each of them."""

    times_s: list[float] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    def predict(self, time_s: float) -> NDArray[np.float32]:
        """The box expected at a later time, moving on as it did of late."""
        return np.asarray(self.faces[-1].box + np.tile(self._shift(time_s, range(len(self.faces) - 1, -1, -1)), 2))

    def predict_before(self, time_s: float) -> NDArray[np.float32]:
        """The box expected at a time before the first."""
        return np.asarray(self.faces[0].box + np.tile(self._shift(time_s, range(len(self.faces))), 2))

    def face_at(self, time_s: float) -> Face | None:
        """The face at any time from the first to the last, interpolated; None outside or across a longer gap."""
        after = bisect_left(self.times_s, time_s)
        if after == len(self.times_s) or (after == 0 and self.times_s[0] != time_s):
            return None
        if self.times_s[after] == time_s:
            return self.faces[after]
        before = after - 1
        gap_s = self.times_s[after] - self.times_s[before]
        if gap_s > MAX_GAP_S:
            return None
        part = np.float32((time_s - self.times_s[before]) / gap_s)
        a, b = self.faces[before], self.faces[after]
        return Face(
            a.box + (b.box - a.box) * part,
            a.landmarks + (b.landmarks - a.landmarks) * part,
            float(a.score + (b.score - a.score) * part),
        )

    def _shift(self, time_s: float, places: range) -> NDArray[np.float32]:
        """From the face at the first of ``places`` to one at ``time_s``, by the way through those near it in time."""
        origin = places[0]
        near = [i for i in places[1:5] if abs(self.times_s[i] - self.times_s[origin]) <= _RECENT_S]
        if not near:
            return np.zeros(2, np.float32)
        lag_s = self.times_s[origin] - self.times_s[near[-1]]
        way = self.faces[origin].box - self.faces[near[-1]].box
        ahead_s = float(np.clip(time_s - self.times_s[origin], -MAX_GAP_S, MAX_GAP_S))
        return np.asarray((way[:2] + way[2:]) / 2 * (ahead_s / lag_s), np.float32)


@dataclass
class Tracker:
    """Overlap, constant velocity and the Hungarian assignment; a track ends at a cut or after ``MAX_GAP_S`` unseen."""

    tracks: list[Track] = field(default_factory=list)
    _open: list[Track] = field(default_factory=list)

    def reset(self) -> None:
        """End all open tracks."""
        self._open = []

    @property
    def active(self) -> list[Track]:
        """The tracks that may go on."""
        return self._open

    def update(self, time_s: float, faces: list[Face]) -> list[Track]:
        """The track of each face, in the order of the faces."""
        self._open = [track for track in self._open if time_s - track.times_s[-1] <= MAX_GAP_S]
        found: list[Track | None] = [None] * len(faces)
        if self._open and faces:
            expected = np.stack([track.predict(time_s) for track in self._open])
            overlap = widened_overlap(expected, np.stack([face.box for face in faces]))
            for row, column in _pairs(overlap):
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


def _pairs(overlap: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Rows and columns paired so that their overlaps sum to the most."""
    rows, columns = overlap.shape
    best = overlap.argmax(axis=int(rows <= columns))
    if len(set(best.tolist())) == len(best):
        # Where no two want the same one, that is the answer, and scipy (45 MB) need not be loaded.
        return [(place, int(other)) if rows <= columns else (int(other), place) for place, other in enumerate(best)]
    from scipy.optimize import linear_sum_assignment

    return [(int(row), int(column)) for row, column in zip(*linear_sum_assignment(-overlap), strict=True)]
