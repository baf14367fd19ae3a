"""Prediction-powered inference: a mean over all items from few judgements and many proposals."""

from typing import NamedTuple

import numpy as np

from curate.consensus.agreement.ratings import Floats, Integers

MIN_ITEMS = 30
MIN_VARIED = 5
Z = 1.959963984540054


class Mean(NamedTuple):
    """A mean with a 95 % interval, both None where ``note`` says why; ``weight`` (0-1) is how far proposals count."""

    value: float
    low: float | None
    high: float | None
    weight: float = 0.0
    note: str = ""


def prediction_powered_mean(
    judged: Floats,
    proposed: Floats,
    proposed_elsewhere: Floats,
    *,
    weight: float | None = None,
    clusters: Integers | None = None,
) -> Mean:
    """Return the mean of judgements over all items, with the proposals as far as they help.

    ``judged`` and ``proposed`` are of the same items, drawn at random; ``proposed_elsewhere`` are the proposals for all
    others. ``weight`` is lambda, by default the one with the shortest interval; 0 takes the judgements alone.
    ``clusters`` numbers what was drawn together, such as the items of one speaker, first of the judged items, then of
    the others. Sources: A. Angelopoulos et al., Prediction-powered inference, Science 382 (2023); PPI++: Efficient
    prediction-powered inference, arXiv 2311.01453 (2023).
    """
    if weight is None:
        weight = best_weight(judged, proposed, proposed_elsewhere)
    rectified = judged - weight * proposed
    elsewhere = weight * proposed_elsewhere
    value = float(rectified.mean() + (elsewhere.mean() if len(elsewhere) else 0.0))
    if len(judged) < MIN_ITEMS:
        return Mean(value, None, None, weight, f"an interval needs {MIN_ITEMS} items that people judged blind")
    if min(_varied(judged)) < MIN_VARIED:
        return Mean(value, None, None, weight, "too few judged items differ from the others for an interval")
    influence = [(rectified - rectified.mean()) / len(rectified)]
    if len(elsewhere):
        influence.append((elsewhere - elsewhere.mean()) / len(elsewhere))
    reach = _reach(np.concatenate(influence), clusters)
    if reach is None:
        return Mean(value, None, None, weight, "the judged items are of too few speakers for an interval")
    return Mean(value, value - reach, value + reach, weight)


def best_weight(judged: Floats, proposed: Floats, proposed_elsewhere: Floats) -> float:
    """Return the weight of proposals (0-1) that gives the shortest interval."""
    if not len(proposed_elsewhere) or len(judged) < 2:
        return 0.0
    covariance = float(((judged - judged.mean()) * (proposed - proposed.mean())).mean())
    spread = float(np.concatenate([proposed, proposed_elsewhere]).var(ddof=1))
    if spread <= 0:
        return 0.0
    return float(np.clip(covariance / (spread * (1 + len(judged) / len(proposed_elsewhere))), 0.0, 1.0))


def items_needed(judged: Floats, proposed: Floats, proposed_elsewhere: Floats, *, width: float) -> int | None:
    """Return how many items (at least 30) people must judge for an interval of ``width``; None if all are too few.

    Spread and correlation are taken to be those of the items judged so far.
    """
    total = len(judged) + len(proposed_elsewhere)
    if expected_width(judged, proposed, proposed_elsewhere, count=total) > width:
        return None
    lower, upper = min(MIN_ITEMS, total), total
    while lower < upper:
        middle = (lower + upper) // 2
        if expected_width(judged, proposed, proposed_elsewhere, count=middle) <= width:
            upper = middle
        else:
            lower = middle + 1
    return lower


def expected_width(judged: Floats, proposed: Floats, proposed_elsewhere: Floats, *, count: int) -> float:
    """Return the width of the interval if ``count`` of all items were judged."""
    remaining = len(judged) + len(proposed_elsewhere) - count
    spread = float(judged.var())
    if remaining <= 0:
        return float(2 * Z * np.sqrt(spread / count))
    of_model = float(np.concatenate([proposed, proposed_elsewhere]).var())
    covariance = float(((judged - judged.mean()) * (proposed - proposed.mean())).mean())
    weight = np.clip(covariance / (of_model * (1 + count / remaining)), 0.0, 1.0) if of_model > 0 else 0.0
    rectified = spread - 2 * weight * covariance + weight**2 * of_model
    return float(2 * Z * np.sqrt(max(rectified, 0.0) / count + weight**2 * of_model / remaining))


def _varied(judged: Floats) -> tuple[int, int]:
    """Return how many items are above and below the middle of the range: rare labels have no normal interval."""
    middle = (judged.max() + judged.min()) / 2
    return int((judged > middle).sum()), int((judged <= middle).sum()) if judged.max() > judged.min() else 0


def _reach(influence: Floats, clusters: Integers | None) -> float | None:
    """Return half of the width of the interval, from what each item adds to the deviation of the mean."""
    if clusters is None:
        return float(Z * np.sqrt((influence**2).sum()))
    from scipy.special import stdtrit

    _, numbers = np.unique(clusters, return_inverse=True)
    sums = np.bincount(numbers, influence)
    count = len(sums)
    if count < 3:
        return None
    return float(stdtrit(count - 1, 0.975) * np.sqrt(count / (count - 1) * (sums**2).sum()))
