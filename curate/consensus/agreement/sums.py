"""Measures as functions of sums over items, so that a bootstrap over items is one product of matrices."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.consensus.agreement.ratings import Floats

_CHUNK_BYTES = 32 * 2**20
_DENSE_COLUMNS = 64
_MIN_DEFINED = 0.9


class ItemSums(NamedTuple):
    """A measure that depends on nothing but sums over items.

    ``statistics`` is a sparse matrix with a row for each item. ``solve`` turns sums of its columns, one row for each
    draw, into values, NaN where the measure is undefined; ``why_undefined`` says in a sentence why that is so.
    """

    statistics: Any
    solve: Callable[[Floats], Floats]
    why_undefined: Callable[[Floats], str]
    note: str = ""


class Estimate(NamedTuple):
    """A value (None where it is undefined, which ``note`` explains) with a 95 % interval, if one was asked for."""

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


def undefined(reason: str) -> ItemSums:
    """Return a measure that has no value for these judgements, and why."""
    return ItemSums(to_sums(np.empty(0)), lambda sums: np.full(len(sums), np.nan), lambda sums: reason)


def by_cluster(sums: ItemSums, clusters: NDArray[np.int64]) -> ItemSums:
    """Return a measure over units as one over clusters of them, such as pairs of judgements of one item."""
    from scipy import sparse

    if not len(clusters):
        return sums
    units = np.arange(len(clusters))
    matrix = sparse.csr_matrix((np.ones(len(units)), (clusters, units)))
    return sums._replace(statistics=(matrix @ sums.statistics).tocsr())


def estimate(sums: ItemSums, *, draws: int = 0, seed: int = 0) -> Estimate:
    """Return the value of a measure; with ``draws``, also the percentile bootstrap interval over items.

    Each draw takes as many items as there are, with replacement (Efron, 1979). There is no interval if the measure is
    undefined in more than a tenth of the draws.
    """
    total = np.asarray(sums.statistics.sum(axis=0), dtype=np.float64).reshape(1, -1)
    value = float(_solve(sums, total)[0]) if sums.statistics.shape[0] else float("nan")
    if not np.isfinite(value):
        return Estimate(None, note=sums.why_undefined(total[0]))
    if draws == 0 or sums.statistics.shape[0] < 2:
        return Estimate(value, note=sums.note)
    drawn = resample(sums, draws, seed)
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < _MIN_DEFINED * draws:
        note = "too few items vary for an interval"
        return Estimate(value, note="; ".join(filter(None, (sums.note, note))))
    lower, upper = np.quantile(defined, (0.025, 0.975))
    return Estimate(value, float(lower), float(upper), sums.note)


def resample(sums: ItemSums, draws: int, seed: int) -> Floats:
    """Return the value in each of ``draws`` samples of the items with replacement, NaN where it is undefined."""
    rng = np.random.default_rng(seed)
    item_count, width = sums.statistics.shape
    statistics, repeats = _distinct_rows(sums.statistics)
    size = int(max(1, min(draws, _CHUNK_BYTES // (8 * max(len(repeats), width)))))
    dense = statistics.toarray() if width <= _DENSE_COLUMNS else None
    values = []
    for start in range(0, draws, size):
        weights = _draw(rng, repeats, item_count, min(size, draws - start))
        totals = weights @ dense if dense is not None else np.asarray(statistics.T @ weights.T).T
        values.append(_solve(sums, np.ascontiguousarray(totals)))
    return np.concatenate(values)


def _draw(rng: np.random.Generator, repeats: NDArray[np.int64], item_count: int, draws: int) -> Floats:
    """Return how often each kind of item is drawn, one row for each draw of ``item_count`` items."""
    if len(repeats) < item_count / 2:
        return rng.multinomial(item_count, repeats / item_count, size=draws).astype(np.float64)
    owners = np.repeat(np.arange(len(repeats)), repeats)
    weights = np.empty((draws, len(repeats)))
    for row in weights:
        row[:] = np.bincount(owners[rng.integers(0, item_count, item_count)], minlength=len(repeats))
    return weights


def _distinct_rows(statistics: Any) -> tuple[Any, NDArray[np.int64]]:
    """Return each different row once, and how often it occurs: most items of labels are alike."""
    keys = np.asarray(statistics @ np.random.default_rng(0).random((statistics.shape[1], 2)))
    _, first, repeats = np.unique(keys, axis=0, return_index=True, return_counts=True)
    return statistics[first], repeats


def to_sums(*columns: Any) -> Any:
    """Return statistics side by side as one sparse matrix: arrays of one number for each item, or matrices."""
    from scipy import sparse

    parts = [np.asarray(part)[:, None] if getattr(part, "ndim", 0) == 1 else part for part in columns]
    return sparse.hstack([sparse.csr_matrix(part) for part in parts], format="csr")


def _solve(sums: ItemSums, totals: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums.solve(totals)
