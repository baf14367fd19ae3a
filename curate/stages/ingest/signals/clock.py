"""The times of a signal's rows on the clock of its medium."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.stages.ingest.signals.cells import Cells, Numbers
from curate.stages.ingest.signals.settings import Signal

_RATE_TOLERANCE = 0.02
_MIN_TOLERANCE_S, _TOLERANCE_SHARE = 0.25, 0.02
_TIMEDELTA = r"^(?:(\d+) days? )?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$"


class Times(NamedTuple):
    """The time of each row in seconds of the medium, and how many rows a second there are if that is known."""

    times_s: Numbers
    rate_hz: float | None
    is_counted: bool = False
    """Whether they follow from the number of the row alone"""


class Clock(NamedTuple):
    """What the settings say of a signal's clock, and the frame rate of its medium."""

    signal: Signal
    frame_rate_hz: float | None

    def counted(self, count: int) -> Times:
        """Return the times of rows without any. Raises ``InvalidRow`` unless the settings say how many a second."""
        if self.signal.rate_hz is None:
            raise InvalidRow("it has no times: set `rate_hz`, or name a column of seconds by `time`")
        times = self.on_media(np.arange(count) / self.signal.rate_hz, self.signal.rate_hz)
        return times._replace(is_counted=True)

    def framed(self, frames: Numbers, first: int) -> Times:
        """Return the times of frames by their numbers. Raises ``InvalidRow`` if the frame rate is not known."""
        rate_hz = self.signal.rate_hz or self.frame_rate_hz
        if rate_hz is None:
            raise InvalidRow("it counts frames, and its medium has no frame rate: set `rate_hz`")
        first = first if self.signal.first_frame is None else self.signal.first_frame
        return self.on_media((frames - first) / rate_hz, rate_hz)

    def stamped(self, times: Numbers) -> Times:
        """Return times of the signal's own clock. Raises ``InvalidRow`` if the settings give them another rate."""
        step = _typical_step(times)
        # Five digits are what time stamps in milliseconds tell.
        rate_hz = None if step is None else float(f"{1 / step:.5g}")
        wanted = self.signal.rate_hz
        # What the settings say is in real seconds, whatever the units of the clock.
        if wanted is not None and step is not None:
            seconds = step * self.signal.time_scale
            if abs(seconds * wanted - 1) > _RATE_TOLERANCE:
                raise InvalidRow(
                    f"its times are {seconds:.4g} s apart ({1 / seconds:.4g} Hz), and `rate_hz` says {wanted:g}: "
                    "correct or leave out `rate_hz`"
                )
        on_media = self.on_media(times, rate_hz)
        return on_media if rate_hz is not None else on_media._replace(rate_hz=wanted)

    def on_media(self, times: Numbers, rate_hz: float | None) -> Times:
        """Return times of the signal's clock as those of its medium."""
        scale = self.signal.time_scale
        return Times(times * scale + self.signal.offset_s, None if rate_hz is None else rate_hz / scale)


def read_times(cells: Cells, clock: Clock, time: str | None, frame: str | None, *, first_frame: int) -> Times | None:
    """Return the times of all rows; None for a single row without any. Raises ``InvalidRow``."""
    if time is not None:
        return clock.stamped(_seconds(cells, time))
    if frame is not None:
        return clock.framed(_without_gaps(cells, frame, cells.numbers(frame)), first_frame)
    if clock.signal.rate_hz is None and cells.frame.height == 1:
        return None
    gaps = np.flatnonzero(np.diff(cells.lines) != 1)
    if len(gaps):
        blank = cells.lines[gaps[0]] + 1
        raise InvalidRow(
            f"line {blank} is blank, and times follow from the order of the rows: write NaN if it is missing"
        )
    return clock.counted(cells.frame.height)


def check_order(times_s: Numbers, lines: NDArray[np.int64], track: str | None, name: str) -> None:
    """Raise ``InvalidRow`` unless each time is later than the one before it."""
    steps = np.diff(times_s)
    if (steps > 0).all():
        return
    index = int(np.flatnonzero(~(steps > 0))[0]) + 1
    place = f"line {lines[index]}: time {times_s[index]:g} s"
    before = f"{times_s[index - 1]:g} s in line {lines[index - 1]}"
    if times_s[index] == times_s[index - 1]:
        if track is None:
            raise InvalidRow(f"{place} is there twice: name the column that tells faces apart by `track`")
        raise InvalidRow(f"{place} is there twice for {track} {name!r}")
    raise InvalidRow(f"{place} comes after {before}: times must ascend")


def check_length(times: Times, signal: Signal, duration_s: float | None) -> None:
    """Raise ``InvalidRow`` if a signal does not fit the length of its medium.

    One that has no times of its own must be as long; others may lack parts, and must not go beyond it.
    """
    if duration_s is None:
        return
    start_s, end_s = (
        float(times.times_s.min()),
        float(times.times_s.max()) + (1 / times.rate_hz if times.rate_hz else 0),
    )
    tolerance_s = signal.tolerance_s
    if tolerance_s is None:
        tolerance_s = max(_MIN_TOLERANCE_S, _TOLERANCE_SHARE * duration_s)
    if end_s > duration_s + tolerance_s:
        problem = "beyond the end of"
    elif start_s < -tolerance_s and not times.is_counted and signal.offset_s == 0:
        problem = "before the start of"
    elif times.is_counted and end_s < duration_s - tolerance_s:
        problem = "short of"
    else:
        return
    raise InvalidRow(
        f"it goes from {start_s:.2f} to {end_s:.2f} s, {problem} its medium of {duration_s:.2f} s: correct `rate_hz`, "
        "`offset_s` or `time_scale`, or allow it by `tolerance_s`"
    )


def _seconds(cells: Cells, column: str) -> Numbers:
    """Return a column of times, also of those such as ``0 days 00:00:01.5``."""
    texts = cells.frame[column].str.strip_chars()
    if texts[0] is not None and ":" in texts[0]:
        import polars as pl

        groups = texts.str.extract_groups(_TIMEDELTA).struct.unnest()
        days, hours, minutes, seconds = (groups[name].cast(pl.Float64) for name in groups.columns)
        total = days.fill_null(0.0) * 86_400 + hours.fill_null(0.0) * 3_600 + minutes * 60 + seconds
        wrong = total.is_null().arg_true()
        if len(wrong):
            line, text = cells.lines[wrong[0]], texts[wrong[0]]
            raise InvalidRow(f"line {line}: column {column!r} holds {text!r}, which is no time")
        return total.to_numpy().astype(np.float64)
    return _without_gaps(cells, column, cells.numbers(column))


def _without_gaps(cells: Cells, column: str, times: Numbers) -> Numbers:
    wrong = np.flatnonzero(~np.isfinite(times))
    if len(wrong):
        line, text = cells.lines[wrong[0]], cells.texts(column)[wrong[0]]
        raise InvalidRow(f"line {line}: column {column!r} holds {text!r}, which is no time")
    return times


def _typical_step(times: Numbers) -> float | None:
    """Return the mean distance of neighbouring times, gaps aside; None if there is none."""
    steps = np.diff(np.unique(times))
    if not len(steps):
        return None
    near = steps[np.abs(steps - np.median(steps)) <= np.median(steps) / 2]
    return float(near.mean())
