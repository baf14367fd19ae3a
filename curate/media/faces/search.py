"""Where to look for faces: at the whole picture once a second, in between only around the faces already known."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curate.media.container.planes import Planes, Region
from curate.media.faces.detector import Face, FaceDetector, non_max_suppression
from curate.media.faces.tracks import MAX_GAP_S, MIN_OVERLAP, Track, Tracker, widened_overlap

WHOLE_EVERY_S = 1.0
STILL_EVERY_S = 4.0
"""How often the whole picture is searched where nothing but the known faces has changed since the last time."""
WHOLE_SIDE_PX = 640
AGAIN_SIDE_PX = 480
"""The first look at a shot is the sharpest: small faces that are there from the start are the most."""
_STILL = 3.0
_NEAR_SIDE_PX = 96
_REACH = 1.8
_MIN_REGION_PX = 48
_CENTRAL = 0.3
_EDGE_PX = 2


@dataclass
class FaceSearch:
    """Finds and follows faces over successive looks of one video.

    A whole picture is searched once a second, after a cut, and when a face was lost; a face first found that way is
    then looked for in the looks before, back to the last whole one, so that little of its appearance is missed.
    """

    detector: FaceDetector
    min_face_px: float
    tracker: Tracker = field(default_factory=Tracker)
    _whole_s: float = -1e9
    _recent: list[tuple[float, Planes]] = field(default_factory=list)
    _looked_s: float = -1e9
    _thumb: NDArray[np.int16] | None = None

    def reset(self) -> None:
        """End all tracks: what follows is another shot."""
        self.tracker.reset()
        self._recent.clear()
        self._whole_s = self._looked_s = -1e9
        self._thumb = None

    def update(self, time_s: float, planes: Planes) -> list[tuple[Track, Face]]:
        """The faces of this frame, each with its track."""
        expected = {id(track): track.predict(time_s) for track in self.tracker.active}
        faces = self._near(planes, list(expected.values()))
        is_lost = any(
            track.times_s[-1] >= self._looked_s and not _is_there(expected[id(track)], faces)
            for track in self.tracker.active
        )
        waited_s = time_s - self._whole_s + 1e-3
        whole = Region(0, 0, planes.width, planes.height)
        region: Region | None = whole
        if not is_lost and waited_s < STILL_EVERY_S:
            region = self._changed(planes, faces) if waited_s >= WHOLE_EVERY_S else None
        if region is not None:
            side_px = WHOLE_SIDE_PX if self._thumb is None else AGAIN_SIDE_PX
            faces = _distinct([*faces, *self._search(planes, region, side_px)])
            self._thumb = planes.thumbnail().astype(np.int16)
        faces = [face for face in faces if face.size_px >= self.min_face_px]
        tracks = self.tracker.update(time_s, faces)
        if region is not None:
            for track in tracks:
                if len(track.times_s) == 1:
                    self._look_back(track, tracks)
            self._recent.clear()
            self._whole_s = time_s
        else:
            self._recent.append((time_s, planes))
        self._looked_s = time_s
        return list(zip(tracks, faces, strict=True))

    def _changed(self, planes: Planes, known: list[Face]) -> Region | None:
        """Where anything but the known faces looks other than at the last search; None where nothing does."""
        if self._thumb is None:
            return Region(0, 0, planes.width, planes.height)
        change = np.abs(planes.thumbnail().astype(np.int16) - self._thumb).astype(np.float32)
        scale = np.array([change.shape[1] / planes.width, change.shape[0] / planes.height] * 2)
        for face in known:
            x0, y0, x1, y1 = (_widened(face.box) * scale).round().astype(int).clip(0)
            change[y0:y1, x0:x1] = 0
        rows, columns = np.nonzero(
            change.reshape(change.shape[0] // 4, 4, change.shape[1] // 4, 4).mean(axis=(1, 3)) > _STILL
        )
        if not len(rows):
            return None
        side = 4 / scale
        low = np.maximum(0, (np.array([columns.min(), rows.min()]) - 1) * side[:2])
        high = np.minimum((planes.width, planes.height), (np.array([columns.max(), rows.max()]) + 2) * side[:2])
        return Region(int(low[0]) // 2 * 2, int(low[1]) // 2 * 2, int(high[0]), int(high[1]))

    def _search(self, planes: Planes, region: Region, side_px: int) -> list[Face]:
        """The faces of a region, reduced as the whole picture would be to have a longer side of ``side_px``."""
        extent = np.array([region.x1 - region.x0, region.y1 - region.y0])
        reduced = extent * min(1.0, side_px / max(planes.width, planes.height))
        # What a network takes: multiples of 32.
        width, height = np.maximum(1, (reduced / 32).round()).astype(int) * 32
        scale = (extent / (width, height)).astype(np.float32)
        corner = np.array([region.x0, region.y0], np.float32)
        found = [
            face.map_to(scale, corner) for face in self.detector.detect(planes.rgb(int(width), int(height), region))
        ]
        low, high = corner + _EDGE_PX * scale, corner + extent - _EDGE_PX * scale
        low[corner <= 0] = -np.inf
        high[corner + extent >= (planes.width, planes.height)] = np.inf
        return [face for face in found if (face.box[:2] > low).all() and (face.box[2:] < high).all()]

    def _near(self, planes: Planes, boxes: list[NDArray[np.float32]]) -> list[Face]:
        """The faces around these places, best first."""
        if not boxes:
            return []
        regions = [_around(box) for box in boxes]
        pictures = np.stack([planes.rgb(_NEAR_SIDE_PX, _NEAR_SIDE_PX, region) for region in regions])
        found = []
        for region, faces in zip(regions, self.detector.detect_small(pictures), strict=True):
            scale = np.full(2, (region.x1 - region.x0) / _NEAR_SIDE_PX, np.float32)
            for face in faces:
                # What lies at the edge of the region is cut there; a face of its own has its own region.
                middle = (face.box[:2] + face.box[2:]) / 2 / _NEAR_SIDE_PX - 0.5
                if np.abs(middle).max() <= _CENTRAL:
                    found.append(face.map_to(scale, np.array([region.x0, region.y0], np.float32)))
        return _distinct(sorted(found, key=lambda face: -face.score))

    def _look_back(self, track: Track, others: list[Track]) -> None:
        for time_s, planes in reversed(self._recent):
            if track.times_s[0] - time_s > MAX_GAP_S:
                return
            box = track.predict_before(time_s)
            taken = [other.face_at(time_s) for other in others if other is not track]
            if _is_there(box, [face for face in taken if face is not None]):
                return
            faces = [face for face in self._near(planes, [box]) if _is_there(box, [face])]
            if not faces or faces[0].size_px < self.min_face_px:
                return
            track.times_s.insert(0, time_s)
            track.faces.insert(0, faces[0])


def _around(box: NDArray[np.float32]) -> Region:
    """A region in coarse steps, so that a face at rest is seen in the same one again and does not seem to tremble."""
    middle = (box[:2] + box[2:]) / 2
    least = max(_REACH * max(float(box[2] - box[0]), float(box[3] - box[1])), _MIN_REGION_PX)
    side = round(2 ** (round(4 * np.log2(least)) / 4) / 16) * 16
    x0, y0 = (round((float(at) - side / 2) / (side // 8)) * (side // 8) for at in middle)
    return Region(x0, y0, x0 + side, y0 + side)


def _widened(box: NDArray[np.float32]) -> NDArray[np.float32]:
    """The box with a quarter more on every side, where hair and shoulders move with a face."""
    margin = (box[2:] - box[:2]) / 4
    return np.concatenate([box[:2] - margin, box[2:] + margin])


def _is_there(box: NDArray[np.float32], faces: list[Face]) -> bool:
    if not faces:
        return False
    return bool(widened_overlap(box[None], np.stack([face.box for face in faces])).max() >= MIN_OVERLAP)


def _distinct(faces: list[Face]) -> list[Face]:
    return [faces[i] for i in non_max_suppression(np.stack([face.box for face in faces]))] if faces else []
