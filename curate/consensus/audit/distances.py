"""How far a labeller's answers are from those of people, and people's from each other."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.consensus.agreement.ratings import Floats, Integers
from curate.consensus.audit.evidence import Answers, Compared
from curate.labels import Field

NUMBERS = frozenset({"ordinal", "interval", "preference"})
"""Comparisons of values that are numbers"""
SPLITS = 20
_TOLERANCE = 1e-9


class Pairs(NamedTuple):
    """Every ordered pair of judgements of one item: row ``first`` and row ``second`` of the judgements."""

    first: Integers
    second: Integers


class SplitHalf(NamedTuple):
    """Mean distances of each of ``items``: of one half of its raters to the other, and of the labeller to a half."""

    items: Integers
    people: Floats
    model: Floats


def pairs_of(answers: Answers) -> Pairs:
    """Return every ordered pair of different judgements of an item; ``answers`` are sorted by item."""
    starts = np.flatnonzero(np.diff(answers.items, prepend=-1))
    counts = np.diff(np.append(starts, len(answers.items)))
    of_row = np.repeat(counts, counts)
    first = np.repeat(np.arange(len(answers.items)), of_row)
    begins = np.repeat(np.cumsum(of_row) - of_row, of_row)
    second = np.repeat(np.repeat(starts, counts), of_row) + np.arange(len(first)) - begins
    return Pairs(first[first != second], second[first != second])


def code_distances(compared: Compared, a: Integers, b: Integers) -> Floats:
    """Return the distance (0-1) of each value of ``a`` to that of ``b``, NaN where it has no meaning."""
    field, values = compared.field, compared.values
    if field.comparison in NUMBERS:
        numbers = numbers_of(compared)
        return np.abs(numbers[a] - numbers[b]) / _range_of(compared)
    size = len(values)
    keys, inverse = np.unique(np.minimum(a, b) * size + np.maximum(a, b), return_inverse=True)
    distances = [_distance(field, values[key // size], values[key % size]) for key in keys.tolist()]
    return np.array(distances, np.float64)[inverse]


def numbers_of(compared: Compared) -> Floats:
    """Return the number that each value stands for."""
    return np.array([compared.field.comparable(value) for value in compared.values], np.float64)


def split_half(compared: Compared, *, splits: int = SPLITS, seed: int = 0) -> SplitHalf:
    """Return distances over random halves of the raters of each item that at least two people judged.

    A half answers with its shares of labels or its mean; of other types, the distance of halves is the mean over all
    pairs of their answers. The labeller is compared with each half as the other half is.
    """
    _, item_rows, counts = np.unique(compared.blind.items, return_inverse=True, return_counts=True)
    part = compared.blind.select(counts[item_rows] >= 2)
    items, rows, counts = np.unique(part.items, return_inverse=True, return_counts=True)
    starts = np.cumsum(counts) - counts
    rng = np.random.default_rng(seed)
    people, model = np.zeros(len(items)), np.zeros(len(items))
    measure = _ProfileDistances(compared, part, rows, len(items), compared.model[items])
    for _ in range(splits):
        order = np.lexsort((rng.random(len(rows)), rows))
        rank = np.empty(len(rows), np.int64)
        rank[order] = np.arange(len(rows)) - starts[rows[order]]
        of_people, of_model = measure.halves(rank < counts[rows] // 2)
        people += of_people / splits
        model += of_model / splits
    usable = np.isfinite(people) & np.isfinite(model)
    return SplitHalf(items[usable], people[usable], model[usable])


class _ProfileDistances:
    """Distances of halves of the raters of all items at once."""

    def __init__(self, compared: Compared, part: Answers, rows: Integers, size: int, model: Integers) -> None:
        self._compared, self._part, self._rows, self._size, self._model = compared, part, rows, size, model
        self._profiles = None if compared.field.is_graded else value_profiles(compared)
        if self._profiles is None:
            self._pairs = pairs_of(part)
            self._between = code_distances(compared, part.codes[self._pairs.first], part.codes[self._pairs.second])
            self._to_model = code_distances(compared, part.codes, model[rows])

    def halves(self, is_first: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return for each item how far the two halves are apart, and the labeller from a half, on average."""
        if self._profiles is None:
            across = is_first[self._pairs.first] & ~is_first[self._pairs.second]
            distances = _means(self._rows[self._pairs.first[across]], self._between[across], self._size)
            to_halves = [_means(self._rows[half], self._to_model[half], self._size) for half in (is_first, ~is_first)]
            return distances, (to_halves[0] + to_halves[1]) / 2
        answers = self._profiles[self._part.codes]
        halves = [_profile_means(self._rows[half], answers[half], self._size) for half in (is_first, ~is_first)]
        model = self._profiles[self._model]
        to_halves = [self._apart(half, model) for half in halves]
        return self._apart(*halves), (to_halves[0] + to_halves[1]) / 2

    def _apart(self, a: Floats, b: Floats) -> Floats:
        comparison = self._compared.field.comparison
        apart: Floats = np.abs(a - b).sum(axis=1)
        if comparison in NUMBERS:
            return apart / _range_of(self._compared)
        if comparison == "label":
            return apart / 2
        # Of sets, the Jaccard distance for shares (Ruzicka).
        either: Floats = np.maximum(a, b).sum(axis=1)
        return apart / either


def value_profiles(compared: Compared) -> Floats | None:
    """Return each value as numbers whose mean over raters is an answer: 0 or 1 for each label, or the number."""
    field = compared.field
    if field.comparison in NUMBERS:
        return numbers_of(compared)[:, None]
    if field.comparison not in ("label", "labels") or not field.labels:
        return None
    indicators = [[label in field.labels_of(value) for label in field.labels] for value in compared.values]
    return np.array(indicators, np.float64).reshape(len(indicators), len(field.labels))


def _means(groups: Integers, values: Floats, size: int) -> Floats:
    with np.errstate(invalid="ignore"):
        means: Floats = np.bincount(groups, values, size) / np.bincount(groups, minlength=size)
    return means


def _profile_means(groups: Integers, profiles: Floats, size: int) -> Floats:
    return np.column_stack([_means(groups, column, size) for column in profiles.T])


def _distance(field: Field, a: object, b: object) -> float:
    if a is None or b is None:
        return float(a is not b)
    distance = field.distance(a, b)
    return np.nan if distance is None else distance


def _range_of(compared: Compared) -> float:
    """Return the largest difference that two values of a field of numbers can have."""
    numbers = numbers_of(compared)
    smallest, largest = int(numbers.argmin()), int(numbers.argmax())
    share = _distance(compared.field, compared.values[smallest], compared.values[largest])
    return float((numbers[largest] - numbers[smallest]) / share) if share else 1.0
