"""GLAD: raters differ in ability and items in difficulty."""

from typing import Any

import numpy as np

from curate.consensus.agreement.ratings import Floats, Ratings
from curate.consensus.methods.votes import Posterior, normalised, vote_matrix

MAX_ROUNDS = 200
TOLERANCE = 1e-4
_STEPS = 10


def glad(ratings: Ratings, *, tolerance: float = TOLERANCE, max_rounds: int = MAX_ROUNDS) -> Posterior:
    """Return the posterior at convergence; ``quality`` is a rater's ability (0 is guessing, below 0 is worse).

    A rater of ability ``a`` is right about an item of easiness ``b`` with probability 1 / (1 + exp(-a * exp(b))) and
    otherwise gives any other value; ``a`` and ``b`` have normal priors of mean 1 and variance 1. Source: J. Whitehill
    et al., Whose vote should count more, NIPS (2009).
    """
    votes = vote_matrix(ratings)
    items, raters, codes = ratings.items, ratings.raters, ratings.codes
    abilities: Floats = np.ones(votes.rater_count)
    easiness: Floats = np.ones(votes.item_count)
    probabilities, rounds, change = votes.shares(), 0, np.inf
    while change >= tolerance and rounds < max_rounds:
        rounds += 1
        right = probabilities[items, codes]
        abilities, easiness = _maximise(items, raters, right, abilities, easiness, votes.value_count)
        log_right, log_wrong = _log_chances(abilities[raters] * np.exp(easiness[items]), votes.value_count)
        cells = items * votes.value_count + codes
        size = votes.item_count * votes.value_count
        gains = np.bincount(cells, log_right - log_wrong, minlength=size).astype(np.float64)
        updated = normalised(gains.reshape(votes.item_count, votes.value_count))
        change = float(np.abs(updated - probabilities).max(initial=0.0))
        probabilities = updated
    return Posterior(probabilities, abilities, rounds)


def _log_chances(strength: Floats, size: int) -> tuple[Floats, Floats]:
    """Return the logarithms of the chances of the right answer and of each wrong one."""
    return -np.logaddexp(0, -strength), -np.logaddexp(0, strength) - np.log(max(size - 1, 1))


def _maximise(
    items: Any, raters: Any, right: Floats, abilities: Floats, easiness: Floats, size: int
) -> tuple[Floats, Floats]:
    from scipy.optimize import minimize

    rater_count = len(abilities)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        ability, ease = parameters[:rater_count], np.clip(parameters[rater_count:], -10, 10)
        scale = np.exp(ease[items])
        strength = ability[raters] * scale
        log_right, log_wrong = _log_chances(strength, size)
        prior = ((ability - 1) ** 2).sum() + ((ease - 1) ** 2).sum()
        likelihood = (right * log_right + (1 - right) * log_wrong).sum()
        slope = right - 1 / (1 + np.exp(-np.clip(strength, -500, 500)))
        by_rater = np.bincount(raters, slope * scale, minlength=rater_count) - (ability - 1)
        by_item = np.bincount(items, slope * strength, minlength=len(ease)) - (ease - 1)
        return float(prior / 2 - likelihood), -np.concatenate([by_rater, by_item])

    start = np.concatenate([abilities, easiness])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    return best[:rater_count], np.clip(best[rater_count:], -10, 10)
