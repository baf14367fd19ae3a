"""Place components so that every split comes near its share of all items, and of each stratum of them.

Greedy, largest components first, each to the split that then misses its shares least (squared, relative to the
stratum), after Sechidis et al., "On the Stratification of Multi-Label Data" (ECML PKDD 2011), with whole components in
place of examples. Single items are dealt out stratum by stratum.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curate.corpus.splitting.components import Numbers


def place_components(
    components: Numbers, strata: Numbers, order: Sequence[float], shares: NDArray[np.float64], placed: NDArray[np.int64]
) -> Numbers:
    """Return the split of each component.

    ``components`` and ``strata`` hold the component and the stratum of each row to place, ``order`` a number for each
    component that settles ties, ``shares`` the share of each split, and ``placed`` the number of rows by split and
    stratum that are there already.
    """
    count, kinds = len(order), placed.shape[1]
    totals = placed.sum(axis=0) + np.bincount(strata, minlength=kinds)
    missing = shares[:, None] * totals - placed
    weights = 1 / np.maximum(totals, 1)
    total_weight = 1 / max(int(totals.sum()), 1)
    sizes = np.bincount(components, minlength=count)
    targets = np.zeros(count, np.int64)
    by_component = np.argsort(components, kind="stable")
    ends = np.cumsum(sizes)
    several = np.flatnonzero(sizes > 1)
    for component in several[np.lexsort((np.asarray(order)[several], -sizes[several]))]:
        members = by_component[ends[component] - sizes[component] : ends[component]]
        counts = np.bincount(strata[members], minlength=kinds)
        gain = (2 * missing * counts - counts**2) @ weights
        gain += (2 * missing.sum(axis=1) * len(members) - len(members) ** 2) * total_weight
        targets[component] = int(np.argmax(gain))
        missing[targets[component]] -= counts
    single = np.flatnonzero(sizes == 1)
    stratum_of = strata[by_component[ends[single] - 1]]
    for stratum in np.unique(stratum_of):
        members = single[stratum_of == stratum]
        members = members[np.argsort(np.asarray(order)[members], kind="stable")]
        quotas = _quotas(len(members), missing, int(stratum), shares)
        targets[members] = np.repeat(np.arange(len(shares)), quotas)
        missing[:, stratum] -= quotas
    return targets


def _quotas(count: int, missing: NDArray[np.float64], stratum: int, shares: NDArray[np.float64]) -> Numbers:
    """Return how many of ``count`` single items of a stratum each split gets."""
    wanted = np.maximum(missing[:, stratum], 0)
    wanted = shares if not wanted.sum() else wanted
    exact = count * wanted / wanted.sum()
    quotas: Numbers = np.floor(exact + 1e-9).astype(np.int64)
    overall = missing.sum(axis=1) - quotas
    for _ in range(count - int(quotas.sum())):
        split = int(np.argmax(np.where(wanted > 0, overall, -np.inf)))
        quotas[split] += 1
        overall[split] -= 1
    return quotas
