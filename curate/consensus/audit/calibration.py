"""How far a labeller's scores are probabilities: calibration error, Brier score, and the reliability diagram."""

from typing import NamedTuple

import numpy as np

from curate.consensus.agreement.ratings import Floats, Integers

MIN_ITEMS = 50
_BIN_ITEMS = 20
_MAX_BINS = 10
_DRAWS = 200


class Bin(NamedTuple):
    """A bar of the reliability diagram: items by score, their mean score and the share of people who agree (0-1)."""

    low: float
    high: float
    items: int
    score: float
    agreed: float


class Calibration(NamedTuple):
    """The expected calibration error (0-1) with its bins; ``if_perfect`` is what perfect scores would have."""

    error: float
    if_perfect: float
    bins: tuple[Bin, ...]


def calibrate(scores: Floats, agreed: Floats, judgements: Integers, *, seed: int = 0) -> Calibration:
    """Return the calibration of scores (0-1) against the share of people who agree (0-1), by bins of equal size.

    ``judgements`` is how many people judged each item. Equal scores are never in two bins. A finite sample has an error
    above 0 even for perfect scores: ``if_perfect`` is its mean for answers drawn with the scores as probabilities.
    Source: M. Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI (2015).
    """
    order = np.argsort(scores, kind="stable")
    scores, agreed, judgements = scores[order], agreed[order], judgements[order]
    starts = _equal_mass(scores)
    sizes = np.diff(np.append(starts, len(scores)))
    means = np.add.reduceat(scores, starts) / sizes

    def error(shares: Floats) -> tuple[float, Floats]:
        by_bin = np.add.reduceat(shares, starts) / sizes
        return float((sizes * np.abs(by_bin - means)).sum() / sizes.sum()), by_bin

    value, by_bin = error(agreed)
    rng = np.random.default_rng(seed)
    perfect = [error(rng.binomial(judgements, np.clip(scores, 0, 1)) / judgements)[0] for _ in range(_DRAWS)]
    ends = np.append(starts[1:], len(scores)) - 1
    columns = (scores[starts], scores[ends], sizes, means, by_bin)
    bins = tuple(map(Bin, *(column.tolist() for column in columns)))
    return Calibration(value, float(np.mean(perfect)), bins)


def brier_terms(scores: Floats, answers: Floats, *, multiple: bool) -> Floats:
    """Return the Brier score of each row: scores and answers (0 or 1) by label.

    The sum over labels (0-2), or the mean (0-1) where labels do not exclude each other. Source: G. Brier, Verification
    of forecasts expressed in terms of probability, Monthly Weather Review 78 (1950).
    """
    squares = (scores - answers) ** 2
    return np.asarray(squares.mean(axis=1) if multiple else squares.sum(axis=1))


def _equal_mass(scores: Floats) -> Integers:
    """Return where each bin of sorted scores starts."""
    count = int(np.clip(len(scores) // _BIN_ITEMS, 1, _MAX_BINS))
    wanted = np.arange(count) * len(scores) // count
    starts: Integers = np.unique(np.searchsorted(scores, scores[wanted], side="left")).astype(np.int64)
    return starts
