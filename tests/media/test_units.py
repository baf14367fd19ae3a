"""Fixed windows and subtitle cues as units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.media.container.decode import Span
from curate.media.units import cue_spans, windows


def test_windows():
    assert windows(1.0, window_s=0.4, hop_s=0.2) == [Span(0, 0.4), Span(0.2, 0.6), Span(0.4, 0.8), Span(0.6, 1.0)]
    assert windows(0.3, window_s=0.4, hop_s=0.2) == []
    assert windows(0.4, window_s=0.4, hop_s=0.4) == [Span(0, 0.4)]
    tenths = windows(36_000.0, window_s=0.2, hop_s=0.2)
    assert len(tenths) == 180_000
    assert tenths[-1] == pytest.approx((35_999.8, 36_000.0))


def test_cues_that_overlap_are_out_of_order_or_lie_beyond_the_end():
    cues = [Span(4, 6), Span(0.5, 2), Span(1.5, 3), Span(9, 12), Span(99, 100), Span(4, 6), Span(4.5, 5)]
    assert cue_spans(cues, 10.0) == [Span(0.5, 1.75), Span(1.75, 3), Span(4, 6), Span(9, 10)]
    assert cue_spans([], 10.0) == []


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 20)), max_size=30), st.floats(0, 40))
def test_spans_of_cues_are_in_order_and_apart(cues, duration_s):
    found = cue_spans([Span(start_s, start_s + length_s) for start_s, length_s in cues], duration_s)
    edges = [edge for span in found for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= edge <= duration_s + 0.001 for edge in edges)
    assert all(span.end_s - span.start_s >= 0.098 for span in found)
