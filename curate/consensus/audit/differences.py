"""Whether a group of items differs from all others, with few assumptions: clusters are drawn, not items."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.consensus.agreement.ratings import Floats, Integers
from curate.consensus.agreement.sums import ItemSums, by_cluster, estimate, to_sums

MIN_ITEMS = 20
MIN_CLUSTERS = 5
_TOLERANCE = 1e-12


class Difference(NamedTuple):
    """The mean of a group minus that of the others, with a 95 % interval and the p-value before correction."""

    value: float
    low: float | None
    high: float | None
    p: float
    inside: float
    outside: float


def is_large_enough(in_group: NDArray[np.bool_], clusters: Integers) -> bool:
    """Return whether there are 20 items of 5 clusters in the group, and as many outside."""
    return all(
        int(part.sum()) >= MIN_ITEMS and len(np.unique(clusters[part])) >= MIN_CLUSTERS
        for part in (in_group, ~in_group)
    )


def compare_group(
    values: Floats, in_group: NDArray[np.bool_], clusters: Integers, *, draws: int = 0, seed: int = 0
) -> Difference:
    """Return how the items of a group differ from the others.

    The p-value is that of a t-test with errors that are robust to dependence within clusters, with as many degrees of
    freedom as the side with fewer clusters allows; the interval is a percentile bootstrap over clusters. Source:
    A. Cameron and D. Miller, A practitioner's guide to cluster-robust inference, J. of Human Resources 50 (2015).
    """
    from scipy.special import stdtr

    inside, outside = float(values[in_group].mean()), float(values[~in_group].mean())
    influence = np.where(in_group, (values - inside) / in_group.sum(), -(values - outside) / (~in_group).sum())
    _, numbers = np.unique(clusters, return_inverse=True)
    sums = np.bincount(numbers, influence)
    error = float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()))
    value = inside - outside
    freedom = min(len(np.unique(numbers[part])) for part in (in_group, ~in_group)) - 1
    p = float(2 * stdtr(freedom, -abs(value) / error)) if error > _TOLERANCE else float(abs(value) <= _TOLERANCE)
    lower, upper = _interval(values, in_group, numbers, draws, seed)
    return Difference(value, lower, upper, p, inside, outside)


def _interval(
    values: Floats, in_group: NDArray[np.bool_], clusters: Integers, draws: int, seed: int
) -> tuple[float | None, float | None]:
    inside = in_group.astype(np.float64)
    statistics = to_sums(values * inside, inside, values * (1 - inside), 1 - inside)
    sums = ItemSums(statistics, lambda total: total[:, 0] / total[:, 1] - total[:, 2] / total[:, 3], lambda _: "")
    result = estimate(by_cluster(sums, clusters), draws=draws, seed=seed)
    return result.low, result.high
