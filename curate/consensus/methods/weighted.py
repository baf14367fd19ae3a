"""Votes weighted by how raters answered where the answer is known, and numbers by how raters follow the others."""

import numpy as np

from curate.consensus.agreement.ratings import Floats, Integers, Ratings
from curate.consensus.methods.votes import Posterior, normalised, vote_matrix


def gold_weighted(ratings: Ratings, truth: Integers) -> Posterior:
    """Return votes weighted by the log odds of each rater's share of right answers on items of known value.

    ``truth`` has the code of each item's value, -1 where it is not known. Shares have one right and one wrong answer
    added (Laplace); raters no better than chance have no weight. Items of known value have it with probability 1.
    """
    votes = vote_matrix(ratings)
    size = votes.value_count
    is_known = truth[ratings.items] >= 0
    is_right = ratings.codes == truth[ratings.items]
    tested = np.bincount(ratings.raters[is_known], minlength=votes.rater_count)
    right = np.bincount(ratings.raters[is_known & is_right], minlength=votes.rater_count)
    quality = (right + 1) / (tested + 2)
    weights = np.maximum(np.log(quality * max(size - 1, 1) / (1 - quality)), 0)
    scores = np.asarray(votes.matrix @ np.kron(weights[:, None], np.eye(size)))
    probabilities = normalised(scores)
    gold_items = np.flatnonzero(truth >= 0)
    probabilities[gold_items] = np.eye(size)[truth[gold_items]]
    return Posterior(probabilities, quality, 1)


def evaluator_weights(items: Integers, raters: Integers, numbers: Floats, rater_count: int) -> Floats:
    """Return each rater's weight: the correlation (0-1) with the mean of all raters, over the items that they judged.

    Raters whose judgements do not vary, or run against the others, have no weight; if none has any, all weigh 1.
    Source: M. Grimm and K. Kroschel, Evaluation of natural emotions using self assessment manikins, ASRU (2005).
    """
    counts = np.bincount(items)
    means = (np.bincount(items, numbers) / np.maximum(counts, 1))[items]
    paired = counts[items] >= 2
    raters, x, y = raters[paired], numbers[paired], means[paired]
    judged = np.maximum(np.bincount(raters, minlength=rater_count), 1)

    def centred(values: Floats) -> Floats:
        return np.asarray(values - (np.bincount(raters, values, minlength=rater_count) / judged)[raters], np.float64)

    def sums(values: Floats) -> Floats:
        return np.bincount(raters, values, minlength=rater_count).astype(np.float64)

    x, y = centred(x), centred(y)
    spread = np.sqrt(sums(x * x) * sums(y * y))
    weights = np.maximum(np.where(spread > 1e-12, sums(x * y) / np.maximum(spread, 1e-12), 0.0), 0.0)
    return weights if weights.any() else np.ones(rater_count)


def weighted_mean(items: Integers, numbers: Floats, weights: Floats) -> Floats:
    """Return the weighted mean of each item's numbers; the plain mean where all weights are 0, NaN without numbers."""
    totals = np.bincount(items, weights)
    plain = np.bincount(items, numbers) / np.maximum(np.bincount(items), 1)
    weighted = np.bincount(items, weights * numbers) / np.where(totals > 0, totals, 1.0)
    return np.where(np.bincount(items) > 0, np.where(totals > 0, weighted, plain), np.nan)
