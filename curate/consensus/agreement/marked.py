"""The measures of traces and marked regions for the judgements of a field."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from curate.consensus.agreement import measures as table
from curate.consensus.agreement.judged import Judged
from curate.consensus.agreement.regions import (
    CHARACTERS,
    SECONDS,
    Marks,
    boundary_f1,
    detection_f1,
    label_alpha,
    label_percent,
    pair_regions,
    place_iou,
)
from curate.consensus.agreement.sums import Estimate, ItemSums
from curate.consensus.agreement.traces import MAX_LAG_S, Trace, rater_lags, trace_alpha, trace_ccc

Entry = tuple[str, ItemSums | Estimate, dict[str, Any]]


def region_measures(part: Judged, comparison: str) -> Iterator[Entry]:
    """Yield the agreement on regions: whether, where and with which label, and their ends by tolerance."""
    ratings = part.ratings()
    columns = zip(ratings.items.tolist(), ratings.raters.tolist(), ratings.codes.tolist(), strict=True)
    marks = [Marks(item, rater, ratings.values[code]) for item, rater, code in columns]
    pairs = pair_regions(marks)
    yield table.DETECTION.name, detection_f1(pairs), {}
    yield table.LOCALISATION.name, place_iou(pairs), {}
    yield table.LABEL_PERCENT.name, label_percent(pairs), {}
    yield table.LABEL_ALPHA.name, label_alpha(pairs), {}
    tolerances = {"ranges": SECONDS, "spans": CHARACTERS}.get(comparison, ())
    unit = "s" if comparison == "ranges" else "characters"
    for tolerance in tolerances:
        yield table.BOUNDARY.name, boundary_f1(marks, tolerance), {"tolerance": f"{tolerance:g} {unit}"}


def trace_measures(part: Judged) -> Iterator[Entry]:
    """Yield the agreement on traces as recorded and with lags removed, each rater's lag, and alpha."""
    ratings = part.ratings()
    traces = [
        Trace(item, rater, _samples(ratings.values[code]), ratings.values[code]["step_s"])
        for item, rater, code in zip(
            ratings.items.tolist(), ratings.raters.tolist(), ratings.codes.tolist(), strict=True
        )
    ]
    yield table.TRACE_CCC.name, trace_ccc(traces), {}
    lags = rater_lags(traces)
    yield table.TRACE_ALIGNED.name, trace_ccc(traces, lags), {}
    for rater, lag in lags.items():
        seconds = lag * traces[0].step_s
        note = f"at the limit of {MAX_LAG_S:g} s" if abs(seconds) >= MAX_LAG_S - traces[0].step_s else ""
        yield table.TRACE_LAG.name, Estimate(seconds, note=note), {"rater": part.rater_names[rater]}
    yield table.TRACE_ALPHA.name, trace_alpha(traces), {}


def _samples(value: Any) -> Any:
    return np.array([np.nan if sample is None else sample for sample in value["values"]], dtype=np.float64)
