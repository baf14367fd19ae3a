"""Numbers as people can enter them in a form: bounded, finite, and on a grid of steps."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

_STEPS = 200
_DIGITS = 12
_TOLERANCE = 1e-6
_MAX_SPACED = 11
_PARTS = (8, 10, 6, 4, 5, 7, 9, 2, 3)


def check_range(minimum: float, maximum: float, step: float | None = None) -> None:
    """Raise ``ValueError`` unless the bounds are finite, in order, and a whole number of steps apart."""
    if not (math.isfinite(minimum) and math.isfinite(maximum) and minimum < maximum):
        raise ValueError(f"minimum {minimum:g} must be below maximum {maximum:g}")
    length = maximum - minimum
    if not math.isfinite(length) or max(abs(minimum), abs(maximum)) > length * 1e4:
        raise ValueError(f"minimum {minimum:g} and maximum {maximum:g} are too far apart, or too close to each other")
    if step is None:
        return
    if not (math.isfinite(step) and 0 < step <= length):
        raise ValueError(f"step {step:g} must be above 0 and at most {length:g}")
    if length / step > 1e6 or abs(length / step - round(length / step)) > _TOLERANCE:
        raise ValueError(f"steps of {step:g} do not lead from {minimum:g} to {maximum:g}")


def grid_step(minimum: float, maximum: float, step: float | None) -> float:
    """Return ``step``, or 1/200 of the range if it is None."""
    return step if step is not None else (maximum - minimum) / _STEPS


def rescaled_number(value: Any, old: tuple[float, float], new: tuple[float, float], *, rounded: bool = False) -> float:
    """Return a number of one scale on another, such that the ends become the ends; ``rounded`` moves halves up.

    Raises ``ValueError`` for a number outside of the old scale.
    """
    share = (checked_number(value, *old) - old[0]) / (old[1] - old[0])
    number = round(new[0] + share * (new[1] - new[0]), _DIGITS)
    return float(math.floor(number + 0.5)) if rounded else number


def spaced(minimum: float, maximum: float, step: float) -> list[float]:
    """Return values on the grid from ``minimum`` to ``maximum``, evenly spaced: all if they are at most 11.

    Of more, 3 to 11 with the middle where possible; none if the grid has no such part.
    """
    count = round((maximum - minimum) / step)
    parts = count if count < _MAX_SPACED else next((parts for parts in _PARTS if count % parts == 0), 0)
    return [minimum + (maximum - minimum) * index / parts for index in range(parts + 1)] if parts else []


def checked_number(value: Any, minimum: float, maximum: float) -> float:
    """Return a float within the bounds. Raises ``ValueError`` for anything else, such as booleans and NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        raise ValueError(f"{repr(value)[:40]} is not a number")
    if not minimum <= value <= maximum:
        raise ValueError(f"{_short(value)} is not within {minimum:g} to {maximum:g}")
    return float(value)


def on_grid(value: float, minimum: float, maximum: float, step: float | None) -> float:
    """Return the nearest value on the grid: Label Studio refuses to submit a number between two steps."""
    size = grid_step(minimum, maximum, step)
    nearest = round((value - minimum) / size) * size + minimum
    digits = _DIGITS - math.ceil(math.log10(max(abs(minimum), abs(maximum))))
    return min(max(round(nearest, digits) + 0.0, minimum), maximum)


def mean(values: Sequence[float]) -> float:
    """Return the mean, limited to the range of the values against rounding errors."""
    return min(max(statistics.fmean(values), min(values)), max(values))


def _short(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e300 else "a number far too large"
