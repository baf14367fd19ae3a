"""What a face detector gives, and how one is chosen."""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

LICENCE_NOTE = (
    "InsightFace provides its model packs for non-commercial research only; "
    "the licence of the pack {name} covers how the faces were found."
)
_PACK = "insightface:"


class Face(NamedTuple):
    """One face in one picture, in its pixels."""

    box: NDArray[np.float32]
    """x0, y0, x1, y1"""
    landmarks: NDArray[np.float32]
    """(5, 2): left eye, right eye, nose, left and right corner of the mouth, as seen in the picture"""
    score: float
    """0-1"""

    @property
    def size_px(self) -> float:
        """The longer side of the box."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    def moved(self, scale: NDArray[np.float32], shift: NDArray[np.float32]) -> "Face":
        """The face in a picture whose pixels lie at ``scale`` times these plus ``shift``, both (x, y)."""
        return Face(self.box * np.tile(scale, 2) + np.tile(shift, 2), self.landmarks * scale + shift, self.score)

    def visible_share(self, width: int, height: int) -> float:
        """Share of the box that a picture of this size holds, 0-1."""
        low = np.clip(self.box[:2], 0, (width, height))
        high = np.clip(self.box[2:], 0, (width, height))
        area = float(np.prod(self.box[2:] - self.box[:2]))
        return min(1.0, float(np.prod(high - low)) / area) if area > 0 else 0.0


class FaceDetector(Protocol):
    """Finds faces in an upright RGB picture (height, width, 3) uint8, best score first."""

    @property
    def name(self) -> str:
        """What the ``faces`` table records as the detector."""

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """The faces of one picture; an empty list where there is none."""

    def detect_small(self, pictures: NDArray[np.uint8]) -> list[list[Face]]:
        """The faces of each of ``pictures`` (n, side, side, 3), which hold one large face each if any."""


def open_detector(model_pack: Path | None = None) -> FaceDetector:
    """The embedded CenterFace, or the detector of an InsightFace model pack where its folder is given.

    Raises ``MissingDependency`` where the pack, or what it needs, is not there.
    """
    if model_pack is not None:
        from curate.media.faces.insightface import open_pack

        return open_pack(model_pack)
    from curate.media.faces.centerface import CenterFace

    return CenterFace()


def pack_name(folder: Path) -> str:
    """What the ``faces`` table records as the detector where it is that of a model pack."""
    return f"{_PACK}{folder.name}"


def licence_note(detector: str) -> str | None:
    """What has to be said, once to the user and on the data card, about the licence of a detector by its name."""
    return LICENCE_NOTE.format(name=detector.removeprefix(_PACK)) if detector.startswith(_PACK) else None


def pack_files(folder: Path) -> list[Path]:
    """The networks of a model pack, by name."""
    return sorted(folder.glob("*.onnx"))


def intersection_over_union(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) overlap, 0-1, of (n, 4) boxes with (m, 4) boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(box[:, 2:4] - box[:, :2], 0, None), axis=1) for box in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-6), np.float32)


def not_suppressed(boxes: NDArray[np.float32], limit: float = 0.3) -> list[int]:
    """Places of the boxes, given best first, that no better one overlaps by ``limit`` or more."""
    kept: list[int] = []
    overlap = intersection_over_union(boxes, boxes)
    for index in range(len(boxes)):
        if all(overlap[index, other] < limit for other in kept):
            kept.append(index)
    return kept
