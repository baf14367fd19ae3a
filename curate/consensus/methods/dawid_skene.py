"""Dawid-Skene: each rater has a matrix of confusions, which are estimated together with the true values."""

import numpy as np

from curate.consensus.agreement.ratings import Floats, Ratings
from curate.consensus.methods.votes import Posterior, normalised, vote_matrix

_TINY = 1e-10
MAX_ROUNDS = 1_000
TOLERANCE = 1e-5


def dawid_skene(ratings: Ratings, *, tolerance: float = TOLERANCE, max_rounds: int = MAX_ROUNDS) -> Posterior:
    """Return the posterior at convergence of the EM algorithm, started from the shares of votes.

    It has converged once no probability changes by more than ``tolerance``. Source: A. Dawid and A. Skene, Maximum
    likelihood estimation of observer error-rates using the EM algorithm, Applied Statistics 28 (1979).
    """
    votes = vote_matrix(ratings)
    probabilities = votes.shares()
    rounds = 0
    change = np.inf
    while change >= tolerance and rounds < max_rounds:
        rounds += 1
        confusions, prior = _maximise(votes.by_rater(probabilities), probabilities)
        log_confusions = np.log(confusions.reshape(-1, votes.value_count))
        updated = normalised(np.asarray(votes.matrix @ log_confusions) + np.log(prior))
        change = float(np.abs(updated - probabilities).max(initial=0.0))
        probabilities = updated
    confusions, prior = _maximise(votes.by_rater(probabilities), probabilities)
    right = np.einsum("rcc,c->r", confusions, prior)
    return Posterior(probabilities, right, rounds)


def _maximise(sums: Floats, probabilities: Floats) -> tuple[Floats, Floats]:
    """Return the probability of each answer for each true value by rater, and the share of each true value."""
    confusions = np.maximum(sums / np.maximum(sums.sum(axis=1, keepdims=True), _TINY), _TINY)
    return confusions, np.maximum(probabilities.mean(axis=0), _TINY)
