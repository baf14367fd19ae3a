"""Several raters' time ranges as one set, label by label."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from curate.labels.fields.base import AggregationRule
from curate.labels.fields.checks import is_settled

_INSTANT_S = 0.001

Range = tuple[float, float]


class Segment(NamedTuple):
    """A range of time with a label, and how many raters support it (the mean over the range)."""

    start_s: float
    end_s: float
    label: str
    support: float


def shared_time(a: Any, b: Any) -> float:
    """Return the time labelled alike by both as a share (0-1) of the time labelled by either, over all labels.

    An instant counts as a millisecond.
    """
    both = either = 0.0
    for label in {segment["label"] for segment in (*a, *b)}:
        extended = [
            [(start, max(end, start + _INSTANT_S)) for start, end in ranges] for ranges in _ranges([a, b], label)
        ]
        for start, end, votes in _pieces(extended):
            both += (end - start) * (votes == 2)
            either += (end - start) * (votes > 0)
    return both / either


def agreed_segments(values: Sequence[Any], label: str, rule: AggregationRule) -> list[Segment]:
    """Return the ranges to which enough raters give a label, joined where they touch, and the instants elsewhere.

    At an instant that some rater marks, every rater counts whose range contains it.
    """
    ranges = _ranges(values, label)
    segments: list[Segment] = []
    for start, end, votes in _pieces(ranges):
        if not is_settled(votes, len(values), rule):
            continue
        if segments and segments[-1].end_s == start:
            last = segments[-1]
            total = last.support * (start - last.start_s) + votes * (end - start)
            segments[-1] = Segment(last.start_s, end, label, total / (end - last.start_s))
        else:
            segments.append(Segment(start, end, label, votes))
    instants = sorted({start for marked in ranges for start, end in marked if start == end})
    for time in instants:
        votes = sum(any(start <= time <= end for start, end in marked) for marked in ranges)
        is_covered = any(segment.start_s <= time <= segment.end_s for segment in segments)
        if is_settled(votes, len(values), rule) and not is_covered:
            segments.append(Segment(time, time, label, votes))
    return segments


def best_supported(segments: Sequence[Segment], limit: int, *, overlap: bool) -> list[Segment]:
    """Return at most ``limit`` segments, those with most support first; without ``overlap``, only ones that do not."""
    selected: list[Segment] = []
    for segment in sorted(segments, key=lambda s: (-s.support, s.start_s - s.end_s, s)):
        if len(selected) == limit:
            break
        if overlap or not any(_do_overlap(segment, chosen) for chosen in selected):
            selected.append(segment)
    return selected


def _do_overlap(a: Segment, b: Segment) -> bool:
    first, second = sorted((a, b))
    return second.start_s < first.end_s


def _ranges(values: Sequence[Sequence[Mapping[str, Any]]], label: str) -> list[list[Range]]:
    """Return each rater's ranges of a label."""
    return [
        [(segment["start_s"], segment["end_s"]) for segment in value if segment["label"] == label] for value in values
    ]


def _pieces(ranges: Sequence[Sequence[Range]]) -> list[tuple[float, float, int]]:
    """Return start, end and number of raters of each piece between two bounds."""
    bounds = sorted({time for marked in ranges for times in marked for time in times})
    return [
        (begin, stop, sum(any(start <= begin and stop <= end for start, end in marked) for marked in ranges))
        for begin, stop in pairwise(bounds)
    ]
