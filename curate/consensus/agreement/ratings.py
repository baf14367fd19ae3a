"""Judgements of one question as arrays: who judged which item how."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
UNNAMED = -1
"""The rater of a judgement that names none, such as one of a number of votes."""


class Ratings(NamedTuple):
    """Judgement ``i`` gives item ``items[i]``, by rater ``raters[i]``, the value ``values[codes[i]]``.

    Items and raters are numbers from 0; a rater may be ``UNNAMED``. ``values`` has each value once, numbers in order;
    it may hold values that nobody gave.
    """

    items: Integers
    raters: Integers
    codes: Integers
    values: Sequence[Any]

    @property
    def item_count(self) -> int:
        """One more than the largest item number."""
        return int(self.items.max()) + 1 if len(self.items) else 0

    def counts(self) -> "Counts":
        """Return how often each value was given to each item; who gave it is lost."""
        from scipy import sparse

        shape = (self.item_count, max(len(self.values), 1))
        weights = np.ones(len(self.items))
        matrix = sparse.coo_matrix((weights, (self.items, self.codes)), shape=shape).tocsr()
        return Counts(matrix, self.values)

    def why_no_pairs(self) -> str:
        """Return why there are not two raters to compare."""
        if (self.raters == UNNAMED).any():
            return "the judgements do not say who gave them"
        return "there is only one rater" if len(self.raters) else "there is no judgement"

    def select(self, chosen: NDArray[Any]) -> "Ratings":
        """Return the judgements of a mask or of row numbers."""
        return self._replace(items=self.items[chosen], raters=self.raters[chosen], codes=self.codes[chosen])


class Counts(NamedTuple):
    """How often each value was given to each item: a sparse matrix of items by values. No rater is named."""

    matrix: Any
    values: Sequence[Any]

    def totals(self) -> Floats:
        """Return the number of judgements of each item."""
        return np.asarray(self.matrix.sum(axis=1), dtype=np.float64).ravel()

    def paired(self) -> "Counts":
        """Return only the items that have at least two judgements."""
        return Counts(self.matrix[self.totals() >= 2], self.values)


def to_ratings(
    items: Sequence[Hashable],
    raters: Sequence[Hashable | None] | None,
    values: Sequence[Any],
    *,
    categories: Sequence[Any] | None = None,
) -> Ratings:
    """Return judgements given as three columns of equal length, without those that have no value.

    ``raters`` is None, or holds None, where nobody is named. ``categories`` are all values that could have been given,
    in order; by default those that were, sorted. Raises ``ValueError`` for a value that is not among them.
    """
    indices = [index for index, value in enumerate(values) if value is not None]
    distinct = list(categories) if categories is not None else _sorted({values[index] for index in indices})
    code_of = {value: code for code, value in enumerate(distinct)}
    if unknown := [values[index] for index in indices if values[index] not in code_of]:
        raise ValueError(f"{unknown[0]!r} is not one of the categories")
    item_of: dict[Hashable, int] = {}
    rater_of: dict[Hashable, int] = {}
    return Ratings(
        np.array([item_of.setdefault(items[index], len(item_of)) for index in indices], np.int64),
        np.array([_number(raters[index] if raters is not None else None, rater_of) for index in indices], np.int64),
        np.array([code_of[values[index]] for index in indices], np.int64),
        distinct,
    )


def to_counts(votes: Any, values: Sequence[Any]) -> Counts:
    """Return a table of votes (items by values, an array or nested lists) as counts."""
    from scipy import sparse

    table = np.asarray(votes, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(values):
        raise ValueError(f"a table of votes needs a row for each item and {len(values)} columns")
    if (table < 0).any() or not np.isfinite(table).all():
        raise ValueError("votes are numbers from 0")
    return Counts(sparse.csr_matrix(table), values)


def _number(rater: Hashable | None, numbers: dict[Hashable, int]) -> int:
    return UNNAMED if rater is None else numbers.setdefault(rater, len(numbers))


def _sorted(values: set[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)
