"""Where a long source is cut into chunks: where no item and no face track is lost, if possible."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from curate.media.container.decode import MERGE_GAP_S, Span, keyframe_times, merge_spans
from curate.stages.preprocess.chunks import Chunk, CutPoint
from curate.stages.preprocess.video import find_cuts

_REACH_S = 30.0
"""How far a chunk may exceed its intended length to end at a cut, if people speak without a long pause."""
_GAP_WEIGHT = 0.25
"""What a second between items counts: it is listened to as well, but not watched."""


def find_cut_points(source: Chunk, path: Path, length_s: float) -> list[CutPoint]:
    """Return where to cut a source into chunks with about ``length_s`` of items; the last may be half as long again.

    The first of these is taken: a gap of two seconds between items, where pictures are not analysed and nothing is
    lost, up to half as long again; a cut of the pictures in a pause of the speech, up to 30 s later; the longest pause
    up to there, or the next one, which ends the face tracks. Shots that are items are never cut: a chunk ends with the
    first that ends after its intended length. A video without detectable keyframes is not cut, since processing each
    chunk would decode everything before it.
    """
    if source.cut_by == "clip":
        return []
    video = path if source.row["kind"] == "video" else None
    watched = merge_spans(source.watched, 0.0)
    points: list[CutPoint] = []
    start_s = 0.0
    while (latest_s := _time_after(watched, start_s, 1.5 * length_s)) is not None:
        intended_s = _time_after(watched, start_s, length_s)
        if intended_s is None or (video and not points and not keyframe_times(video)):
            break
        point = _next_point(source, watched, video, Span(intended_s, latest_s))
        if point is None:
            break
        points.append(point)
        start_s = point.time_s
    return points


def _time_after(watched: Sequence[Span], start_s: float, seconds: float) -> float | None:
    """Return when ``seconds`` of items have passed since ``start_s``, or None if fewer remain. Gaps count a quarter."""
    for span in watched:
        span_start_s = max(span.start_s, start_s)
        if span.end_s <= span_start_s:
            continue
        gap_s = (span_start_s - start_s) * _GAP_WEIGHT
        if gap_s > seconds:
            return start_s + seconds / _GAP_WEIGHT
        if gap_s + span.end_s - span_start_s > seconds:
            return span_start_s + seconds - gap_s
        seconds -= gap_s + span.end_s - span_start_s
        start_s = span.end_s
    return None


def _next_point(source: Chunk, watched: Sequence[Span], video: Path | None, allowed: Span) -> CutPoint | None:
    if source.cut_by == "shot":
        return _first_cut(video, Span(allowed.start_s, source.duration_s), exact=True)
    if gap := _long_gap(watched, allowed):
        return gap
    near = Span(allowed.start_s, min(allowed.end_s, allowed.start_s + _REACH_S))
    pauses = _pauses(source, watched, near)
    return _first_cut(video, near, pauses, exact=False) or _longest_pause(pauses, watched[-1].end_s)


def _long_gap(watched: Sequence[Span], allowed: Span) -> CutPoint | None:
    for before, after in pairwise([Span(0.0, 0.0), *watched]):
        is_long = after.start_s - before.end_s >= MERGE_GAP_S
        if is_long and after.start_s > allowed.start_s and before.end_s < allowed.end_s:
            return CutPoint(min(max(allowed.start_s, before.end_s), after.start_s), "gap")
    return None


def _pauses(source: Chunk, watched: Sequence[Span], near: Span) -> list[Span]:
    """Return the pauses between items, or utterances for windows, within ``near``; else the next one."""
    spoken = watched
    if source.cut_by == "window":
        spoken = merge_spans([utterance for voice in source.voices for utterance in voice.utterances], 0.0)
    edges = [Span(-1.0, 0.0), *spoken, Span(source.duration_s, 1e9)]
    pauses = [Span(before.end_s, after.start_s) for before, after in pairwise(edges)]
    clipped = [Span(max(pause.start_s, near.start_s), min(pause.end_s, near.end_s)) for pause in pauses]
    later = (pause for pause in pauses if pause.start_s > near.end_s)
    return [pause for pause in clipped if pause.end_s >= pause.start_s] or [next(later, pauses[-1])]


def _first_cut(
    video: Path | None, allowed: Span, pauses: Sequence[Span] | None = None, *, exact: bool
) -> CutPoint | None:
    """Return the first cut of the pictures, or the first one in any of the pauses."""
    for time_s in find_cuts(video, allowed, exact=exact) if video else ():
        if pauses is None or any(pause.start_s <= time_s <= pause.end_s for pause in pauses):
            return CutPoint(time_s, "cut")
    return None


def _longest_pause(pauses: Sequence[Span], end_s: float) -> CutPoint | None:
    longest = max(pauses, key=lambda pause: pause.end_s - pause.start_s)
    middle_s = (longest.start_s + longest.end_s) / 2
    return CutPoint(middle_s, "through") if middle_s < end_s else None
