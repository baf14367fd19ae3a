"""Agreement on what has a place in time or text: traces, ranges, spans and boxes."""

import numpy as np
import pytest

from curate.consensus.agreement.regions import (
    Marks,
    boundary_f1,
    detection_f1,
    label_alpha,
    label_percent,
    pair_regions,
    place_iou,
)
from curate.consensus.agreement.sums import estimate
from curate.consensus.agreement.traces import Trace, rater_lags, trace_alpha, trace_ccc
from curate.labels.fields.boxes.shapes import TrackRegion
from curate.labels.fields.regions import Interval


def followed(lags, *, step_s=0.1, items=4, noise=0.05):
    """Traces of raters who follow the same value, late by so many samples."""
    rng = np.random.default_rng(5)
    traces = []
    for item in range(items):
        truth = np.cumsum(rng.normal(size=420)) / 10
        for rater, lag in enumerate(lags):
            samples = np.roll(truth, lag)[50:350] + rng.normal(0, noise, 300)
            traces.append(Trace(item, rater, samples, step_s))
    return traces


def test_lags_are_found_and_removed():
    traces = followed([20, 35, 5])
    lags = rater_lags(traces)
    assert (lags[1] - lags[0], lags[2] - lags[0]) == (15, -15)
    assert sum(lags.values()) == 0
    recorded, aligned = estimate(trace_ccc(traces)).value, estimate(trace_ccc(traces, lags)).value
    assert recorded < 0.93
    assert aligned > 0.98
    two = followed([0, 12])
    assert rater_lags(two)[1] - rater_lags(two)[0] == 12


def test_traces_of_two_raters_are_as_concordant_as_their_samples():
    x, y = np.array([1.0, 2, 3, 4, np.nan]), np.array([1.0, 2, 4, 4, 5, 6])
    a, b = x[:4], y[:4]
    expected = 2 * np.cov(a, b, bias=True)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    traces = [Trace(0, 0, x, 1.0), Trace(0, 1, y, 1.0)]
    assert estimate(trace_ccc(traces)).value == pytest.approx(expected)
    # krippendorff.alpha([[1, 2, 3, 4], [1, 2, 4, 4]], level_of_measurement="interval"), krippendorff 0.9.0
    assert estimate(trace_alpha(traces)).value == pytest.approx(0.9263157894736842)
    assert estimate(trace_ccc(traces[:1])).note == "fewer than two raters are named"
    assert rater_lags(traces[:1]) == {}


def test_detection_place_and_label_are_apart():
    first = [Interval("joy", 0, 10), Interval("fear", 20, 30), Interval("anger", 50, 51)]
    second = [Interval("joy", 5, 10), Interval("joy", 20, 30)]
    marks = [Marks(0, 0, first), Marks(0, 1, second), Marks(1, 0, []), Marks(1, 1, [])]
    pairs = pair_regions(marks)
    assert estimate(detection_f1(pairs)).value == pytest.approx(4 / 5)
    assert estimate(place_iou(pairs)).value == pytest.approx((0.5 + 1) / 2)
    assert estimate(label_percent(pairs)).value == pytest.approx(1 / 2)
    # krippendorff.alpha([["joy", "fear"], ["joy", "joy"]] as numbers, level_of_measurement="nominal")
    assert estimate(label_alpha(pairs)).value == pytest.approx(0.0)
    sweep = [estimate(boundary_f1(marks, tolerance)).value for tolerance in (0, 4.9, 5)]
    assert sweep == pytest.approx([6 / 10, 6 / 10, 8 / 10])


def test_spans_of_other_turns_never_overlap():
    marks = [Marks(0, 0, [Interval("a", 0, 5, 0)]), Marks(0, 1, [Interval("a", 0, 5, 1)])]
    pairs = pair_regions(marks)
    assert estimate(detection_f1(pairs)).value == 0
    assert estimate(place_iou(pairs)).note == "no regions of two raters overlap"
    assert estimate(label_alpha(pairs)).value is None
    assert estimate(boundary_f1(marks, 2)).value == 0
    assert estimate(detection_f1(pair_regions([Marks(0, 0, []), Marks(0, 1, [])]))).note == "nobody marked anything"


def test_instants_and_boxes():
    instant = Interval("smile", 2.0, 2.0)
    assert instant.overlap(Interval("frown", 2.0, 2.0)) == 1
    assert instant.overlap(Interval("smile", 2.1, 2.2)) == 0
    sides = {"width": 0.5, "height": 0.5, "time_s": 0.0, "visible": True}
    box, half = (TrackRegion("face", [{"x": x, "y": 0.0, **sides}]) for x in (0.0, 0.25))
    assert box.overlap(half) == pytest.approx(1 / 3)
    assert box.overlap(instant) == 0
