"""Aligned face crops: a similarity transform to the ArcFace template, and how good the crop is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.pictures import resize
from curate.media.container.planes import warp
from curate.media.faces.detector import Face

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""The five points in a 112 px crop (Deng et al. 2019, ArcFace)."""
_NOSE, _NOSE_LEVEL = 0.5, 0.49
"""How far the nose stands out (in distances of the eyes) and where it lies between eyes and mouth."""


class FaceQuality(NamedTuple):
    """What can be measured of a face without knowing whose it is."""

    sharpness: float
    """Variance of the Laplacian of the luma of the crop at 112 px"""
    brightness: float
    """Mean luma of the crop, 0-255"""
    visible_share: float
    """Share of the box inside the picture, 0-1"""
    yaw_deg: float
    """Turned to its left (positive: its nose points to the right of the picture); estimated from five points"""
    pitch_deg: float
    """Nodded (positive: down)"""
    roll_deg: float
    """Tilted (positive: clockwise)"""


class Pose(NamedTuple):
    """Where a head is turned, in degrees, estimated from five points: good to about ten degrees."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def similarity_transform(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2, 3) rotation, uniform scale and shift that best carries (n, 2) points onto others (Umeyama 1991)."""
    middles = source.mean(axis=0), target.mean(axis=0)
    a, b = source - middles[0], target - middles[1]
    u, singular, vt = np.linalg.svd(b.T @ a / len(a))
    flip = np.array([1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = u @ np.diag(flip) @ vt
    scale = float((singular * flip).sum() / max(a.var(axis=0).sum(), 1e-9))
    return np.hstack([scale * rotation, (middles[1] - scale * rotation @ middles[0])[:, None]])


def crop_transform(landmarks: NDArray[np.float32], size_px: int, *, reach: float) -> NDArray[np.float64] | None:
    """The (2, 3) way from a pixel of the aligned square to one of the picture; None for points that are no face.

    ``reach`` bounds where a point can lie.
    """
    spread = float(np.ptp(landmarks, axis=0).max())
    if not 1 < spread < reach or not np.abs(landmarks).max() <= reach:
        return None
    forward = similarity_transform(landmarks.astype(np.float64), TEMPLATE * (size_px / 112))
    return np.asarray(np.linalg.inv(np.vstack([forward, [0, 0, 1]]))[:2])


def align(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32], *, size_px: int = 256) -> NDArray[np.uint8]:
    """The face upright in a square of ``size_px``, its five points at the ArcFace template.

    Beyond the border of the picture its edge is repeated. Landmarks that are no face give the whole picture.
    """
    inverse = crop_transform(landmarks, size_px, reach=4 * max(rgb.shape[:2]))
    return resize(rgb, size_px, size_px) if inverse is None else warp(rgb, inverse, size_px)


def estimate_pose(landmarks: NDArray[np.float32]) -> Pose:
    """The pose of a head whose nose stands out half the distance of the eyes."""
    eyes, nose, mouth = landmarks[:2].astype(float), landmarks[2].astype(float), landmarks[3:].mean(axis=0)
    middle, across = eyes.mean(axis=0), eyes[1] - eyes[0]
    apart = max(float(np.linalg.norm(across)), 1e-6)
    along = across / apart
    down = np.array([-along[1], along[0]])
    height = max(float((mouth - middle) @ down), 1e-6)
    yaw = np.arctan2(float((nose - middle) @ along), _NOSE * apart)
    pitch = np.arctan2((float((nose - middle) @ down) / height - _NOSE_LEVEL) * 1.15, _NOSE)
    return Pose(*(float(np.degrees(angle)) for angle in (yaw, pitch, np.arctan2(along[1], along[0]))))


def measure_face(luma: NDArray[np.uint8], face: Face, *, width: int, height: int) -> FaceQuality:
    """The quality of a face of a picture of this size, ``luma`` being its aligned crop (size, size)."""
    share = face.visible_share(width, height)
    return FaceQuality(sharpness(luma), float(luma.astype(np.float32).mean()), share, *estimate_pose(face.landmarks))


def sharpness(luma: NDArray[np.uint8]) -> float:
    """The variance of the Laplacian of a picture (height, width)."""
    grey = luma.astype(np.float32)
    inner = grey[1:-1, 1:-1]
    return float((grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner).var())
