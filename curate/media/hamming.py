"""Find the first earlier near-duplicate of each of many hashes: exactly, but without comparing all pairs one by one."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_BLOCK = 2048
_TILE = 32, 1024
_BANDS, _BAND_BITS = 16, 16
_NO_PAIRS = np.zeros(0, np.int64), np.zeros(0, np.int64)
_PROBE_COST = 12
"""Comparing a pair that the bands propose takes about as long as comparing this many neighbours in memory."""


class Hashes(NamedTuple):
    """Hashes of n entries and how many of their bits may differ in a near-duplicate."""

    words: NDArray[np.uint64]
    """(n, 4): 256 bits each"""
    max_distance: int


class Entries(NamedTuple):
    """The hashes of n entries, of one kind or several, and their lengths in seconds (NaN if unknown)."""

    kinds: list[Hashes]
    lengths_s: NDArray[np.float64]


def first_near(entries: Entries) -> Indices:
    """Return for each entry the index of the first earlier original that it is near to, or -1 for an original.

    Entries are near if the hashes of all kinds are and, where the later one has a length, the lengths differ by at most
    2 % of it or half a second.
    """
    first = np.full(len(entries.lengths_s), -1, np.int64)
    originals = np.zeros(0, np.int64)
    for start in range(0, len(first), _BLOCK):
        block = np.arange(start, min(len(first), start + _BLOCK))
        queries, targets = _near_pairs(entries, block, originals)
        first[queries[::-1]] = targets[::-1]
        rest = block[first[block] < 0]
        queries, targets = _near_pairs(entries, rest, rest)
        is_earlier = targets < queries
        for query, target in zip(queries[is_earlier].tolist(), targets[is_earlier].tolist(), strict=True):
            if first[query] < 0 and first[target] < 0:
                first[query] = target
        originals = np.concatenate([originals, rest[first[rest] < 0]])
    return first


def _near_pairs(entries: Entries, queries: Indices, targets: Indices) -> tuple[Indices, Indices]:
    """Return the near pairs of a query and a target, ordered by query, then target."""
    if not len(queries) or not len(targets):
        return _NO_PAIRS
    targets = targets[np.argsort(entries.lengths_s[targets], kind="stable")]
    queries = queries[np.argsort(entries.lengths_s[queries], kind="stable")]
    starts, ends = _length_windows(entries.lengths_s[queries], entries.lengths_s[targets])
    strictest = min(entries.kinds, key=lambda hashes: hashes.max_distance)
    proposals = _Bands(strictest.words[targets], strictest.words[queries])
    if strictest.max_distance < 2 * _BANDS and _PROBE_COST * proposals.count < (ends - starts).sum():
        candidates = proposals.pairs()
    else:
        candidates = _scan(strictest.words[targets], strictest.words[queries], strictest.max_distance, starts, ends)
    pairs = [_NO_PAIRS, *(_verified(entries, queries[i], targets[j]) for i, j in candidates)]
    near_queries, near_targets = (np.concatenate(side) for side in zip(*pairs, strict=True))
    order = np.lexsort((near_targets, near_queries))
    return near_queries[order], near_targets[order]


def _slack_s(lengths_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(0.5, 0.02 * lengths_s)


def _length_windows(queries_s: NDArray[np.float64], targets_s: NDArray[np.float64]) -> tuple[Indices, Indices]:
    """Return where the targets, sorted by length, begin and end to be near in length; all of them without a length."""
    reach_s = _slack_s(queries_s) + 1e-6
    starts = np.searchsorted(targets_s, queries_s - reach_s, "left")
    ends = np.searchsorted(targets_s, queries_s + reach_s, "right")
    is_unknown = np.isnan(queries_s)
    return np.where(is_unknown, 0, starts), np.where(is_unknown, len(targets_s), ends)


def _scan(
    targets: NDArray[np.uint64], queries: NDArray[np.uint64], max_distance: int, starts: Indices, ends: Indices
) -> Iterator[tuple[Indices, Indices]]:
    """Yield the pairs of a query and a target of about its length whose hashes are near."""
    columns = np.ascontiguousarray(targets.T)
    for row in range(0, len(queries), _TILE[0]):
        rows = slice(row, row + _TILE[0])
        end = ends[rows].max()
        for column in range(starts[rows].min(), end, _TILE[1]):
            tile = slice(column, min(end, column + _TILE[1]))
            counts = [np.bitwise_count(a[:, None] ^ b[tile]) for a, b in zip(queries[rows].T, columns, strict=True)]
            # 256 different bits would wrap round to 0; every candidate is verified.
            distances = counts[0] + counts[1] + counts[2] + counts[3]
            i, j = np.divmod(np.flatnonzero(distances <= max_distance), distances.shape[1])
            if len(i):
                yield i + row, j + column


class _Bands:
    """Pairs of hashes with a band of 16 bits that differs in one bit at most.

    Every pair that differs in fewer than 32 bits is among them, since one of the 16 bands then differs in fewer than
    two (multi-index hashing: Norouzi et al. 2012, "Fast search in Hamming space with multi-index hashing").
    """

    def __init__(self, targets: NDArray[np.uint64], queries: NDArray[np.uint64]) -> None:
        self._targets = targets.view(np.uint16).T
        flips = np.concatenate([[0], 1 << np.arange(_BAND_BITS)]).astype(np.uint16)
        self._probes = [(band[:, None] ^ flips).reshape(-1) for band in queries.view(np.uint16).T]
        self._sizes = [np.bincount(band, minlength=1 << _BAND_BITS) for band in self._targets]
        self._flips = len(flips)

    @property
    def count(self) -> int:
        """The number of pairs, those that share several bands counted several times."""
        return sum(int(sizes[probes].sum()) for sizes, probes in zip(self._sizes, self._probes, strict=True))

    def pairs(self) -> Iterator[tuple[Indices, Indices]]:
        for band, sizes, probes in zip(self._targets, self._sizes, self._probes, strict=True):
            by_key = np.argsort(band, kind="stable")
            counts, starts = sizes[probes], (np.cumsum(sizes) - sizes)[probes]
            offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            queries = np.repeat(np.arange(len(probes)) // self._flips, counts)
            yield queries, by_key[np.repeat(starts, counts) + offsets]


def _verified(entries: Entries, queries: Indices, targets: Indices) -> tuple[Indices, Indices]:
    lengths_s = entries.lengths_s[queries]
    is_near = np.isnan(lengths_s) | (np.abs(entries.lengths_s[targets] - lengths_s) <= _slack_s(lengths_s))
    for words, max_distance in entries.kinds:
        is_near &= np.bitwise_count(words[queries] ^ words[targets]).sum(axis=1) <= max_distance
    return queries[is_near], targets[is_near]
