"""Measure how a mouth moves: how much it changes from frame to frame, and how dark it is."""

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.media.container.planes import Planes, image_of
from curate.media.faces.detector import Face

_SIZE = (24, 16)
_DARK_INDEX = _SIZE[0] * _SIZE[1] // 10
_MIN_REDUCTION = 3
"""How often a pixel of the samples is averaged from others, across and down, where the picture has as many."""
_MIN_CONTRAST = 8.0


@dataclass
class MouthMotion:
    """Samples of one face: seconds, change of the lips, chin and cheeks, and how dark the darkest tenth of the lips is.

    Change and darkness are relative to the contrast there, so that light and camera do not matter.
    """

    times_s: "array[float]" = field(default_factory=lambda: array("d"))
    motion: "array[float]" = field(default_factory=lambda: array("f"))
    darkness: "array[float]" = field(default_factory=lambda: array("f"))
    _jaw: NDArray[np.float32] | None = None
    last_s: float = -1e9

    def add_frame(self, time_s: float, planes: Planes, face: Face, *, max_gap_s: float = 0.25) -> None:
        """Add a frame; the first after a gap adds no sample, since a change needs two frames."""
        eyes, lips = face.landmarks[:2], face.landmarks[3:].mean(axis=0)
        eye_distance = max(float(np.hypot(*(eyes[1] - eyes[0]))), 4.0)
        jaw, mouth = np.empty((2, *_SIZE[::-1]), np.float32)
        _fill(jaw, planes, lips[0], lips[1] + 0.3 * eye_distance, 1.5 * eye_distance, 1.2 * eye_distance)
        _fill(mouth, planes, lips[0], lips[1] + 0.1 * eye_distance, 1.1 * eye_distance, 0.8 * eye_distance)
        previous, gap_s = self._jaw, time_s - self.last_s
        self._jaw, self.last_s = jaw, time_s
        if previous is None or gap_s > max_gap_s:
            return
        contrast = max(float(jaw.std() + mouth.std()) / 2, _MIN_CONTRAST)
        change = jaw - previous
        self.times_s.append(time_s)
        self.motion.append(float(np.abs(change - change.mean()).mean()) / contrast)
        self.darkness.append(-float(np.partition(mouth, _DARK_INDEX, axis=None)[_DARK_INDEX]) / contrast)


def _fill(patch: NDArray[np.float32], planes: Planes, x: float, y: float, width: float, height: float) -> None:
    """Fill a patch with the luma of the rectangle around (x, y), clipped to the picture."""
    x0, y0 = max(0.0, float(x) - width / 2), max(0.0, float(y) - height / 2)
    x1, y1 = min(float(planes.width), float(x) + width / 2), min(float(planes.height), float(y) + height / 2)
    if x1 - x0 < 2 or y1 - y0 < 2:
        patch[:] = 0
        return
    if planes.size is not None:
        across, down = planes.density
        x0, x1, y0, y1 = x0 * across, x1 * across, y0 * down, y1 * down
    left, top = int(x0), int(y0)
    step = max(1, int(min((x1 - x0) / _SIZE[0], (y1 - y0) / _SIZE[1]) / _MIN_REDUCTION))
    image = image_of(planes.y[top + step // 2 : int(y1) + 1 : step, left + step // 2 : int(x1) + 1 : step])
    start, end = ((x0 - left) / step, (y0 - top) / step), ((x1 - left) / step, (y1 - top) / step)
    box = (*start, min(end[0], image.width), min(end[1], image.height))
    patch[:] = np.asarray(image.resize(_SIZE, Image.Resampling.BILINEAR, box=box))
