"""Measure how a mouth moves: how much its region changes from frame to frame, and the rest of the face."""

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.media.container.planes import Planes, image_of
from curate.media.faces.detector import Face

_SIZE = (24, 16)
_MIN_CONTRAST = 8.0


@dataclass
class MouthMotion:
    """Samples of one face: seconds, change of the mouth, change of the bridge of the nose, darkness between the lips.

    Changes and darkness are relative to the contrast of the face, so that light and camera do not matter.
    """

    times_s: "array[float]" = field(default_factory=lambda: array("d"))
    mouth: "array[float]" = field(default_factory=lambda: array("f"))
    rest: "array[float]" = field(default_factory=lambda: array("f"))
    gap: "array[float]" = field(default_factory=lambda: array("f"))
    _patches: NDArray[np.float32] | None = None
    last_s: float = -1e9

    def add_frame(self, time_s: float, planes: Planes, face: Face, *, max_gap_s: float = 0.25) -> None:
        """Add a frame; the first after a gap adds no sample, since a change needs two frames."""
        eyes, lips = face.landmarks[:2], face.landmarks[3:].mean(axis=0)
        eye_distance = max(float(np.hypot(*(eyes[1] - eyes[0]))), 4.0)
        bridge = (eyes[0] + eyes[1]) / 4 + face.landmarks[2] / 2
        patches = np.empty((2, *_SIZE[::-1]), np.float32)
        lips_y = lips[1] + 0.1 * eye_distance
        _fill(patches[0], planes, lips[0], lips_y, 1.1 * eye_distance, 0.8 * eye_distance)
        _fill(patches[1], planes, bridge[0], bridge[1], 1.1 * eye_distance, 0.6 * eye_distance)
        previous, gap_s = self._patches, time_s - self.last_s
        self._patches, self.last_s = patches, time_s
        if previous is None or gap_s > max_gap_s:
            return
        flat = patches.reshape(2, -1)
        contrast = max(float(flat.std(axis=1).mean()), _MIN_CONTRAST)
        change = flat - previous.reshape(2, -1)
        change -= change.mean(axis=1, keepdims=True)
        mouth, rest = np.abs(change).mean(axis=1) / contrast
        self.times_s.append(time_s)
        self.mouth.append(mouth)
        self.rest.append(rest)
        self.gap.append((flat[0].mean() - patches[0, 5:11, 7:17].mean()) / contrast)


def _fill(patch: NDArray[np.float32], planes: Planes, x: float, y: float, width: float, height: float) -> None:
    """Fill a patch with the luma of the rectangle around (x, y), clipped to the picture."""
    x0, y0 = max(0.0, float(x) - width / 2), max(0.0, float(y) - height / 2)
    x1, y1 = min(float(planes.width), float(x) + width / 2), min(float(planes.height), float(y) + height / 2)
    left, top = int(x0), int(y0)
    if x1 - x0 < 2 or y1 - y0 < 2:
        patch[:] = 0
        return
    image = image_of(planes.y[top : int(y1) + 1, left : int(x1) + 1])
    box = (x0 - left, y0 - top, min(x1 - left, image.width), min(y1 - top, image.height))
    patch[:] = np.asarray(image.resize(_SIZE, Image.Resampling.BILINEAR, box=box))
