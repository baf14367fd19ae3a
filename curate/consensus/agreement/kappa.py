"""Percent agreement, and the kappas and Gwet's coefficients that correct it for chance."""

from itertools import combinations
from typing import Any, Literal

import numpy as np

from curate.consensus.agreement.ratings import UNNAMED, Counts, Floats, Ratings
from curate.consensus.agreement.sums import Estimate, ItemSums, to_sums, undefined

_MAX_COLUMNS = 200_000
_PARADOX_AGREEMENT, _PARADOX_KAPPA = 0.8, 0.4
_NO_PAIR = "no item has two judgements"
_ONE_VALUE = "every judgement is the same value: people agree, but nothing shows what chance alone would give"


def percent(counts: Counts) -> ItemSums:
    """Return the share (0-1) of pairs of judgements that are equal: the mean over items with at least two."""
    paired = counts.paired()
    weights = np.ones(paired.matrix.shape[0])
    statistics = to_sums(_agreement_of_items(paired), weights)
    return ItemSums(statistics, lambda sums: sums[:, 0] / sums[:, 1], lambda sums: _NO_PAIR)


def fleiss_kappa(counts: Counts) -> ItemSums:
    """Return Fleiss' kappa (1971), at most 1: percent agreement corrected by the shares of values in all judgements.

    Items may have different numbers of judgements; each item with at least two counts alike in the agreement.
    """
    paired = counts.paired()
    totals = paired.totals()
    statistics = to_sums(_agreement_of_items(paired), np.ones(len(totals)), paired.matrix)

    def solve(sums: Floats) -> Floats:
        frequencies = sums[:, 2:]
        chance = ((frequencies / frequencies.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
        return corrected(sums[:, 0] / sums[:, 1], chance)

    sizes = np.unique(totals)
    note = f"items have {sizes[0]:g} to {sizes[-1]:g} judgements" if len(sizes) > 1 else ""
    return ItemSums(statistics, solve, lambda sums: _ONE_VALUE if sums[1] else _NO_PAIR, note)


def gwet_ac(counts: Counts, weights: Literal["identity", "linear", "quadratic"] = "identity") -> ItemSums:
    """Return Gwet's AC1, or with weights for numbers AC2, at most 1; stable where nearly all judgements are equal.

    ``counts.values`` must be all values that could be rated. Items with one judgement count for the shares of values.
    Source: K. Gwet, Handbook of Inter-Rater Reliability, 4th edition (2014), chapters 3 and 5.
    """
    rated = Counts(counts.matrix[counts.totals() > 0], counts.values)
    totals, size = rated.totals(), len(rated.values)
    has_pair = totals >= 2
    weight = _weights(rated.values, weights)
    if weight is None:
        supported, weight_sum = rated.matrix, float(size)
    else:
        supported, weight_sum = rated.matrix @ weight, float(weight.sum())
    products = np.asarray(rated.matrix.multiply(supported).sum(axis=1)).ravel()
    agreement = np.where(has_pair, (products - totals) / np.maximum(totals * (totals - 1), 1), 0.0)
    shares = rated.matrix.multiply(1 / np.maximum(totals, 1)[:, None])
    statistics = to_sums(agreement, has_pair.astype(np.float64), np.ones(len(totals)), shares)

    def solve(sums: Floats) -> Floats:
        share = sums[:, 3:] / sums[:, 2:3]
        chance = weight_sum / (size * (size - 1)) * (share * (1 - share)).sum(axis=1)
        return corrected(sums[:, 0] / sums[:, 1], chance)

    return ItemSums(statistics, solve, lambda sums: _NO_PAIR if not sums[1] else "there is only one possible value")


def cohen_kappa(ratings: Ratings, *, quadratic: bool = False) -> ItemSums:
    """Return Cohen's kappa (1960), at most 1: of more than two raters the mean over pairs (Light, 1971).

    Pairs count by the items that both judged. With ``quadratic``, values are numbers, and disagreement is their squared
    difference (Cohen, 1968).
    """
    matrix, raters = _by_rater(ratings)
    if raters < 2:
        return undefined(ratings.why_no_pairs())
    pairs = list(combinations(range(raters), 2))
    size = len(ratings.values)
    width = 6 if quadratic else 2 * size + 2
    if len(pairs) * width > _MAX_COLUMNS:
        return undefined(f"{raters} raters make too many pairs; see Fleiss' kappa")
    numbers = np.asarray(ratings.values if quadratic else range(size), dtype=np.float64)
    blocks = [_pair_columns(matrix[:, first], matrix[:, second], numbers, size, quadratic) for first, second in pairs]
    used = [block for block in blocks if block is not None]
    if not used:
        return undefined("no two raters judged the same item")

    def solve(sums: Floats) -> Floats:
        parts = sums.reshape(len(sums), len(used), width)
        judged = parts[:, :, 0]
        if quadratic:
            difference, x, y, xx, yy = (parts[:, :, column] for column in range(1, 6))
            chance = xx + yy - 2 * x * y / judged
            kappa = np.where(chance > 1e-12, 1 - difference / chance, np.nan)
        else:
            chance = (parts[:, :, 2 : size + 2] * parts[:, :, size + 2 :]).sum(axis=2) / judged**2
            kappa = corrected(parts[:, :, 1] / judged, chance)
        weight = np.where(np.isfinite(kappa), judged, 0.0)
        return np.asarray((np.nan_to_num(kappa) * weight).sum(axis=1) / weight.sum(axis=1), np.float64)

    note = f"mean over {len(used)} pairs of raters" if len(used) > 1 else ""
    return ItemSums(to_sums(*used), solve, lambda sums: _ONE_VALUE, note)


def note_paradox(kappa: Estimate, agreement: float | None) -> Estimate:
    """Return a kappa with a note where it is low although people agree (Feinstein and Cicchetti, 1990)."""
    if kappa.value is None or agreement is None:
        return kappa
    if agreement < _PARADOX_AGREEMENT or kappa.value > _PARADOX_KAPPA:
        return kappa
    paradox = "kappa paradox: one value dominates, so kappa is low although people agree; see gwet_ac1"
    return kappa._replace(note="; ".join(filter(None, (kappa.note, paradox))))


def corrected(agreement: Floats, chance: Floats) -> Floats:
    """Return agreement beyond chance as a share of what is possible beyond chance; NaN where nothing is."""
    return np.where(chance < 1 - 1e-12, (agreement - chance) / (1 - chance), np.nan)


def _agreement_of_items(paired: Counts) -> Floats:
    totals = paired.totals()
    squares = np.asarray(paired.matrix.multiply(paired.matrix).sum(axis=1)).ravel()
    return np.asarray((squares - totals) / (totals * (totals - 1)), dtype=np.float64)


def _weights(values: Any, kind: str) -> Floats | None:
    if kind == "identity":
        return None
    numbers = np.asarray(values, dtype=np.float64)
    distance = np.abs(numbers[:, None] - numbers[None, :]) / max(float(np.ptp(numbers)), 1e-300)
    return 1 - (distance if kind == "linear" else distance**2)


def _by_rater(ratings: Ratings) -> tuple[Any, int]:
    """Return the codes of items by raters, -1 where there is none, and the number of raters; the last of two counts."""
    named = ratings.select(ratings.raters != UNNAMED)
    numbers, raters = np.unique(named.raters, return_inverse=True)
    matrix = np.full((named.item_count, len(numbers)), -1, dtype=np.int64)
    matrix[named.items, raters] = named.codes
    return matrix, len(numbers)


def _pair_columns(first: Any, second: Any, numbers: Floats, size: int, quadratic: bool) -> Any:
    """Return what each item adds to one pair of raters; None if they have no item in common."""
    from scipy import sparse

    items = np.flatnonzero((first >= 0) & (second >= 0))
    if not len(items):
        return None
    a, b = first[items], second[items]
    weights = np.ones(len(items))
    if quadratic:
        x, y = (numbers[codes] - numbers.mean() for codes in (a, b))
        dense = np.column_stack([weights, (x - y) ** 2, x, y, x**2, y**2])
        columns = np.tile(np.arange(6), len(items))
        rows = np.repeat(items, 6)
        return sparse.csr_matrix((dense.ravel(), (rows, columns)), shape=(len(first), 6))
    rows = np.concatenate([items, items, items, items])
    columns = np.concatenate([np.zeros_like(items), np.ones_like(items), a + 2, b + size + 2])
    data = np.concatenate([weights, (a == b).astype(np.float64), weights, weights])
    return sparse.csr_matrix((data, (rows, columns)), shape=(len(first), 2 * size + 2))
