"""Aligned JPEG crops of faces, scored by how well they show the face."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.pictures import encode_jpeg
from curate.media.container.planes import Planes
from curate.media.faces.align import FaceQuality, Pose, align, crop_transform, estimate_pose, measure_face
from curate.media.faces.detector import Face

MIN_CONTRAST = 8.0
"""Standard deviation of the grey levels in the middle of a crop, 0-255; a flatter one shows no recognisable face."""
RATED_PX = 112
"""Sharpness, brightness and contrast are measured at this size, whatever the size of the crop."""
MIN_VISIBLE_SHARE = 0.6
"""A face of which less lies inside the picture is tracked but not cropped."""
_MAX_YAW_DEG = 60.0


class Crop(NamedTuple):
    """An aligned JPEG crop with its time and quality."""

    time_s: float
    jpeg: bytes
    quality: FaceQuality
    score: float
    """0-1: only for choosing among the crops of one face"""


def crop_picture(rgb: NDArray[np.uint8], face: Face, *, size_px: int = 256) -> Crop | None:
    """Return the aligned crop of one face of a still picture, or None if it is too dark or flat to show a face."""
    crop = align(rgb, face.landmarks, size_px=size_px)
    small = align(rgb, face.landmarks, size_px=RATED_PX)
    luma = np.asarray(small @ np.array([0.299, 0.587, 0.114]), np.uint8)
    height, width = rgb.shape[:2]
    if not _has_contrast(luma):
        return None
    quality = measure_face(luma, face, width=width, height=height)
    return Crop(0.0, encode_jpeg(crop), quality, _score(face, quality, size_px))


def crop_frame(
    planes: Planes, face: Face, *, time_s: float, size_px: int, encode: bool = True, min_score: float = -1.0
) -> Crop | None:
    """Return the aligned crop of one face of a frame.

    None if the face is mostly outside, the crop is too dark or flat to show a face, or its score is not above
    ``min_score``.
    """
    inverse = None if _is_outside(planes, face) else crop_transform(face.landmarks, RATED_PX, reach=_reach(planes))
    if inverse is None:
        return None
    luma = planes.warp_luma(inverse, RATED_PX)
    if not _has_contrast(luma):
        return None
    quality = measure_face(luma, face, width=planes.width, height=planes.height)
    score = _score(face, quality, size_px)
    if score <= min_score:
        return None
    square = aligned_planes(planes, face, size_px) if encode else None
    return Crop(time_s, encode_jpeg(square.rgb(size_px, size_px)) if square else b"", quality, score)


def aligned_planes(planes: Planes, face: Face, size_px: int) -> Planes | None:
    """Return the aligned square (side even) of a face; None if it is mostly outside the picture or no face."""
    inverse = None if _is_outside(planes, face) else crop_transform(face.landmarks, size_px, reach=_reach(planes))
    return None if inverse is None else planes.warp_square(inverse, size_px)


def max_score(face: Face, *, width: int, height: int, size_px: int) -> float:
    """Return an upper bound of the score of a crop of this face, without making it."""
    return _score_unless_blurred(face, face.visible_share(width, height), estimate_pose(face.landmarks), size_px)


def _is_outside(planes: Planes, face: Face) -> bool:
    return face.visible_share(planes.width, planes.height) < MIN_VISIBLE_SHARE


def _reach(planes: Planes) -> float:
    return 4.0 * max(planes.width, planes.height)


def _score(face: Face, quality: FaceQuality, size_px: int) -> float:
    sharp = quality.sharpness / (quality.sharpness + 50)
    pose = Pose(*quality[3:])
    return _score_unless_blurred(face, quality.visible_share, pose, size_px) * (0.5 + 0.5 * sharp)


def _score_unless_blurred(face: Face, visible_share: float, pose: Pose, size_px: int) -> float:
    frontal = max(0.1, 1 - abs(pose.yaw_deg) / _MAX_YAW_DEG)
    return face.score * visible_share * min(1.0, face.size_px / size_px) * frontal


def _has_contrast(luma: NDArray[np.uint8]) -> bool:
    edge = len(luma) // 4
    return float(luma[edge:-edge, edge:-edge].std()) >= MIN_CONTRAST
