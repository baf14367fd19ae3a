"""Scores of things that were compared: Bradley-Terry from pairs, and counts from best and worst of several."""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from curate.consensus.agreement.ratings import Floats


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


def best_worst_scores(choices: Iterable[tuple[Sequence[Hashable], Hashable, Hashable]]) -> dict[Hashable, float]:
    """Return (times best - times worst) / times shown, from -1 to 1, for each thing in (shown, best, worst).

    Source: B. Orme, MaxDiff analysis: simple counting, Sawtooth Software (2009). Raises ``ValueError`` for a best or
    worst that was not shown.
    """
    shown: dict[Hashable, int] = {}
    balance: dict[Hashable, int] = {}
    for things, best, worst in choices:
        if best not in things or worst not in things or best == worst:
            raise ValueError(f"{best!r} and {worst!r} must be two of the things that were shown")
        for thing in things:
            shown[thing] = shown.get(thing, 0) + 1
        balance[best] = balance.get(best, 0) + 1
        balance[worst] = balance.get(worst, 0) - 1
    return {thing: balance.get(thing, 0) / count for thing, count in shown.items()}
