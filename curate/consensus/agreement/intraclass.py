"""Agreement on numbers: intraclass correlations and Lin's concordance correlation coefficient."""

from itertools import combinations
from typing import Any, Literal

import numpy as np

from curate.consensus.agreement.ratings import UNNAMED, Floats, Ratings
from curate.consensus.agreement.sums import ItemSums, to_sums, undefined

_MAX_COLUMNS = 200_000
_TINY = 1e-12
_CONSTANT = "all numbers are equal: nothing varies that people could agree on"
_NO_ITEM_EFFECT = "raters differ within items more than items differ: the mean of raters does not tell items apart"


def icc(ratings: Ratings, form: Literal["1_1", "2_1", "2_k"] = "2_1") -> ItemSums:
    """Return an intraclass correlation of absolute agreement, at most 1 (Shrout and Fleiss, 1979).

    ``1_1``: one judgement by any rater, also without names and with different numbers of judgements. ``2_1``: one
    judgement by one of these raters; ``2_k``: the mean of all of them. The latter two use the items that every rater
    judged.
    """
    if form == "1_1":
        return _one_way(ratings)
    table, names = _number_table(ratings)
    if names < 2:
        return undefined(ratings.why_no_pairs())
    complete = np.isfinite(table).all(axis=1)
    rated = int(np.isfinite(table).any(axis=1).sum())
    if complete.sum() < 2:
        return undefined(f"needs items that all {names} raters judged; there are {int(complete.sum())} of {rated}")
    note = "" if complete.all() else f"over the {int(complete.sum())} of {rated} items that all {names} raters judged"
    return _two_way(table[complete], form)._replace(note=note)


def _one_way(ratings: Ratings) -> ItemSums:
    numbers = _centred(ratings)
    totals = np.bincount(ratings.items, minlength=ratings.item_count).astype(np.float64)
    sums = np.bincount(ratings.items, numbers, minlength=ratings.item_count)
    squares = np.bincount(ratings.items, numbers**2, minlength=ratings.item_count)
    used = totals >= 2
    totals, sums, squares = totals[used], sums[used], squares[used]
    within = np.maximum(squares - sums**2 / totals, 0)
    statistics = to_sums(np.ones(len(totals)), totals, totals**2, sums, sums**2 / totals, within)

    def solve(total: Floats) -> Floats:
        items, judgements, squared, number, of_items, inside = total.T
        mean_between = (of_items - number**2 / judgements) / (items - 1)
        mean_within = inside / (judgements - items)
        per_item = (judgements - squared / judgements) / (items - 1)
        return _share(mean_between - mean_within, mean_between + (per_item - 1) * mean_within)

    return ItemSums(statistics, solve, lambda total: _CONSTANT if total[0] > 1 else "fewer than two items have pairs")


def _two_way(table: Floats, form: str) -> ItemSums:
    table = table - table.mean()
    raters = table.shape[1]
    statistics = to_sums(np.ones(len(table)), (table**2).sum(axis=1), table.sum(axis=1) ** 2 / raters, table)

    def solve(total: Floats) -> Floats:
        items, squares, of_rows = total[:, 0], total[:, 1], total[:, 2]
        columns = total[:, 3:]
        correction = columns.sum(axis=1) ** 2 / (items * raters)
        rows = of_rows - correction
        of_raters = (columns**2).sum(axis=1) / items - correction
        mean_rows, mean_raters = rows / (items - 1), of_raters / (raters - 1)
        error = np.maximum(squares - correction - rows - of_raters, 0) / ((items - 1) * (raters - 1))
        shift = (mean_raters - error) / items
        if form == "2_k":
            # Below 0 the quotient exceeds 1 and means nothing.
            return _share(mean_rows - error, np.maximum(mean_rows + shift, 0.0))
        return _share(mean_rows - error, mean_rows + (raters - 1) * error + raters * shift)

    return ItemSums(statistics, solve, lambda total: _NO_ITEM_EFFECT if total[1] > _TINY else _CONSTANT)


def ccc(ratings: Ratings) -> ItemSums:
    """Return Lin's concordance correlation coefficient (1989), -1 to 1, of more than two raters the overall one.

    The overall coefficient (Barnhart, Haber and Song, 2002) pools all pairs of raters over the items that both judged.
    """
    from scipy import sparse

    table, names = _number_table(ratings)
    if names < 2:
        return undefined(ratings.why_no_pairs())
    pairs = list(combinations(range(names), 2))
    if len(pairs) * 6 > _MAX_COLUMNS:
        return undefined(f"{names} raters make too many pairs; see the intraclass correlation")
    # Sparse one by one: few raters of a crowd judge the same item.
    moments = (_moments(table[:, first], table[:, second]) for first, second in pairs)
    blocks = [sparse.csr_matrix(block) for block in moments if block is not None]
    if not blocks:
        return undefined("no two raters judged the same item")
    note = f"pooled over {len(blocks)} pairs of raters" if len(blocks) > 1 else ""
    return concordance(to_sums(*blocks), note)


def concordance(statistics: Any, note: str = "") -> ItemSums:
    """Return the pooled coefficient from six sums for each pair of raters: n, x, y, xx, yy, xy."""

    def solve(total: Floats) -> Floats:
        judged, x, y, xx, yy, xy = np.moveaxis(total.reshape(len(total), -1, 6), 2, 0)
        has_pair = judged > 0
        count = np.where(has_pair, judged, 1.0)
        covariance = xy / count - x * y / count**2
        spread = np.maximum(xx / count - (x / count) ** 2, 0) + np.maximum(yy / count - (y / count) ** 2, 0)
        apart = spread + (x / count - y / count) ** 2
        return _share(2 * (covariance * has_pair).sum(axis=1), (apart * has_pair).sum(axis=1))

    return ItemSums(statistics, solve, lambda total: _CONSTANT, note)


def _number_table(ratings: Ratings) -> tuple[Floats, int]:
    """Return the numbers of items by named raters, centred, NaN where there is none; and the number of raters."""
    named = ratings.raters != UNNAMED
    names, raters = np.unique(ratings.raters[named], return_inverse=True)
    table = np.full((ratings.item_count, len(names)), np.nan)
    table[ratings.items[named], raters] = _centred(ratings)[named]
    return table, len(names)


def _centred(ratings: Ratings) -> Floats:
    """Return the numbers about their mean in units of their range: no measure here depends on either."""
    numbers = np.asarray(ratings.values, dtype=np.float64)[ratings.codes]
    if not len(numbers):
        return numbers
    return np.asarray((numbers - numbers.mean()) / (float(np.ptp(numbers)) or 1.0), dtype=np.float64)


def _moments(first: Floats, second: Floats) -> Any:
    """Return what each item adds to one pair of raters; None if they have no item in common."""
    both = np.isfinite(first) & np.isfinite(second)
    if not both.any():
        return None
    x, y = np.where(both, first, 0.0), np.where(both, second, 0.0)
    return np.column_stack([both.astype(np.float64), x, y, x**2, y**2, x * y])


def _share(numerator: Floats, denominator: Floats) -> Floats:
    is_defined = np.abs(denominator) > _TINY
    return np.where(is_defined, numerator / np.where(is_defined, denominator, 1.0), np.nan)
