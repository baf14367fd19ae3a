"""Krippendorff's alpha: one minus observed over expected disagreement, for any level of measurement.

Source: K. Krippendorff, Content Analysis, 3rd edition (2013), chapter 12. Missing judgements are allowed; an item with
one judgement does not count.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from curate.consensus.agreement.ratings import Counts, Floats, Integers
from curate.consensus.agreement.sums import ItemSums, to_sums

Metric = Literal["nominal", "ordinal", "interval", "ratio", "jaccard", "masi"]
METRICS: tuple[Metric, ...] = ("nominal", "ordinal", "interval", "ratio", "jaccard", "masi")
_BLOCK = 256
_MASI_SUBSET, _MASI_OVERLAP = 2 / 3, 1 / 3


def krippendorff_alpha(counts: Counts, metric: Metric = "nominal") -> ItemSums:
    """Return alpha, at most 1; 0 is what chance would give.

    Values are labels (nominal), numbers in order (ordinal, interval, ratio) or sets (jaccard: one minus shared over all
    labels; masi: Passonneau, 2006, with its weights of 2/3 for a subset and 1/3 for an overlap).
    """
    paired = counts.paired()
    if metric == "ordinal":
        return _ordinal(paired)
    if metric == "interval":
        return _interval(paired)
    totals = paired.totals()
    items, first, second, products = _pairs_of_values(paired)
    distances = _Distances(paired.values, metric)
    per_item = np.bincount(items, products * distances.pairs(first, second), minlength=len(totals)) / (totals - 1)
    statistics = to_sums(per_item, paired.matrix)

    def solve(sums: Floats) -> Floats:
        frequencies = sums[:, 1:]
        judgements = frequencies.sum(axis=1)
        expected = distances.expected(frequencies) / (judgements - 1)
        return _one_minus(sums[:, 0], expected)

    return ItemSums(statistics, solve, lambda sums: _why_undefined(sums[1:].sum()))


def _interval(paired: Counts) -> ItemSums:
    """Squared differences, by sums of the values and of their squares."""
    numbers = np.asarray(paired.values, dtype=np.float64)
    centred = numbers - (numbers.mean() if len(numbers) else 0.0)
    totals = paired.totals()
    sums_of_item, squares_of_item = paired.matrix @ centred, paired.matrix @ centred**2
    disagreement = 2 * np.maximum(totals * squares_of_item - sums_of_item**2, 0) / (totals - 1)
    # Items whose judges agree exactly get exactly 0: rounding must not look like disagreement.
    disagreement[np.diff(paired.matrix.indptr) == 1] = 0.0
    return from_moments(disagreement, totals, sums_of_item, squares_of_item)


def from_moments(disagreement: Floats, totals: Floats, numbers: Floats, squares: Floats) -> ItemSums:
    """Return the interval alpha from what each item adds: disagreement, judgements, and sums of values and squares."""

    def solve(sums: Floats) -> Floats:
        observed, judgements, total, square = sums.T
        spread = judgements * square - total**2
        expected = 2 * np.where(spread > 1e-12 * judgements * square, spread, 0.0) / (judgements - 1)
        return _one_minus(observed, expected)

    return ItemSums(to_sums(disagreement, totals, numbers, squares), solve, lambda sums: _why_undefined(sums[1]))


def _ordinal(paired: Counts) -> ItemSums:
    """Squared differences of the mean ranks that values have among all judgements, so they differ between draws."""
    from scipy import sparse

    totals = paired.totals()
    items, first, second, products = _pairs_of_values(paired)
    differs = first < second
    size = len(paired.values)
    observed, column = np.unique(first[differs] * size + second[differs], return_inverse=True)
    weights = 2 * products[differs] / (totals[items[differs]] - 1)
    pairs = sparse.coo_matrix((weights, (items[differs], column)), shape=(len(totals), len(observed))).tocsr()
    lower, upper = observed // max(size, 1), observed % max(size, 1)

    def solve(sums: Floats) -> Floats:
        frequencies = sums[:, len(observed) :]
        ranks = np.cumsum(frequencies, axis=1) - frequencies / 2
        judgements = frequencies.sum(axis=1)
        total, square = (frequencies * ranks).sum(axis=1), (frequencies * ranks**2).sum(axis=1)
        expected = 2 * (judgements * square - total**2) / (judgements - 1)
        expected[(frequencies > 0).sum(axis=1) < 2] = 0.0
        return _one_minus((sums[:, : len(observed)] * (ranks[:, lower] - ranks[:, upper]) ** 2).sum(axis=1), expected)

    return ItemSums(to_sums(pairs, paired.matrix), solve, lambda sums: _why_undefined(sums[len(observed) :].sum()))


def _one_minus(observed: Floats, expected: Floats) -> Floats:
    return np.where(expected > 0, 1 - observed / expected, np.nan)


def _why_undefined(judgements: float) -> str:
    if judgements == 0:
        return "no item has two judgements"
    return "every judgement is the same value: people agree, but nothing shows what chance alone would give"


def _pairs_of_values(counts: Counts) -> tuple[Integers, Integers, Integers, Floats]:
    """Return every two values of one item, in both orders and with themselves: item, codes, product of their counts."""
    matrix = counts.matrix
    lengths = np.diff(matrix.indptr).astype(np.int64)
    per_entry = np.repeat(lengths, lengths)
    first = np.repeat(np.arange(matrix.nnz), per_entry)
    offsets = np.arange(len(first)) - np.repeat(np.cumsum(per_entry) - per_entry, per_entry)
    second = np.repeat(np.repeat(matrix.indptr[:-1].astype(np.int64), lengths), per_entry) + offsets
    items = np.repeat(np.repeat(np.arange(len(lengths)), lengths), per_entry)
    codes = matrix.indices.astype(np.int64)
    return items, codes[first], codes[second], matrix.data[first] * matrix.data[second]


class _Distances:
    """How far values are apart, for given pairs and as the sum over all pairs of judgements."""

    def __init__(self, values: Sequence[Any], metric: Metric) -> None:
        self._metric = metric
        self._size = len(values)
        if metric == "ratio":
            self._numbers = np.asarray(values, dtype=np.float64)
            if (self._numbers < 0).any():
                raise ValueError("a ratio scale has no values below 0")
        elif metric in ("jaccard", "masi"):
            labels = {label: column for column, label in enumerate(sorted({str(x) for value in values for x in value}))}
            self._members = np.zeros((len(values), len(labels)), dtype=np.float32)
            for row, value in enumerate(values):
                self._members[row, [labels[str(label)] for label in value]] = 1
            self._sizes = self._members.sum(axis=1)

    def pairs(self, first: Integers, second: Integers) -> Floats:
        if self._metric == "nominal":
            return np.asarray(first != second, np.float64)
        if self._metric == "ratio":
            return _ratio(self._numbers[first], self._numbers[second])
        shared = np.empty(len(first), dtype=np.float64)
        for start in range(0, len(first), 100_000):
            part = slice(start, start + 100_000)
            shared[part] = (self._members[first[part]] * self._members[second[part]]).sum(axis=1)
        return self._sets(shared, self._sizes[first], self._sizes[second])

    def expected(self, frequencies: Floats) -> Floats:
        """Return the sum of distances over all pairs, for each row of counts by value."""
        if self._metric == "nominal":
            return np.asarray(frequencies.sum(axis=1) ** 2 - (frequencies**2).sum(axis=1), np.float64)
        sums = np.zeros(len(frequencies))
        for start in range(0, self._size, _BLOCK):
            block = slice(start, min(start + _BLOCK, self._size))
            if self._metric == "ratio":
                distances = _ratio(self._numbers[block, None], self._numbers[None, :])
            else:
                shared = (self._members[block] @ self._members.T).astype(np.float64)
                distances = self._sets(shared, self._sizes[block, None], self._sizes[None, :])
            sums += (frequencies[:, block] * (frequencies @ distances.T)).sum(axis=1)
        return sums

    def _sets(self, shared: Floats, first: Any, second: Any) -> Floats:
        either = first + second - shared
        jaccard = np.where(either > 0, shared / np.maximum(either, 1), 1.0)
        if self._metric == "jaccard":
            return np.asarray(1 - jaccard, np.float64)
        smaller = np.minimum(first, second)
        weight = np.where(shared == smaller, _MASI_SUBSET, _MASI_OVERLAP)
        return np.asarray(1 - jaccard * np.where((shared == first) & (shared == second), 1.0, weight), np.float64)


def _ratio(first: Floats, second: Floats) -> Floats:
    total = first + second
    return np.asarray(np.where(total > 0, (first - second) / np.where(total > 0, total, 1.0), 0.0) ** 2, np.float64)
