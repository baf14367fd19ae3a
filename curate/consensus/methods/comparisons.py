"""Scores of things that were compared: Bradley-Terry from pairs, and counts from best and worst of several."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from curate.consensus.agreement.ratings import Floats, Integers


class Comparison(NamedTuple):
    """One judgement of two things; ``share`` of it (0-1) is for the first: 1 if it won, 0.5 for a tie."""

    first: Hashable
    second: Hashable
    share: float = 1.0


def bradley_terry(comparisons: Iterable[Comparison], *, ridge: float = 1e-3) -> dict[Hashable, float]:
    """Return the strength of each thing, with the mean 0: the log odds of ``a`` over ``b`` are their difference.

    ``ridge`` times the squared strengths is taken from the log likelihood, so that things that always won stay finite.
    A tie counts as half a win for both. Source: R. Bradley and M. Terry, Biometrika 39 (1952).
    """
    from scipy.optimize import minimize

    judged = list(comparisons)
    number: dict[Hashable, int] = {}
    first = np.array([number.setdefault(comparison.first, len(number)) for comparison in judged], np.int64)
    second = np.array([number.setdefault(comparison.second, len(number)) for comparison in judged], np.int64)
    share = np.array([comparison.share for comparison in judged])

    def loss(strengths: Floats) -> tuple[float, Floats]:
        difference = strengths[first] - strengths[second]
        cost = share * np.logaddexp(0, -difference) + (1 - share) * np.logaddexp(0, difference)
        slope = 1 / (1 + np.exp(-np.clip(difference, -500, 500))) - share
        gradient = np.bincount(first, slope, len(number)) - np.bincount(second, slope, len(number))
        return float(cost.sum() + ridge * (strengths**2).sum()), gradient + 2 * ridge * strengths

    if not number:
        return {}
    options = {"maxiter": 10_000, "ftol": 1e-14, "gtol": 1e-9}
    strengths = minimize(loss, np.zeros(len(number)), jac=True, method="L-BFGS-B", options=options).x
    return dict(zip(number, (strengths - strengths.mean()).tolist(), strict=True))


def bradley_terry_errors(
    comparisons: Iterable[Comparison], strengths: Mapping[Hashable, float], *, ridge: float = 1e-3
) -> dict[Hashable, float]:
    """Return the standard error of each strength against the mean of all things that it is connected to.

    It follows from the curvature of the likelihood, and takes all comparisons as independent.
    """
    number = {thing: index for index, thing in enumerate(strengths)}
    pairs = np.array([(number[a], number[b]) for a, b, _ in comparisons], np.int64).reshape(-1, 2)
    values = np.array(list(strengths.values()))
    chance = 1 / (1 + np.exp(-np.clip(values[pairs[:, 0]] - values[pairs[:, 1]], -500, 500)))
    weights = chance * (1 - chance)
    errors = np.zeros(len(number))
    groups = connected_groups(len(number), pairs)
    for group in range(groups.max(initial=-1) + 1):
        members = np.flatnonzero(groups == group)
        inside = groups[pairs[:, 0]] == group
        first, second = np.searchsorted(members, pairs[inside]).T
        information = np.diag(np.full(len(members), 2 * ridge))
        for rows, columns, sign in ((first, first, 1), (second, second, 1), (first, second, -1), (second, first, -1)):
            np.add.at(information, (rows, columns), sign * weights[inside])
        centre = np.eye(len(members)) - 1 / len(members)
        errors[members] = np.sqrt(np.maximum(np.diag(centre @ np.linalg.inv(information) @ centre), 0))
    return dict(zip(number, errors.tolist(), strict=True))


def connected_groups(count: int, pairs: Integers) -> Integers:
    """Return the group of each of ``count`` things, from 0: those that comparisons connect, directly or through others.

    ``pairs`` has two columns of numbers of things, a row for each comparison. Scores of two groups
    mean nothing to each other.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    graph = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    groups: Integers = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups


def best_worst_scores(
    choices: Iterable[tuple[Sequence[Hashable], Hashable | None, Hashable | None]],
) -> dict[Hashable, float]:
    """Return (times best - times worst) / times shown, from -1 to 1, for each thing in (shown, best, worst).

    In a tie, best and worst are None. Source: B. Orme, MaxDiff analysis: simple counting, Sawtooth Software (2009).
    Raises ``ValueError`` for a best or worst that was not shown.
    """
    exposures: dict[Hashable, int] = {}
    balance: dict[Hashable | None, int] = {}
    for things, best, worst in choices:
        is_tie = best is None and worst is None
        if not is_tie and (best not in things or worst not in things or best == worst):
            raise ValueError(f"{best!r} and {worst!r} must be two of the things that were shown")
        for thing in things:
            exposures[thing] = exposures.get(thing, 0) + 1
        if not is_tie:
            balance[best] = balance.get(best, 0) + 1
            balance[worst] = balance.get(worst, 0) - 1
    return {thing: balance.get(thing, 0) / count for thing, count in exposures.items()}
