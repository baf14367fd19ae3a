"""Aligned face crops: a similarity transform to the ArcFace template, and how good the crop is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.media.faces import Face
from curate.media.pictures import resize

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""The five points in a 112 px crop (Deng et al. 2019, ArcFace)."""


class Quality(NamedTuple):
    """What can be measured of a crop without knowing whose face it is."""

    sharpness: float
    """Variance of the Laplacian of the luma"""
    brightness: float
    """Mean luma, 0-255"""
    visible_share: float
    """Share of the box inside the picture, 0-1"""


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2, 3) rotation, uniform scale and shift that best carries (n, 2) points onto others (Umeyama 1991)."""
    middles = source.mean(axis=0), target.mean(axis=0)
    a, b = source - middles[0], target - middles[1]
    u, singular, vt = np.linalg.svd(b.T @ a / len(a))
    flip = np.array([1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = u @ np.diag(flip) @ vt
    scale = float((singular * flip).sum() / max(a.var(axis=0).sum(), 1e-9))
    return np.hstack([scale * rotation, (middles[1] - scale * rotation @ middles[0])[:, None]])


def align(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32], *, size_px: int = 256) -> NDArray[np.uint8]:
    """The face upright in a square of ``size_px``, its five points at the ArcFace template.

    Beyond the border of the picture its edge is repeated. Landmarks that are no face give the whole picture.
    """
    reach = 4 * max(rgb.shape[:2])
    spread = float(np.ptp(landmarks, axis=0).max())
    if not 1 < spread < reach or np.abs(landmarks).max() > reach:
        return resize(rgb, size_px, size_px)
    forward = similarity(landmarks.astype(np.float64), TEMPLATE * (size_px / 112))
    inverse = np.linalg.inv(np.vstack([forward, [0, 0, 1]]))
    corners = np.array([[0, 0, 1], [size_px, 0, 1], [0, size_px, 1], [size_px, size_px, 1]]) @ inverse.T
    low = np.maximum(np.floor(corners[:, :2].min(axis=0)).astype(int) - 2, -2 * reach)
    high = np.minimum(np.ceil(corners[:, :2].max(axis=0)).astype(int) + 2, 2 * reach)
    columns = np.clip(np.arange(low[0], high[0]), 0, rgb.shape[1] - 1)
    rows = np.clip(np.arange(low[1], high[1]), 0, rgb.shape[0] - 1)
    region = Image.fromarray(rgb[rows[:, None], columns])
    # Shrinking by more than two without averaging first would alias.
    factor = max(1, int(np.sqrt(abs(np.linalg.det(inverse[:2, :2])))))
    region = region.reduce(factor)
    to_region = np.array([[1 / factor, 0, -low[0] / factor], [0, 1 / factor, -low[1] / factor]]) @ inverse
    crop = region.transform(
        (size_px, size_px), Image.Transform.AFFINE, tuple(to_region.reshape(-1)), Image.Resampling.BILINEAR
    )
    return np.asarray(crop)


def measure(rgb: NDArray[np.uint8], face: Face, crop: NDArray[np.uint8]) -> Quality:
    """Sharpness and brightness of the crop, and how much of the face the picture holds."""
    luma = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    height, width = rgb.shape[:2]
    low, high = np.clip(face.box[:2], 0, (width, height)), np.clip(face.box[2:], 0, (width, height))
    area = float(np.prod(face.box[2:] - face.box[:2]))
    share = float(np.prod(high - low)) / area if area > 0 else 0.0
    return Quality(float(laplacian.var()), float(luma.mean()), min(1.0, share))
