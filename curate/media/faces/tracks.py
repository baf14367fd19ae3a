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
    """Return the (n, m) overlap, 0-1, of boxes widened by half: small faces move by most of their width per step."""
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
        """Return the box expected at a later time, from its recent velocity."""
        return np.asarray(self.faces[-1].box + np.tile(self._shift(time_s, range(len(self.faces) - 1, -1, -1)), 2))

    def predict_before(self, time_s: float) -> NDArray[np.float32]:
        """Return the box expected at a time before the first."""
        return np.asarray(self.faces[0].box + np.tile(self._shift(time_s, range(len(self.faces))), 2))

    def face_at(self, time_s: float) -> Face | None:
        """Return the interpolated face at a time; None outside the track or in a gap longer than ``MAX_GAP_S``."""
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

    def _shift(self, time_s: float, indices: range) -> NDArray[np.float32]:
        """Return the expected (x, y) motion from the first of ``indices`` to ``time_s``, from the faces next to it."""
        origin = indices[0]
        near = [i for i in indices[1:5] if abs(self.times_s[i] - self.times_s[origin]) <= _RECENT_S]
        if not near:
            return np.zeros(2, np.float32)
        lag_s = self.times_s[origin] - self.times_s[near[-1]]
        motion = self.faces[origin].box - self.faces[near[-1]].box
        ahead_s = float(np.clip(time_s - self.times_s[origin], -MAX_GAP_S, MAX_GAP_S))
        return np.asarray((motion[:2] + motion[2:]) / 2 * (ahead_s / lag_s), np.float32)


@dataclass
class Tracker:
    """Tracks faces by overlap, constant velocity and Hungarian assignment.

    A track ends at a cut or after ``MAX_GAP_S`` without a detection.
    """

    tracks: list[Track] = field(default_factory=list)
    _active: list[Track] = field(default_factory=list)

    def reset(self) -> None:
        """End all active tracks."""
        self._active = []

    @property
    def active(self) -> list[Track]:
        """The tracks that can still continue."""
        return self._active

    def update(self, time_s: float, faces: list[Face]) -> list[Track]:
        """Return the track of each face, in the order of the faces."""
        self._active = [track for track in self._active if time_s - track.times_s[-1] <= MAX_GAP_S]
        matches: list[Track | None] = [None] * len(faces)
        if self._active and faces:
            expected = np.stack([track.predict(time_s) for track in self._active])
            overlap = widened_overlap(expected, np.stack([face.box for face in faces]))
            for row, column in best_pairs(overlap):
                if overlap[row, column] >= MIN_OVERLAP:
                    matches[column] = self._active[row]
        tracks = []
        for face, match in zip(faces, matches, strict=True):
            track = match or self._begin()
            track.times_s.append(time_s)
            track.faces.append(face)
            tracks.append(track)
        return tracks

    def _begin(self) -> Track:
        track = Track()
        self.tracks.append(track)
        self._active.append(track)
        return track


def best_pairs(overlap: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Return the pairs of a row and a column with the greatest sum of overlaps."""
    rows, columns = overlap.shape
    best = overlap.argmax(axis=int(rows <= columns))
    if len(set(best.tolist())) == len(best):
        # If no two prefer the same one, this is the solution, and scipy (45 MB) need not be loaded.
        return [(i, int(j)) if rows <= columns else (int(j), i) for i, j in enumerate(best)]
    from scipy.optimize import linear_sum_assignment

    return [(int(row), int(column)) for row, column in zip(*linear_sum_assignment(-overlap), strict=True)]
