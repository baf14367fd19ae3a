"""Agreement on marked regions: whether something is marked, where exactly, and with which label, each apart.

Regions of two raters are paired one to one, largest overlap first, whatever their labels.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from curate.consensus.agreement.alpha import krippendorff_alpha
from curate.consensus.agreement.ratings import Floats, Integers, Ratings
from curate.consensus.agreement.sums import ItemSums, by_cluster, to_sums, undefined
from curate.labels.fields.regions import Region

SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
CHARACTERS = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Tolerances of the boundaries, in seconds or characters."""


class Marks(NamedTuple):
    """All regions that one rater marked in one item; none if there was nothing to mark."""

    item: int
    rater: int
    regions: Sequence[Region]


class PairedRegions(NamedTuple):
    """All pairs of raters of an item, and of their regions those that overlap.

    ``marked`` and ``matched`` have one number for each item: regions that either of two raters marked, and twice those
    that the other marked too. The others have one entry for each pair of regions.
    """

    marked: Floats
    matched: Floats
    items: Integers
    overlaps: Floats
    labels: Sequence[tuple[str, str]]


def pair_regions(marks: Sequence[Marks]) -> PairedRegions:
    """Return the regions of all pairs of raters of the same item, paired."""
    size = max((mark.item for mark in marks), default=-1) + 1
    marked, matched = np.zeros(size), np.zeros(size)
    items, overlaps, labels = [], [], []
    for first, second in _pairs_of_raters(marks):
        pairs = _paired(first.regions, second.regions)
        marked[first.item] += len(first.regions) + len(second.regions)
        matched[first.item] += 2 * len(pairs)
        for overlap, a, b in pairs:
            items.append(first.item)
            overlaps.append(overlap)
            labels.append((a.label, b.label))
    return PairedRegions(marked, matched, np.array(items, np.int64), np.array(overlaps), labels)


def detection_f1(pairs: PairedRegions) -> ItemSums:
    """Return the share (0-1) of regions that overlap one of the other rater: F1 of one rater against another."""
    statistics = to_sums(pairs.matched, pairs.marked)
    return ItemSums(statistics, lambda sums: sums[:, 0] / sums[:, 1], lambda sums: "nobody marked anything")


def place_iou(pairs: PairedRegions) -> ItemSums:
    """Return the mean intersection over union (0-1) of regions that overlap."""
    return _mean_of_pairs(pairs, pairs.overlaps)


def label_percent(pairs: PairedRegions) -> ItemSums:
    """Return the share (0-1) of overlapping regions with equal labels."""
    return _mean_of_pairs(pairs, np.array([a == b for a, b in pairs.labels], np.float64))


def label_alpha(pairs: PairedRegions) -> ItemSums:
    """Return Krippendorff's nominal alpha of the labels of overlapping regions."""
    if not len(pairs.items):
        return undefined("no regions of two raters overlap")
    values = sorted({label for labels in pairs.labels for label in labels})
    code_of = {label: code for code, label in enumerate(values)}
    units = np.repeat(np.arange(len(pairs.items)), 2)
    codes = np.array([code_of[label] for labels in pairs.labels for label in labels], np.int64)
    sums = krippendorff_alpha(Ratings(units, units * 0, codes, values).counts())
    return by_cluster(sums, pairs.items)


def boundary_f1(marks: Sequence[Marks], tolerance: float) -> ItemSums:
    """Return the share (0-1) of starts and ends that the other rater has too, within ``tolerance``.

    Starts are paired with starts and ends with ends, as many as possible.
    """
    size = max((mark.item for mark in marks), default=-1) + 1
    marked, matched = np.zeros(size), np.zeros(size)
    for first, second in _pairs_of_raters(marks):
        for side in (0, 1):
            ends = [_ends(mark.regions, side) for mark in (first, second)]
            marked[first.item] += sum(len(times) for parts in ends for times in parts.values())
            for part in ends[0].keys() & ends[1].keys():
                matched[first.item] += 2 * _matches(ends[0][part], ends[1][part], tolerance)
    return ItemSums(
        to_sums(matched, marked), lambda sums: sums[:, 0] / sums[:, 1], lambda sums: "nobody marked anything"
    )


def _mean_of_pairs(pairs: PairedRegions, values: Floats) -> ItemSums:
    size = len(pairs.marked)
    counts = np.bincount(pairs.items, minlength=size).astype(np.float64)
    statistics = to_sums(np.bincount(pairs.items, values, minlength=size), counts)
    return ItemSums(statistics, lambda sums: sums[:, 0] / sums[:, 1], lambda sums: "no regions of two raters overlap")


def _pairs_of_raters(marks: Sequence[Marks]) -> list[tuple[Marks, Marks]]:
    members: dict[int, list[Marks]] = defaultdict(list)
    for mark in marks:
        members[mark.item].append(mark)
    return [pair for item in members.values() for pair in combinations(item, 2)]


def _paired(first: Sequence[Region], second: Sequence[Region]) -> list[tuple[float, Region, Region]]:
    overlaps = [(a.overlap(b), i, j) for i, a in enumerate(first) for j, b in enumerate(second)]
    used: tuple[set[int], set[int]] = (set(), set())
    pairs = []
    for overlap, i, j in sorted(overlaps, key=lambda entry: (-entry[0], *entry[1:])):
        if overlap > 0 and i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            pairs.append((overlap, first[i], second[j]))
    return pairs


def _ends(regions: Sequence[Region], side: int) -> dict[object, list[float]]:
    """Return the starts (``side`` 0) or ends of regions, by the part of the item that they are in."""
    ends: dict[object, list[float]] = defaultdict(list)
    for region in regions:
        if region.bounds is not None:
            ends[getattr(region, "part", None)].append(region.bounds[side])
    return ends


def _matches(first: Sequence[float], second: Sequence[float], tolerance: float) -> int:
    """Return how many numbers of two lists can be paired one to one within a tolerance."""
    a, b = sorted(first), sorted(second)
    i = j = count = 0
    while i < len(a) and j < len(b):
        if abs(a[i] - b[j]) <= tolerance + 1e-9:
            count, i, j = count + 1, i + 1, j + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return count
