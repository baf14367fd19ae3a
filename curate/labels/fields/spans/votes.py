"""Several raters' spans as one set, character by character."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from curate.labels.fields.base import How, is_enough

Cell = tuple[int | None, str, int]
"""A turn, a label and the place of one character."""


def jaccard(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The labelled characters that two values share, as a share of all that either has."""
    first, second = _cells(one), _cells(other)
    return len(first.keys() & second.keys()) / len(first.keys() | second.keys())


def agreed_spans(values: Sequence[Mapping[str, Any]], how: How) -> list[dict[str, Any]]:
    """The longest stretches of characters to which enough of the raters give a label."""
    votes: dict[Cell, int] = defaultdict(int)
    chars: dict[Cell, str] = {}
    for value in values:
        for cell, char in _cells(value).items():
            votes[cell] += 1
            chars[cell] = char
    settled = sorted(
        (cell for cell, count in votes.items() if is_enough(count, len(values), how)),
        key=lambda c: (c[0] or 0, c[1], c[2]),
    )
    spans: list[dict[str, Any]] = []
    for turn, label, at in settled:
        last = spans[-1] if spans else None
        if last and (last["turn"], last["label"], last["end"]) == (turn, label, at):
            last["end"] += 1
            last["text"] += chars[turn, label, at]
        else:
            text = chars[turn, label, at]
            spans.append({"turn": turn, "start": at, "end": at + 1, "text": text, "label": label})
    kept = [span for span in spans if span["text"].strip()]
    return [{"id": f"v{number}", **span} for number, span in enumerate(kept)]


def agreed_relations(
    values: Sequence[Mapping[str, Any]], spans: Sequence[Mapping[str, Any]], how: How
) -> list[dict[str, str]]:
    """The relations that enough of the raters draw between the settled spans that overlap their own."""
    votes: dict[tuple[str, str, str], int] = defaultdict(int)
    for value in values:
        own = {span["id"]: [each["id"] for each in spans if _overlap(span, each)] for span in value["spans"]}
        drawn = {
            (begin, end, link["label"])
            for link in value["relations"]
            for begin in own[link["from"]]
            for end in own[link["to"]]
            if begin != end
        }
        for link in drawn:
            votes[link] += 1
    return [
        {"from": begin, "to": end, "label": label}
        for (begin, end, label), count in sorted(votes.items())
        if is_enough(count, len(values), how)
    ]


def _cells(value: Mapping[str, Any]) -> dict[Cell, str]:
    return {
        (span["turn"], span["label"], span["start"] + offset): char
        for span in value["spans"]
        for offset, char in enumerate(span["text"])
    }


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    same = one["turn"] == other["turn"] and one["label"] == other["label"]
    return bool(same and one["start"] < other["end"] and other["start"] < one["end"])
