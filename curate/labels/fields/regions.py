"""Parts of an item that raters mark, in the form in which they are compared: with a label, a place and an overlap."""

from typing import NamedTuple, Protocol

_SHORTEST = 0.001


class Region(Protocol):
    """Something marked in an item. ``bounds`` are its ends in seconds or characters; None for boxes."""

    @property
    def label(self) -> str: ...

    @property
    def bounds(self) -> tuple[float, float] | None: ...

    def overlap(self, region: "Region") -> float:
        """Return the intersection over union (0-1) of the places, whatever the labels."""


class Interval(NamedTuple):
    """A range of time, or of characters in turn ``part`` of a dialogue."""

    label: str
    start: float
    end: float
    part: int | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        """Start and end."""
        return self.start, self.end

    def overlap(self, region: "Region") -> float:
        """Return intersection over union; an instant counts as a millisecond."""
        if not isinstance(region, Interval) or self.part != region.part:
            return 0.0
        ends = max(self.end, self.start + _SHORTEST), max(region.end, region.start + _SHORTEST)
        shared = min(ends) - max(self.start, region.start)
        return max(shared, 0.0) / (max(ends) - min(self.start, region.start))
