"""Find the cuts of a video on small grey thumbnails of frames that are decoded anyway."""

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
_SAME = 0.9


class Shot(NamedTuple):
    """A stretch without a cut, in seconds from the start of the file."""

    start_s: float
    end_s: float


@dataclass
class ShotDetector:
    """Takes the thumbnails of successive frames and tells where a new shot begins.

    A cut is a mean absolute change above 10 grey levels (of 255) that is also three times the mean change of the frames
    just before, unless it is the same picture lighter or darker. A fade through black ends the shot where the picture
    comes back.
    """

    shots: list[Shot] = field(default_factory=list)
    _start_s: float | None = None
    _end_s: float = 0.0
    _last: NDArray[np.int16] | None = None
    _changes: list[float] = field(default_factory=list)
    _is_blank: bool = False

    def add_frame(self, time_s: float, thumb: NDArray[np.uint8]) -> bool:
        """Whether this frame, (36, 64) luma, begins another shot than the one before it."""
        now = thumb.astype(np.int16)
        last, self._last = self._last, now
        was_blank, self._is_blank = self._is_blank, _is_blank(now)
        if last is None or self._start_s is None:
            self._start_s, self._end_s = time_s, time_s
            return False
        change = float(np.abs(now - last).mean())
        usual = float(np.mean(self._changes)) if self._changes else MIN_CHANGE
        is_cut = change > max(MIN_CHANGE, MIN_RATIO * usual) and not _is_same(last, now)
        is_cut = is_cut or (was_blank and not self._is_blank)
        if is_cut:
            self._close(time_s)
            self._start_s = time_s
            self._changes = []
        self._changes = [*self._changes[1 - _RECENT :], change]
        self._end_s = time_s
        return is_cut

    def add_frames(self, times_s: Sequence[float], thumb: Callable[[int], NDArray[np.uint8]]) -> list[int]:
        """Take some successive frames at once and give the places of those that begin another shot.

        ``thumb`` makes the thumbnail of the frame at a place. Where the last one looks like the one before them all,
        those in between are not asked for: what flickers up in there and is gone again is no shot.
        """
        now = thumb(len(times_s) - 1).astype(np.int16)
        if self._last is not None and not self._is_blank and not _is_blank(now):
            change = float(np.abs(now - self._last).mean())
            if change <= MIN_CHANGE:
                self._last, self._end_s = now, times_s[-1]
                each = [change / len(times_s)] * len(times_s)
                self._changes = [*self._changes, *each][-_RECENT:]
                return []
        return [place for place, time_s in enumerate(times_s) if self.add_frame(time_s, thumb(place))]

    def end_shot(self) -> None:
        """End the shot: what follows was not decoded from here on."""
        if self._start_s is not None:
            self._close(self._end_s)
        self._start_s, self._last, self._changes, self._is_blank = None, None, [], False

    def _close(self, end_s: float) -> None:
        if self._start_s is not None and end_s > self._start_s:
            self.shots.append(Shot(self._start_s, end_s))


def _is_blank(thumb: NDArray[Any]) -> bool:
    return float(thumb.std()) < _BLACK / 4 and float(thumb.mean()) < 2 * _BLACK


def _is_same(a: NDArray[np.int16], b: NDArray[np.int16]) -> bool:
    """Whether one is the other but for brightness and contrast."""
    first, second = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return spread > 0 and float((first * second).sum()) > _SAME * spread
