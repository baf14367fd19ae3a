"""Several raters' spans as one set, character by character."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from curate.labels.fields.base import AggregationRule
from curate.labels.fields.checks import is_settled

Cell = tuple[int | None, str, int]
"""A turn, a label and the index of one character."""


class Candidate(NamedTuple):
    """A possible span, and how many raters support it (the mean over its characters)."""

    turn: int | None
    label: str
    start: int
    end: int
    text: str
    support: float

    def order(self) -> tuple[int, int, int, str]:
        """Return the sort key of spans in a text."""
        return (-1 if self.turn is None else self.turn, self.start, self.end, self.label)


def jaccard(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """Return the labelled characters that two values share, as a share (0-1) of all that either has."""
    first, second = _cells(a), _cells(b)
    return len(first.keys() & second.keys()) / len(first.keys() | second.keys())


def agreed_spans(
    values: Sequence[Mapping[str, Any]], rule: AggregationRule, *, max_spans: int, max_chars: int
) -> list[dict[str, Any]]:
    """Return the longest stretches of characters to which enough raters give a label, in text order.

    A stretch of more than ``max_chars`` is replaced by the raters' own spans in it. Of overlapping ones among these,
    and of more than ``max_spans`` in all, those with most support are kept.
    """
    votes: dict[Cell, int] = defaultdict(int)
    chars: dict[Cell, str] = {}
    for value in values:
        for cell, char in _cells(value).items():
            votes[cell] += 1
            chars[cell] = char
    settled = [cell for cell, count in votes.items() if is_settled(count, len(values), rule)]
    candidates: list[Candidate] = []
    for stretch in _stretches(settled):
        candidate = _candidate(stretch, votes, chars)
        if candidate is None or len(candidate.text) <= max_chars:
            candidates += [candidate] if candidate else []
            continue
        parts = {_candidate(part, votes, chars) for value in values for part in _overlaps(value, stretch)}
        candidates += _without_overlaps(sorted(filter(None, parts), key=_preference))
    best = sorted(sorted(candidates, key=_preference)[:max_spans], key=Candidate.order)
    return [{"id": f"v{number}", **_span(candidate)} for number, candidate in enumerate(best)]


def agreed_relations(
    values: Sequence[Mapping[str, Any]], spans: Sequence[Mapping[str, Any]], rule: AggregationRule
) -> list[dict[str, str | None]]:
    """Return the relations that enough raters draw between agreed spans that overlap the raters' own spans."""
    votes: dict[tuple[str, str, str | None], int] = defaultdict(int)
    for value in values:
        overlapping = {
            span["id"]: [agreed["id"] for agreed in spans if _do_overlap(span, agreed)] for span in value["spans"]
        }
        drawn = {
            (begin, end, relation["label"])
            for relation in value["relations"]
            for begin in overlapping[relation["from"]]
            for end in overlapping[relation["to"]]
            if begin != end
        }
        for relation in drawn:
            votes[relation] += 1
    return [
        {"from": begin, "to": end, "label": label}
        for (begin, end, label), count in sorted(votes.items(), key=lambda vote: (*vote[0][:2], vote[0][2] or ""))
        if is_settled(count, len(values), rule)
    ]


def _cells(value: Mapping[str, Any]) -> dict[Cell, str]:
    return {
        (span["turn"], span["label"], span["start"] + offset): char
        for span in value["spans"]
        for offset, char in enumerate(span["text"])
    }


def _stretches(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return cells grouped into stretches of adjacent characters with the same turn and label."""
    ordered = sorted(cells, key=lambda cell: (cell[0] or 0, cell[1], cell[2]))
    groups = groupby(enumerate(ordered), key=lambda pair: (*pair[1][:2], pair[1][2] - pair[0]))
    return [[cell for _, cell in group] for _, group in groups]


def _overlaps(value: Mapping[str, Any], stretch: Sequence[Cell]) -> list[list[Cell]]:
    """Return the parts of a stretch that a rater's spans cover."""
    turn, label, first = stretch[0]
    parts = [
        stretch[max(span["start"] - first, 0) : max(span["end"] - first, 0)]
        for span in value["spans"]
        if (span["turn"], span["label"]) == (turn, label)
    ]
    return [list(part) for part in parts if part]


def _candidate(cells: Sequence[Cell], votes: Mapping[Cell, int], chars: Mapping[Cell, str]) -> Candidate | None:
    """Return adjacent cells as a span without blank ends; None for blanks alone."""
    text = "".join(chars[cell] for cell in cells)
    if not text.strip():
        return None
    begin = len(text) - len(text.lstrip())
    cells = cells[begin : len(text.rstrip())]
    turn, label, start = cells[0]
    support = sum(votes[cell] for cell in cells) / len(cells)
    return Candidate(turn, label, start, start + len(cells), text.strip(), support)


def _preference(candidate: Candidate) -> tuple[float, int, tuple[int, int, int, str]]:
    """Return a sort key: most support first, then the longest, then the first in the text."""
    return (-candidate.support, candidate.start - candidate.end, candidate.order())


def _without_overlaps(candidates: Sequence[Candidate]) -> list[Candidate]:
    selected: list[Candidate] = []
    for candidate in candidates:
        if not any(candidate.start < span.end and span.start < candidate.end for span in selected):
            selected.append(candidate)
    return selected


def _span(candidate: Candidate) -> dict[str, Any]:
    names = ("turn", "start", "end", "text", "label")
    return {name: getattr(candidate, name) for name in names}


def _do_overlap(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    same = a["turn"] == b["turn"] and a["label"] == b["label"]
    return bool(same and a["start"] < b["end"] and b["start"] < a["end"])
