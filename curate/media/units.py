"""Cut time into units other than utterances: fixed windows, and subtitle cues."""

from collections.abc import Sequence

from curate.media.container.decode import Span


def windows(duration_s: float, *, window_s: float, hop_s: float) -> list[Span]:
    """Windows of exactly ``window_s`` every ``hop_s``, as many as lie within the duration; times in whole ms."""
    count = int((duration_s - window_s + 1e-6) / hop_s) + 1 if duration_s >= window_s - 1e-6 else 0
    starts = (place * hop_s for place in range(count))
    return [Span(round(start_s, 3), round(min(start_s + window_s, duration_s), 3)) for start_s in starts]


def cue_spans(cues: Sequence[Span], duration_s: float, *, min_s: float = 0.1) -> list[Span]:
    """The spans of cues in order and without overlap, inside 0-``duration_s``.

    Where two overlap, the earlier one ends in the middle of what they share; cues at the same time are one; what is
    then shorter than ``min_s`` is left out.
    """
    found: list[Span] = []
    for cue in sorted(cues):
        span = Span(max(0.0, cue.start_s), min(cue.end_s, duration_s))
        if span.end_s - span.start_s < min_s:
            continue
        if found and span.start_s < found[-1].end_s:
            last = found[-1]
            if span.end_s <= last.end_s or span.start_s - last.start_s < min_s:
                found[-1] = Span(last.start_s, max(last.end_s, span.end_s))
                continue
            middle_s = (span.start_s + last.end_s) / 2
            found[-1] = Span(last.start_s, middle_s)
            span = Span(middle_s, span.end_s)
        found.append(span)
    return [
        Span(round(one.start_s, 3), round(one.end_s, 3)) for one in found if one.end_s - one.start_s >= min_s - 1e-9
    ]
