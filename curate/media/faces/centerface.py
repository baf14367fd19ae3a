"""The default face detector: CenterFace, which needs no download and no OpenCV.

Xu et al. 2019, CenterFace: Joint Face Detection and Alignment Using Face as Point (MIT, trained on WIDER FACE).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.media.container.pictures import resize
from curate.media.faces.detector import Face, non_max_suppression
from curate.media.onnx import open_centerface

_STRIDE = 4
_MAX_CANDIDATES = 400


@dataclass(frozen=True)
class CenterFace:
    """Detects faces of about 16 px or more; the longer side of the picture is first reduced to ``max_side_px``."""

    threshold: float = 0.5
    max_side_px: int = 640
    name: str = "centerface"

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        height, width = rgb.shape[:2]
        scale = min(1.0, self.max_side_px / max(height, width))
        size = (_round_up(width * scale), _round_up(height * scale))
        picture = resize(rgb, *size) if size != (width, height) else rgb
        ratio = np.array([width / size[0], height / size[1]], np.float32)
        return self._run(picture[None], ratio)[0]

    def detect_small(self, pictures: NDArray[np.uint8]) -> list[list[Face]]:
        return self._run(pictures, np.ones(2, np.float32))

    def _run(self, pictures: NDArray[np.uint8], ratio: NDArray[np.float32]) -> list[list[Face]]:
        blob = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)
        outputs = open_centerface().run(None, {"input.1": blob})
        return [self._faces(heat, *parts, ratio=ratio) for heat, *parts in zip(*outputs, strict=True)]

    def _faces(
        self,
        heat: NDArray[np.float32],
        extent: NDArray[np.float32],
        offset: NDArray[np.float32],
        points: NDArray[np.float32],
        *,
        ratio: NDArray[np.float32],
    ) -> list[Face]:
        rows, columns = np.where(heat[0] > self.threshold)
        scores = heat[0, rows, columns]
        order = np.argsort(-scores, kind="stable")[:_MAX_CANDIDATES]
        rows, columns, scores = rows[order], columns[order], scores[order]
        sizes = np.exp(extent[:, rows, columns]) * _STRIDE
        top = (rows + offset[0, rows, columns] + 0.5) * _STRIDE - sizes[0] / 2
        left = (columns + offset[1, rows, columns] + 0.5) * _STRIDE - sizes[1] / 2
        boxes = np.stack([left, top, left + sizes[1], top + sizes[0]], axis=1) * np.tile(ratio, 2)
        marks = points[:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1]
        corner, side = np.stack([left, top], 1)[:, None], np.stack([sizes[1], sizes[0]], 1)[:, None]
        landmarks = (marks * side + corner) * ratio
        return [
            Face(boxes[i].astype(np.float32), landmarks[i].astype(np.float32), float(scores[i]))
            for i in non_max_suppression(boxes)
        ]


def _round_up(side: float) -> int:
    return max(32, int(np.ceil(side / 32)) * 32)
