"""Detect the cuts of a video from small grey thumbnails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIZE = (64, 36)
MIN_CHANGE = 10.0
MIN_RATIO = 3.0
_BLACK = 12.0
_RECENT = 8
_MIN_CORRELATION = 0.9
_MIN_SHARE = 1 / 3
_MIN_ONSET = 0.05
_REACH_PX = (9, 12)
_MOVED = ((0.42, 0.825), (0.62, 0.88), (0.7, 0.92))
"""It was motion, not a cut, if at most this share of the change is left when blocks may move, and at least this share
of the histogram is the same."""


class Shot(NamedTuple):
    """A stretch without a cut, in seconds from the start of the file."""

    start_s: float
    end_s: float


@dataclass
class ShotDetector:
    """Detects shots in the thumbnails of successive frames.

    A cut is a mean absolute change of more than 10 grey levels (of 255) that is also three times the mean change of the
    frames just before, unless only brightness, contrast or a part of the picture changed, or something moved. A fade
    through black ends the shot where the picture comes back.
    """

    shots: list[Shot] = field(default_factory=list)
    _start_s: float | None = None
    _end_s: float = 0.0
    _previous: NDArray[np.int16] | None = None
    _changes: list[float] = field(default_factory=list)
    _is_blank: bool = False

    def add_frame(self, time_s: float, thumbnail: NDArray[np.uint8]) -> bool:
        """Add a frame, (36, 64) luma, and return whether it begins another shot."""
        current = thumbnail.astype(np.int16)
        previous, self._previous = self._previous, current
        was_blank, self._is_blank = self._is_blank, _is_blank(current)
        if previous is None or self._start_s is None:
            self._start_s, self._end_s = time_s, time_s
            return False
        change = float(np.abs(current - previous).mean())
        usual_change = float(np.mean(self._changes)) if self._changes else MIN_CHANGE
        is_cut = change > max(MIN_CHANGE, MIN_RATIO * usual_change)
        is_cut = is_cut and not _is_same(previous, current) and not self._is_motion(previous, current, change)
        is_cut = is_cut or (was_blank and not self._is_blank)
        if is_cut:
            self._close(time_s)
            self._start_s = time_s
            self._changes = []
        self._changes = [*self._changes[1 - _RECENT :], change]
        self._end_s = time_s
        return is_cut

    def add_frames(self, times_s: Sequence[float], thumbnail: Callable[[int], NDArray[np.uint8]]) -> list[int]:
        """Add successive frames at once and return the indices of those that begin another shot.

        ``thumbnail`` makes the thumbnail of the frame at an index. If the last frame looks like the one before them
        all, those in between are not examined: a flash within so few frames is not a shot.
        """
        last = thumbnail(len(times_s) - 1).astype(np.int16)
        if self._previous is not None and not self._is_blank and not _is_blank(last):
            change = float(np.abs(last - self._previous).mean())
            if change <= MIN_CHANGE:
                self._previous, self._end_s = last, times_s[-1]
                changes = [change / len(times_s)] * len(times_s)
                self._changes = [*self._changes, *changes][-_RECENT:]
                return []
        return [index for index, time_s in enumerate(times_s) if self.add_frame(time_s, thumbnail(index))]

    def end_shot(self) -> None:
        """End the shot: the frames that follow were not decoded."""
        if self._start_s is not None:
            self._close(self._end_s)
        self._start_s, self._previous, self._changes, self._is_blank = None, None, [], False

    def _is_motion(self, previous: NDArray[np.int16], current: NDArray[np.int16], change: float) -> bool:
        """Return whether only a part of the picture changed, or a motion became violent: it began a frame before."""
        if float((_block_means(np.abs(current - previous), 4, 4) > MIN_CHANGE).mean()) < _MIN_SHARE:
            return True
        is_moving = bool(self._changes) and self._changes[-1] > _MIN_ONSET * change
        return is_moving and _has_moved(previous, current, change)

    def _close(self, end_s: float) -> None:
        if self._start_s is not None and end_s > self._start_s:
            self.shots.append(Shot(self._start_s, end_s))


def _is_blank(thumbnail: NDArray[Any]) -> bool:
    return float(thumbnail.std()) < _BLACK / 4 and float(thumbnail.mean()) < 2 * _BLACK


def _is_same(a: NDArray[np.int16], b: NDArray[np.int16]) -> bool:
    """Return whether the pictures differ only in brightness and contrast."""
    first, second = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return norm > 0 and float((first * second).sum()) > _MIN_CORRELATION * norm


def _has_moved(a: NDArray[np.int16], b: NDArray[np.int16], change: float) -> bool:
    """Return whether the second picture is largely made of parts of the first, each elsewhere."""
    histograms = [np.histogram(picture, 32, (0, 256))[0] for picture in (a, b)]
    same_share = float(np.minimum(*histograms).sum()) / a.size
    if same_share < min(share for _, share in _MOVED):
        return False
    height, width = a.shape
    down, right = _REACH_PX
    padded = np.pad(a, ((down, down), (right, right)), mode="edge")
    shifted = (padded[y : y + height, x : x + width] for y in range(2 * down + 1) for x in range(2 * right + 1))
    residual = np.minimum.reduce([_block_means(np.abs(b - picture), 12, 16) for picture in shifted]).mean() / change
    return any(residual <= max_residual and same_share >= min_share for max_residual, min_share in _MOVED)


def _block_means(picture: NDArray[np.int16], height: int, width: int) -> NDArray[np.float64]:
    rows, columns = picture.shape
    return np.asarray(picture.reshape(rows // height, height, columns // width, width).mean(axis=(1, 3)))
