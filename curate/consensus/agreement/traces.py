"""Agreement on values over time: concordance of traces, as recorded and with each rater's lag removed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from curate.consensus.agreement.alpha import from_moments
from curate.consensus.agreement.intraclass import concordance
from curate.consensus.agreement.ratings import Floats
from curate.consensus.agreement.sums import ItemSums, undefined

MAX_LAG_S = 6.0
"""The longest lag that is looked for; people who follow a film with a slider are 2 to 4 s late."""
_ROUNDS = 3
_GAIN = 1e-6


class Trace(NamedTuple):
    """What one rater recorded over one item: a number every ``step_s`` from its start, NaN where nothing was judged."""

    item: int
    rater: int
    samples: Floats
    step_s: float


def trace_ccc(traces: Sequence[Trace], lags: Mapping[int, int] | None = None) -> ItemSums:
    """Return the concordance of all samples, pooled over all pairs of raters and items (see ``intraclass.ccc``).

    ``lags`` says by how many samples each rater is late.
    """
    from scipy import sparse

    names = sorted({trace.rater for trace in traces if trace.rater >= 0})
    if len(names) < 2:
        return undefined("fewer than two raters are named")
    column_of = {pair: 6 * number for number, pair in enumerate(combinations(names, 2))}
    matrix = sparse.lil_matrix((max(trace.item for trace in traces) + 1, 6 * len(column_of)))
    for item, members in _by_item(traces).items():
        shifted = {trace.rater: shift(trace.samples, (lags or {}).get(trace.rater, 0)) for trace in members}
        for first, second in combinations(sorted(rater for rater in shifted if rater >= 0), 2):
            length = min(len(shifted[first]), len(shifted[second]))
            x, y = shifted[first][:length], shifted[second][:length]
            both = np.isfinite(x) & np.isfinite(y)
            if both.any():
                x, y = x[both], y[both]
                start = column_of[first, second]
                sums = [len(x), x.sum(), y.sum(), (x**2).sum(), (y**2).sum(), (x * y).sum()]
                matrix[item, start : start + 6] = sums
    if not matrix.nnz:
        return undefined("no two raters judged the same stretch")
    note = f"pooled over {len(column_of)} pairs of raters" if len(column_of) > 1 else ""
    return concordance(matrix.tocsr(), note)


def trace_alpha(traces: Sequence[Trace]) -> ItemSums:
    """Return Krippendorff's interval alpha, each sample being a unit; its interval is over whole items."""
    moments = np.zeros((max((trace.item for trace in traces), default=-1) + 1, 4))
    centre = np.nanmean(np.concatenate([trace.samples for trace in traces])) if traces else 0.0
    for item, members in _by_item(traces).items():
        table = _aligned([trace.samples - centre for trace in members])
        judged = np.isfinite(table).sum(axis=0)
        filled = np.nan_to_num(table)[:, judged >= 2]
        count = judged[judged >= 2].astype(np.float64)
        numbers, squares = filled.sum(axis=0), (filled**2).sum(axis=0)
        apart = 2 * np.maximum(count * squares - numbers**2, 0) / np.maximum(count - 1, 1)
        moments[item] = apart.sum(), count.sum(), numbers.sum(), squares.sum()
    return from_moments(*moments.T)


def rater_lags(traces: Sequence[Trace]) -> dict[int, int]:
    """Return by how many samples each named rater is late, against the mean of the others.

    The lag is the shift with the highest correlation over all items, at most ``MAX_LAG_S`` either way. A lag that all
    raters share cannot be seen, so lags have the mean 0, up to rounding.
    """
    named = [trace for trace in traces if trace.rater >= 0]
    lags = dict.fromkeys(sorted({trace.rater for trace in named}), 0)
    items = [members for members in _by_item(named).values() if len(members) > 1]
    if not items:
        return {}
    limit = round(MAX_LAG_S / named[0].step_s)
    candidates = sorted(range(-limit, limit + 1), key=abs)
    for _ in range(_ROUNDS):
        before = dict(lags)
        for rater in lags:
            lags[rater] = _best_lag(rater, items, lags, candidates)
        centre = round(sum(lags.values()) / len(lags))
        lags = {rater: lag - centre for rater, lag in lags.items()}
        if lags == before:
            break
    return lags


def shift(samples: Floats, lag: int) -> Floats:
    """Return samples as they would be without a lag: each comes ``lag`` samples earlier, NaN where nothing is left."""
    shifted = np.full(len(samples), np.nan)
    if lag >= 0:
        shifted[: max(len(samples) - lag, 0)] = samples[lag:]
    else:
        shifted[-lag:] = samples[:lag]
    return shifted


def _best_lag(rater: int, items: Sequence[Sequence[Trace]], lags: Mapping[int, int], candidates: Sequence[int]) -> int:
    pairs = []
    for members in items:
        rater_samples = next((trace.samples for trace in members if trace.rater == rater), None)
        remaining = [shift(trace.samples, lags[trace.rater]) for trace in members if trace.rater != rater]
        if rater_samples is not None and remaining:
            pairs.append((rater_samples, _mean(_aligned(remaining))))
    best, highest = 0, -np.inf
    for lag in candidates:
        x, y = (np.concatenate(parts) for parts in zip(*(_overlap(shift(a, lag), b) for a, b in pairs), strict=True))
        if len(x) < 3 or not (np.ptp(x) and np.ptp(y)):
            continue
        correlation = float(np.corrcoef(x, y)[0, 1])
        if correlation > highest + _GAIN:
            best, highest = lag, correlation
    return best


def _overlap(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    length = min(len(first), len(second))
    both = np.isfinite(first[:length]) & np.isfinite(second[:length])
    return first[:length][both], second[:length][both]


def _aligned(rows: Sequence[Floats]) -> Floats:
    """Return rows of different lengths as a table, NaN after the end of each."""
    table = np.full((len(rows), max(map(len, rows))), np.nan)
    for row, samples in zip(table, rows, strict=True):
        row[: len(samples)] = samples
    return table


def _mean(table: Floats) -> Floats:
    judged = np.isfinite(table).sum(axis=0)
    return np.where(judged, np.nan_to_num(table).sum(axis=0) / np.maximum(judged, 1), np.nan)


def _by_item(traces: Sequence[Trace]) -> dict[int, list[Trace]]:
    members: dict[int, list[Trace]] = defaultdict(list)
    for trace in traces:
        members[trace.item].append(trace)
    return members
