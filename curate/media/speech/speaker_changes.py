"""Cut utterances where the speaker changes."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from curate.media.container.decode import Span
from curate.media.speech.speakers import SpeakerTurn

MIN_PIECE_S = 0.25


def cut_at_changes(
    spans: Sequence[Span],
    turns: Sequence[SpeakerTurn],
    *,
    min_s: float = MIN_PIECE_S,
    adjust: Callable[[float], float] | None = None,
) -> list[Span]:
    """Return the spans, each cut where one speaker's turn ends and another's begins.

    A cut lies in the middle of the gap between two turns. Where turns overlap, the longer one counts. Nobody's piece is
    shorter than ``min_s``: shorter ones join their longer neighbour. ``adjust`` returns the best time near a cut.
    """
    ordered = sorted(turns)
    pieces: list[Span] = []
    first = 0
    for span in spans:
        while first < len(ordered) and max(turn.span.end_s for turn in ordered[first : first + 1]) <= span.start_s:
            first += 1
        within = []
        for turn in ordered[first:]:
            if turn.span.start_s >= span.end_s:
                break
            if turn.span.end_s > span.start_s:
                within.append(turn)
        changes = _changes(span, within, min_s)
        cuts = sorted(changes if adjust is None else map(adjust, changes))
        edges = [span.start_s, *(round(cut_s, 3) for cut_s in cuts if span.start_s < cut_s < span.end_s), span.end_s]
        pieces += [Span(start_s, end_s) for start_s, end_s in pairwise(edges) if end_s > start_s]
    return pieces


def _changes(span: Span, turns: Sequence[SpeakerTurn], min_s: float) -> list[float]:
    """Return the times at which another speaker begins."""
    stretches = _stretches(span, turns)
    while len(stretches) > 1:
        lengths = [turn.span.end_s - turn.span.start_s for turn in stretches]
        shortest = lengths.index(min(lengths))
        if lengths[shortest] >= min_s:
            break
        neighbours = [index for index in (shortest - 1, shortest + 1) if 0 <= index < len(stretches)]
        longer = max(neighbours, key=lambda index: lengths[index])
        stretches[shortest] = stretches[shortest]._replace(speaker=stretches[longer].speaker)
        stretches = _joined(stretches)
    return [turn.span.start_s for turn in stretches[1:]]


def _stretches(span: Span, turns: Sequence[SpeakerTurn]) -> list[SpeakerTurn]:
    """Return whose turn it is throughout a span, as turns without gap or overlap."""
    edges = sorted({span.start_s, span.end_s, *(min(max(t, span.start_s), span.end_s) for x in turns for t in x.span)})
    spoken = []
    for start_s, end_s in pairwise(edges):
        at_once = [turn for turn in turns if turn.span.start_s <= start_s and turn.span.end_s >= end_s]
        if at_once:
            longest = max(at_once, key=lambda turn: turn.span.end_s - turn.span.start_s)
            spoken.append(SpeakerTurn(Span(start_s, end_s), longest.speaker))
    middles = [(a.span.end_s + b.span.start_s) / 2 for a, b in pairwise(spoken)]
    bounds = [span.start_s, *middles, span.end_s]
    return _joined([turn._replace(span=Span(*edge)) for turn, edge in zip(spoken, pairwise(bounds), strict=False)])


def _joined(turns: Sequence[SpeakerTurn]) -> list[SpeakerTurn]:
    joined: list[SpeakerTurn] = []
    for turn in turns:
        if joined and joined[-1].speaker == turn.speaker:
            turn = turn._replace(span=Span(joined.pop().span.start_s, turn.span.end_s))
        joined.append(turn)
    return joined
