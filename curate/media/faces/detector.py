"""Faces in one picture, and the protocol of what detects them."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Face(NamedTuple):
    """One face, in pixels of the picture."""

    box: NDArray[np.float32]
    """x0, y0, x1, y1"""
    landmarks: NDArray[np.float32]
    """(5, 2): left eye, right eye, nose, left and right corner of the mouth, as seen by the viewer"""
    score: float
    """0-1"""

    @property
    def size_px(self) -> float:
        """The longer side of the box."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    def map_to(self, scale: NDArray[np.float32], shift: NDArray[np.float32]) -> "Face":
        """Return the face in another picture; a point moves to ``scale`` times itself plus ``shift``, both (x, y)."""
        return Face(self.box * np.tile(scale, 2) + np.tile(shift, 2), self.landmarks * scale + shift, self.score)

    def visible_share(self, width: int, height: int) -> float:
        """Return the share of the box that lies inside a picture of this size, 0-1."""
        top_left = np.clip(self.box[:2], 0, (width, height))
        bottom_right = np.clip(self.box[2:], 0, (width, height))
        area = float(np.prod(self.box[2:] - self.box[:2]))
        return min(1.0, float(np.prod(bottom_right - top_left)) / area) if area > 0 else 0.0


class FaceDetector(Protocol):
    """Finds faces in an upright RGB picture (height, width, 3) uint8, best score first."""

    @property
    def name(self) -> str:
        """The name that the ``faces`` table records."""

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """Return the faces of one picture."""

    def detect_small(self, pictures: NDArray[np.uint8]) -> list[list[Face]]:
        """Return the faces of each of ``pictures`` (n, side, side, 3), each of which shows one large face at most."""


def intersection_over_union(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (n, m) overlap, 0-1, of (n, 4) boxes with (m, 4) boxes."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    intersection = np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)
    areas = [np.prod(np.clip(box[:, 2:4] - box[:, :2], 0, None), axis=1) for box in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - intersection
    return np.asarray(intersection / np.maximum(union, 1e-6), np.float32)


def non_max_suppression(boxes: NDArray[np.float32], limit: float = 0.3) -> list[int]:
    """Return the indices of the boxes, sorted best first, that no better one overlaps by ``limit`` or more."""
    selected: list[int] = []
    overlap = intersection_over_union(boxes, boxes)
    for index in range(len(boxes)):
        if all(overlap[index, better] < limit for better in selected):
            selected.append(index)
    return selected
