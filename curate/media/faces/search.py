"""Decide where to search a frame for faces: all of it about once a second, otherwise only around known faces."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curate.media.container.planes import Planes, Region
from curate.media.faces.detector import Face, FaceDetector, non_max_suppression
from curate.media.faces.tracks import MAX_GAP_S, MIN_OVERLAP, Track, Tracker, widened_overlap

WHOLE_EVERY_S = 1.0
STILL_EVERY_S = 4.0
"""How often the whole frame is searched if only the known faces have changed since the last search."""
WHOLE_SIDE_PX = 640
AGAIN_SIDE_PX = 480
"""The first search of a shot is the finest: most small faces are present from its start."""
CLOSE_SIDE_PX = 256
"""Where no face is found, one that is nearly as large as the picture is searched for."""
_STILL = 3.0
_NEAR_SIDE_PX = 96
_REACH = 1.8
_MIN_REGION_PX = 48
_CENTRAL = 0.3
_EDGE_PX = 2


@dataclass
class FaceSearch:
    """Detects and tracks faces in successive frames of one video.

    The whole frame is searched about once a second, after a cut, and when a face was lost. A face that appears in such
    a search is then searched for in the frames since the previous one, so that its track starts early.
    """

    detector: FaceDetector
    min_face_px: float
    tracker: Tracker = field(default_factory=Tracker)
    _whole_s: float = -1e9
    _recent: list[tuple[float, Planes]] = field(default_factory=list)
    _last_s: float = -1e9
    _thumbnail: NDArray[np.int16] | None = None

    def reset(self) -> None:
        """End all tracks: another shot follows."""
        self.tracker.reset()
        self._recent.clear()
        self._whole_s = self._last_s = -1e9
        self._thumbnail = None

    def update(self, time_s: float, planes: Planes) -> list[tuple[Track, Face]]:
        """Return the faces of the next frame, each with its track."""
        expected = {id(track): track.predict(time_s) for track in self.tracker.active}
        faces = self._search_around(planes, list(expected.values()))
        is_lost = any(
            track.times_s[-1] >= self._last_s and not _overlaps(expected[id(track)], faces)
            for track in self.tracker.active
        )
        elapsed_s = time_s - self._whole_s + 1e-3
        region: Region | None = Region(0, 0, planes.width, planes.height)
        if not is_lost and elapsed_s < STILL_EVERY_S:
            region = self._changed_region(planes, faces) if elapsed_s >= WHOLE_EVERY_S else None
        if region is not None:
            side_px = WHOLE_SIDE_PX if self._thumbnail is None else AGAIN_SIDE_PX
            new_faces = self._search_region(planes, region, side_px) or self._search_region(
                planes, region, CLOSE_SIDE_PX
            )
            faces = _distinct([*faces, *new_faces])
            self._thumbnail = planes.thumbnail().astype(np.int16)
        faces = [face for face in faces if face.size_px >= self.min_face_px]
        tracks = self.tracker.update(time_s, faces)
        if region is not None:
            for track in tracks:
                if len(track.times_s) == 1:
                    self._extend_back(track, tracks)
            self._recent.clear()
            self._whole_s = time_s
        else:
            self._recent.append((time_s, planes))
        self._last_s = time_s
        return list(zip(tracks, faces, strict=True))

    def _changed_region(self, planes: Planes, faces: list[Face]) -> Region | None:
        """Return the region that differs from the last search outside the known faces; None if nothing does."""
        if self._thumbnail is None:
            return Region(0, 0, planes.width, planes.height)
        change = np.abs(planes.thumbnail().astype(np.int16) - self._thumbnail).astype(np.float32)
        scale = np.array([change.shape[1] / planes.width, change.shape[0] / planes.height] * 2)
        for face in faces:
            x0, y0, x1, y1 = (_widened(face.box) * scale).round().astype(int).clip(0)
            change[y0:y1, x0:x1] = 0
        rows, columns = np.nonzero(
            change.reshape(change.shape[0] // 4, 4, change.shape[1] // 4, 4).mean(axis=(1, 3)) > _STILL
        )
        if not len(rows):
            return None
        side = 4 / scale
        start = np.maximum(0, (np.array([columns.min(), rows.min()]) - 1) * side[:2])
        end = np.minimum((planes.width, planes.height), (np.array([columns.max(), rows.max()]) + 2) * side[:2])
        return Region(int(start[0]) // 2 * 2, int(start[1]) // 2 * 2, int(end[0]), int(end[1]))

    def _search_region(self, planes: Planes, region: Region, side_px: int) -> list[Face]:
        """Return the faces of a region, scaled as if the longer side of the whole frame were ``side_px``."""
        extent = np.array([region.x1 - region.x0, region.y1 - region.y0])
        reduced = extent * min(1.0, side_px / max(planes.width, planes.height))
        # The network takes multiples of 32.
        width, height = np.maximum(1, (reduced / 32).round()).astype(int) * 32
        scale = (extent / (width, height)).astype(np.float32)
        corner = np.array([region.x0, region.y0], np.float32)
        faces = [
            face.map_to(scale, corner) for face in self.detector.detect(planes.rgb(int(width), int(height), region))
        ]
        # Faces at an inner edge of the region are cut off.
        start, end = corner + _EDGE_PX * scale, corner + extent - _EDGE_PX * scale
        start[corner <= 0] = -np.inf
        end[corner + extent >= (planes.width, planes.height)] = np.inf
        return [face for face in faces if (face.box[:2] > start).all() and (face.box[2:] < end).all()]

    def _search_around(self, planes: Planes, boxes: list[NDArray[np.float32]]) -> list[Face]:
        """Return the faces near these boxes, best first."""
        if not boxes:
            return []
        regions = [_region_around(box) for box in boxes]
        pictures = np.stack([planes.rgb(_NEAR_SIDE_PX, _NEAR_SIDE_PX, region) for region in regions])
        nearby = []
        for region, faces in zip(regions, self.detector.detect_small(pictures), strict=True):
            scale = np.full(2, (region.x1 - region.x0) / _NEAR_SIDE_PX, np.float32)
            for face in faces:
                # A face at the edge of the region is cut off there, and has a region of its own if it is known.
                offset = (face.box[:2] + face.box[2:]) / 2 / _NEAR_SIDE_PX - 0.5
                if np.abs(offset).max() <= _CENTRAL:
                    nearby.append(face.map_to(scale, np.array([region.x0, region.y0], np.float32)))
        return _distinct(sorted(nearby, key=lambda face: -face.score))

    def _extend_back(self, track: Track, tracks: list[Track]) -> None:
        """Search the recent frames, latest first, for the face of a new track."""
        for time_s, planes in reversed(self._recent):
            if track.times_s[0] - time_s > MAX_GAP_S:
                return
            box = track.predict_before(time_s)
            faces_of_others = [rival.face_at(time_s) for rival in tracks if rival is not track]
            if _overlaps(box, [face for face in faces_of_others if face is not None]):
                return
            faces = [face for face in self._search_around(planes, [box]) if _overlaps(box, [face])]
            if not faces or faces[0].size_px < self.min_face_px:
                return
            track.times_s.insert(0, time_s)
            track.faces.insert(0, faces[0])


def _region_around(box: NDArray[np.float32]) -> Region:
    """Return a region on a coarse grid, so that a face at rest gets the same one again and does not seem to tremble."""
    middle = (box[:2] + box[2:]) / 2
    min_side = max(_REACH * max(float(box[2] - box[0]), float(box[3] - box[1])), _MIN_REGION_PX)
    side = round(2 ** (round(4 * np.log2(min_side)) / 4) / 16) * 16
    x0, y0 = (round((float(centre) - side / 2) / (side // 8)) * (side // 8) for centre in middle)
    return Region(x0, y0, x0 + side, y0 + side)


def _widened(box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the box enlarged by a quarter on every side, where hair and shoulders move with a face."""
    margin = (box[2:] - box[:2]) / 4
    return np.concatenate([box[:2] - margin, box[2:] + margin])


def _overlaps(box: NDArray[np.float32], faces: list[Face]) -> bool:
    if not faces:
        return False
    return bool(widened_overlap(box[None], np.stack([face.box for face in faces])).max() >= MIN_OVERLAP)


def _distinct(faces: list[Face]) -> list[Face]:
    return [faces[i] for i in non_max_suppression(np.stack([face.box for face in faces]))] if faces else []
