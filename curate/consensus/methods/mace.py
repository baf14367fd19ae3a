"""MACE: each rater either knows the true value or guesses in a way of their own."""

import numpy as np

from curate.consensus.agreement.ratings import Ratings
from curate.consensus.methods.votes import Posterior, normalised, vote_matrix

_SMOOTHING = 0.1
MAX_ROUNDS = 1_000
TOLERANCE = 1e-6


def mace(ratings: Ratings, *, tolerance: float = TOLERANCE, max_rounds: int = MAX_ROUNDS) -> Posterior:
    """Return the posterior at convergence of the EM algorithm; ``quality`` is how often a rater does not guess.

    It starts from how often each rater has the most frequent answer, so equal votes give equal results: no restarts at
    random are needed. Source: D. Hovy et al., Learning whom to trust with MACE, NAACL (2013).
    """
    votes = vote_matrix(ratings)
    size = votes.value_count
    answers = np.asarray(votes.matrix.sum(axis=0)).reshape(votes.rater_count, size)
    total = np.maximum(answers.sum(axis=1), 1)
    shares = votes.shares()
    knows = np.clip(np.einsum("rcc->r", votes.by_rater(shares)) / total, 0.05, 0.95)
    guesses = (answers + _SMOOTHING) / (answers + _SMOOTHING).sum(axis=1, keepdims=True)
    probabilities, rounds, change = shares, 0, np.inf
    while change >= tolerance and rounds < max_rounds:
        rounds += 1
        guessed = (1 - knows)[:, None] * guesses
        correct = knows[:, None] + guessed
        # The logarithm for a value that was voted for, and for all others; columns are true values.
        logs = np.repeat(np.log(guessed)[:, :, None], size, axis=2)
        logs[:, np.arange(size), np.arange(size)] = np.log(correct)
        updated = normalised(np.asarray(votes.matrix @ logs.reshape(-1, size)))
        right = np.einsum("rcc->rc", votes.by_rater(updated))
        knew = right * knows[:, None] / correct
        knows = (knew.sum(axis=1) + _SMOOTHING) / (total + 2 * _SMOOTHING)
        guessing = answers - knew + _SMOOTHING
        guesses = guessing / guessing.sum(axis=1, keepdims=True)
        change = float(np.abs(updated - probabilities).max(initial=0.0))
        probabilities = updated
    return Posterior(probabilities, knows, rounds)
