"""p-values corrected for many comparisons: significant at 5 % if they are at most 0.05."""

import numpy as np
from numpy.typing import NDArray

from curate.consensus.agreement.ratings import Floats

LEVEL = 0.05


def holm(p_values: Floats) -> Floats:
    """Return p-values that hold the chance of any false finding, whatever their dependence.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. of Statistics 6 (1979).
    """
    order = np.argsort(p_values)
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    return _placed(order, steps)


def benjamini_yekutieli(p_values: Floats) -> Floats:
    """Return p-values that hold the share of false findings among all findings, whatever their dependence.

    Source: Y. Benjamini and D. Yekutieli, Annals of Statistics 29 (2001).
    """
    order = np.argsort(p_values)
    ranks = np.arange(1, len(order) + 1)
    scaled = p_values[order] * (1 / ranks).sum() * len(order) / ranks
    return _placed(order, np.minimum.accumulate(scaled[::-1])[::-1])


def _placed(order: NDArray[np.intp], steps: Floats) -> Floats:
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected
