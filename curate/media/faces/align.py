"""Align faces to the ArcFace template by a similarity transform, and measure the quality of the crop."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.pictures import resize
from curate.media.container.planes import warp
from curate.media.faces.detector import Face

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""The five landmarks in a crop of 112 px (Deng et al. 2019, ArcFace)."""
_NOSE_DEPTH, _NOSE_LEVEL = 0.5, 0.49
"""How far the nose protrudes, in distances between the eyes, and where it lies between the eyes and the mouth."""


class FaceQuality(NamedTuple):
    """Measures of a face that do not depend on its identity."""

    sharpness: float
    """Variance of the Laplacian of the luma of the crop at 112 px"""
    brightness: float
    """Mean luma of the crop, 0-255"""
    visible_share: float
    """Share of the box inside the picture, 0-1"""
    yaw_deg: float
    """Turned to its left (positive: the nose points to the right of the picture); estimated from five landmarks"""
    pitch_deg: float
    """Nodded (positive: down)"""
    roll_deg: float
    """Tilted (positive: clockwise)"""


class Pose(NamedTuple):
    """Rotation of a head in degrees, estimated from five landmarks: accurate to about ten degrees."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def similarity_transform(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (2, 3) rotation, uniform scale and shift that best map (n, 2) points onto others (Umeyama 1991)."""
    centres = source.mean(axis=0), target.mean(axis=0)
    a, b = source - centres[0], target - centres[1]
    u, singular, vt = np.linalg.svd(b.T @ a / len(a))
    flip = np.array([1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = u @ np.diag(flip) @ vt
    scale = float((singular * flip).sum() / max(a.var(axis=0).sum(), 1e-9))
    return np.hstack([scale * rotation, (centres[1] - scale * rotation @ centres[0])[:, None]])


def crop_transform(landmarks: NDArray[np.float32], size_px: int, *, reach: float) -> NDArray[np.float64] | None:
    """Return the (2, 3) map from a pixel of the aligned square to one of the picture; None if the points are no face.

    ``reach`` bounds the coordinates of the landmarks.
    """
    extent = float(np.ptp(landmarks, axis=0).max())
    if not 1 < extent < reach or not np.abs(landmarks).max() <= reach:
        return None
    forward = similarity_transform(landmarks.astype(np.float64), TEMPLATE * (size_px / 112))
    return np.asarray(np.linalg.inv(np.vstack([forward, [0, 0, 1]]))[:2])


def align(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32], *, size_px: int = 256) -> NDArray[np.uint8]:
    """Return the face upright in a square of ``size_px``, its five landmarks at the ArcFace template.

    Beyond the border of the picture its edge is repeated. If the landmarks are no face, the whole picture is resized.
    """
    inverse = crop_transform(landmarks, size_px, reach=4 * max(rgb.shape[:2]))
    return resize(rgb, size_px, size_px) if inverse is None else warp(rgb, inverse, size_px)


def estimate_pose(landmarks: NDArray[np.float32]) -> Pose:
    """Return the pose of a head whose nose protrudes by half the distance between the eyes."""
    eyes, nose, mouth = landmarks[:2].astype(float), landmarks[2].astype(float), landmarks[3:].mean(axis=0)
    middle, between_eyes = eyes.mean(axis=0), eyes[1] - eyes[0]
    eye_distance = max(float(np.linalg.norm(between_eyes)), 1e-6)
    right = between_eyes / eye_distance
    down = np.array([-right[1], right[0]])
    height = max(float((mouth - middle) @ down), 1e-6)
    yaw = np.arctan2(float((nose - middle) @ right), _NOSE_DEPTH * eye_distance)
    pitch = np.arctan2((float((nose - middle) @ down) / height - _NOSE_LEVEL) * 1.15, _NOSE_DEPTH)
    return Pose(*(float(np.degrees(angle)) for angle in (yaw, pitch, np.arctan2(right[1], right[0]))))


def measure_face(luma: NDArray[np.uint8], face: Face, *, width: int, height: int) -> FaceQuality:
    """Return the quality of a face in a picture of this size; ``luma`` is its aligned crop (size, size)."""
    visible_share = face.visible_share(width, height)
    brightness = float(luma.astype(np.float32).mean())
    return FaceQuality(sharpness(luma), brightness, visible_share, *estimate_pose(face.landmarks))


def sharpness(luma: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian of a picture (height, width)."""
    grey = luma.astype(np.float32)
    inner = grey[1:-1, 1:-1]
    return float((grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner).var())
