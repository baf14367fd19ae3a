"""Raters' votes as matrices, and what every method returns."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.consensus.agreement.ratings import Floats, Ratings


class Posterior(NamedTuple):
    """The probability (0-1) of each value for each item, rows adding up to 1, and how good each rater is.

    ``quality`` is the expected share of a rater's right answers (0-1), or the method's own measure where it says so.
    ``rounds`` counts the steps until convergence.
    """

    probabilities: Floats
    quality: Floats
    rounds: int

    def best(self) -> NDArray[np.int64]:
        """Return the most probable value of each item, -1 where two are equally probable."""
        ordered = np.sort(self.probabilities, axis=1)
        is_tie = self.probabilities.shape[1] > 1 and np.isclose(ordered[:, -1], ordered[:, -2], rtol=0, atol=1e-9)
        return np.where(is_tie, -1, self.probabilities.argmax(axis=1))


class VoteMatrix(NamedTuple):
    """Votes as a sparse matrix of items by (rater, value): column ``rater * value_count + value``."""

    matrix: Any
    item_count: int
    rater_count: int
    value_count: int

    def shares(self) -> Floats:
        """Return the share of each item's votes that each value has."""
        votes = np.asarray(self.matrix @ np.tile(np.eye(self.value_count), (self.rater_count, 1)))
        return np.asarray(votes / np.maximum(votes.sum(axis=1, keepdims=True), 1))

    def by_rater(self, weights: Floats) -> Floats:
        """Return sums of ``weights`` (items by values) by rater, voted value and column of ``weights``."""
        sums = np.asarray(self.matrix.T @ weights)
        return sums.reshape(self.rater_count, self.value_count, weights.shape[1])


def vote_matrix(ratings: Ratings) -> VoteMatrix:
    """Return votes as a matrix. Raises ``ValueError`` if a judgement does not say who gave it."""
    from scipy import sparse

    if (ratings.raters < 0).any():
        raise ValueError(f"{int((ratings.raters < 0).sum())} judgements do not say who gave them")
    values = len(ratings.values)
    raters = int(ratings.raters.max()) + 1 if len(ratings.raters) else 0
    shape = (ratings.item_count, raters * values)
    columns = ratings.raters * values + ratings.codes
    matrix = sparse.coo_matrix((np.ones(len(columns)), (ratings.items, columns)), shape=shape).tocsr()
    return VoteMatrix(matrix, ratings.item_count, raters, values)


def normalised(log_probabilities: Floats) -> Floats:
    """Return rows of logarithms as probabilities that add up to 1."""
    shifted = np.exp(log_probabilities - log_probabilities.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
