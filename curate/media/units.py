"""Cut time into fixed windows or subtitle cues."""

from collections.abc import Sequence

from curate.media.container.decode import Span


def windows(duration_s: float, *, window_s: float, hop_s: float) -> list[Span]:
    """Return windows of exactly ``window_s`` every ``hop_s`` within the duration; times in whole milliseconds."""
    count = int((duration_s - window_s + 1e-6) / hop_s) + 1 if duration_s >= window_s - 1e-6 else 0
    starts = (index * hop_s for index in range(count))
    return [Span(round(start_s, 3), round(min(start_s + window_s, duration_s), 3)) for start_s in starts]


def cue_spans(cues: Sequence[Span], duration_s: float, *, min_s: float = 0.1) -> list[Span]:
    """Return the spans of cues in order and without overlap, inside 0-``duration_s``.

    If two overlap, both end and begin in the middle of the overlap; cues at the same time are merged. Spans shorter
    than ``min_s`` are dropped.
    """
    spans: list[Span] = []
    for cue in sorted(cues):
        span = Span(max(0.0, cue.start_s), min(cue.end_s, duration_s))
        if span.end_s - span.start_s < min_s:
            continue
        if spans and span.start_s < spans[-1].end_s:
            last = spans[-1]
            if span.end_s <= last.end_s or span.start_s - last.start_s < min_s:
                spans[-1] = Span(last.start_s, max(last.end_s, span.end_s))
                continue
            middle_s = (span.start_s + last.end_s) / 2
            spans[-1] = Span(last.start_s, middle_s)
            span = Span(middle_s, span.end_s)
        spans.append(span)
    return [Span(round(s.start_s, 3), round(s.end_s, 3)) for s in spans if s.end_s - s.start_s >= min_s - 1e-9]
