"""Scores of texts and clips from preferences between pairs of them, over all pairs of a corpus."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.consensus.agreement.judged import judged
from curate.consensus.methods.comparisons import (
    Comparison,
    best_worst_scores,
    bradley_terry,
    bradley_terry_errors,
    connected_groups,
)
from curate.labels import Field, LabelSchema

SIDES = (("video", "video_b"), ("audio", "audio_b"), ("text", "text_b"))
"""The columns of ``items`` that hold the two things of a pair, the first pair that an item has both of."""
MAX_WITH_ERRORS = 2_000
_Z = 1.959963984540054


class ScoreRow(NamedTuple):
    """The score of one thing by one field.

    ``thing`` is the text itself or the name of a file; equal content is one thing. ``score`` is its strength by Bradley
    and Terry with a 95 % interval: the log odds that it is preferred to another are the difference of both scores.
    ``best_worst`` is (times preferred - times not) / comparisons, from -1 to 1. Scores of different ``group`` must not
    be compared: no comparison leads from one to the other.
    """

    field: str
    thing: str
    score: float
    low: float | None
    high: float | None
    best_worst: float
    comparisons: int
    preferred: int
    ties: int
    group: int
    note: str


def score_rows(
    labels: LabelSchema, judgements: pa.Table, items: pa.Table, *, blind_only: bool = False
) -> Iterator[ScoreRow]:
    """Yield the score of everything that people compared, by field and group, the highest first.

    ``judgements`` are the current ones, of each person the newest on an item; each counts as one comparison, however
    strong the preference. ``items`` has ``item_id`` and the columns of ``SIDES``.
    """
    for name, field in labels.fields.items():
        if field.comparison == "preference":
            yield from sorted(
                _scores(name, field, judgements, items, blind_only), key=lambda row: (row.group, -row.score)
            )


def _scores(name: str, field: Field, judgements: pa.Table, items: pa.Table, blind_only: bool) -> Iterator[ScoreRow]:
    every = judged(field, judgements)
    part = (every.select(~every.prefilled) if blind_only else every).newest()
    rows = pc.index_in(judgements["item_id"], value_set=items["item_id"]).to_pylist()
    sides = [_sides(item) for item in items.to_pylist()]
    compared: list[tuple[str, str, float]] = []
    for row, code in zip(part.rows.tolist(), part.codes.tolist(), strict=True):
        pair = sides[rows[row]] if rows[row] is not None else None
        if pair is not None:
            # A grade below 0 is for the first.
            compared.append((*pair, 0.5 - 0.5 * float(np.sign(part.values[code]))))
    comparisons = [Comparison(*entry) for entry in compared]
    strengths = bradley_terry(comparisons)
    number = {thing: index for index, thing in enumerate(strengths)}
    pairs = np.array([(number[a], number[b]) for a, b, _ in comparisons], np.int64).reshape(-1, 2)
    groups = _by_size(connected_groups(len(number), pairs)) if number else []
    errors = bradley_terry_errors(comparisons, strengths) if len(number) <= MAX_WITH_ERRORS else {}
    counting = best_worst_scores(
        ((a, b), *((None, None) if share == 0.5 else (a, b) if share > 0.5 else (b, a))) for a, b, share in comparisons
    )
    shares = np.array([share for _, _, share in comparisons])
    wins = np.bincount(pairs[:, 0], shares == 1, len(number)) + np.bincount(pairs[:, 1], shares == 0, len(number))
    ties = np.bincount(pairs[shares == 0.5].ravel(), minlength=len(number))
    totals = np.bincount(pairs.ravel(), minlength=len(number))
    for thing, index in number.items():
        error, score = errors.get(thing), strengths[thing]
        lower, upper = (None, None) if error is None else (score - _Z * error, score + _Z * error)
        count, won, tied = int(totals[index]), int(wins[index]), int(ties[index])
        note = _note(count, won, tied)
        best_worst = counting[thing]
        yield ScoreRow(name, str(thing), score, lower, upper, best_worst, count, won, tied, groups[index], note)


def _sides(item: dict[str, Any]) -> tuple[str, str] | None:
    """Return the two things of an item; None if it has not two, or twice the same."""
    for first, second in SIDES:
        if item[first] is not None and item[second] is not None:
            return (item[first], item[second]) if item[first] != item[second] else None
    return None


def _by_size(groups: Any) -> list[int]:
    """Return the groups numbered from 1, the largest first."""
    _, first, inverse, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(1, len(sizes) + 1)
    return [int(group) for group in rank[inverse]]


def _note(count: int, won: int, tied: int) -> str:
    if won == count:
        return "always preferred: its score has no upper end"
    if won + tied == 0:
        return "never preferred: its score has no lower end"
    return ""
