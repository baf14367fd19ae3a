"""Signals as arrays: the rows of ``signals`` of some sources, and the part of each that lies in an item."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.corpus.view import Corpus

Numbers = NDArray[np.float64]
DESCRIBED = ("source_id", "signal", "track", "format", "tool", "rate_hz", "names", "summary")
"""The columns of ``signals`` that say what a signal is"""


class SignalPart(NamedTuple):
    """The values of a signal within an item."""

    times_s: Numbers | None
    """Seconds from the start of the source; None for values that hold for all of it"""
    values: Numbers
    """One row for each column; NaN where a value is missing"""


class Signal(NamedTuple):
    """A row of ``signals``."""

    name: str
    track: str | None
    format: str
    tool: str | None
    rate_hz: float | None
    columns: list[str]
    summary: list[str]
    times_s: Numbers | None
    values: Numbers

    def part(self, start_s: float | None, end_s: float | None) -> SignalPart:
        """Return the values from ``start_s`` up to, and without, ``end_s``; all of them for an item without times."""
        if self.times_s is None or start_s is None or end_s is None:
            return SignalPart(self.times_s, self.values)
        first, last = np.searchsorted(self.times_s, [start_s, end_s], side="left")
        return SignalPart(self.times_s[first:last], self.values[:, first:last])


def read_signals(corpus: Corpus, source_ids: Collection[str]) -> dict[str, list[Signal]]:
    """Return the signals of some sources, by source, in the order of their names and tracks."""
    if not source_ids:
        return {}
    rows = corpus.read("signals", [*DESCRIBED, "times_s", "values"], matching=("source_id", set(source_ids)))
    by_source: dict[str, list[Signal]] = defaultdict(list)
    described = rows.select(list(DESCRIBED)).to_pylist()
    arrays = zip(described, _scalars(rows["times_s"]), _scalars(rows["values"]), strict=True)
    for row, times, values in arrays:
        width = len(row["names"])
        # Missing values become NaN.
        flat: Any = values.values.flatten().to_numpy(zero_copy_only=False)
        by_source[row["source_id"]].append(
            Signal(
                row["signal"],
                row["track"],
                row["format"],
                row["tool"],
                row["rate_hz"],
                row["names"],
                row["summary"] or [],
                times.values.to_numpy() if times.is_valid else None,
                np.asarray(flat, np.float64).reshape(width, -1),
            )
        )
    for signals in by_source.values():
        signals.sort(key=lambda signal: (signal.name, track_key(signal.track)))
    return by_source


def track_key(track: str | None) -> tuple[int, str]:
    """Return what tracks are sorted by, so that 2 comes before 10."""
    return len(track or ""), track or ""


def _scalars(column: pa.ChunkedArray) -> Iterator[Any]:
    return (value for chunk in column.chunks for value in chunk)


def present_values(values: Numbers) -> Sequence[Numbers]:
    """Return for each column the values that are not missing."""
    return [column[~np.isnan(column)] for column in values]
