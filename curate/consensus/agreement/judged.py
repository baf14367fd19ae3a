"""The judgements of one field as arrays, and which of them a figure is about."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.consensus.agreement.ratings import UNNAMED, Integers, Ratings
from curate.corpus.judgements import is_prefilled
from curate.labels import Field

_SEPARATOR = "\x1f"


class Judged(NamedTuple):
    """What people answered to one field, a row for each judgement that has an answer.

    ``values[codes[i]]`` is what judgement ``i`` says, in the form that the field compares. ``prefilled`` marks those
    whose form showed a proposal, and ``untouched`` those among them that left it as it was.
    """

    items: Integers
    raters: Integers
    codes: Integers
    values: Sequence[Any]
    rater_names: Sequence[str]
    rows: Integers
    prefilled: NDArray[np.bool_]
    untouched: NDArray[np.bool_]

    def select(self, chosen: NDArray[Any]) -> "Judged":
        """Return the judgements of a mask or of row numbers."""
        columns = {name: getattr(self, name)[chosen] for name in ("items", "raters", "codes", "rows")}
        return self._replace(**columns, prefilled=self.prefilled[chosen], untouched=self.untouched[chosen])

    def ratings(self) -> Ratings:
        """Return the judgements for measures of labels, sets and numbers, with items numbered from 0."""
        _, items = np.unique(self.items, return_inverse=True)
        return Ratings(items.astype(np.int64), self.raters, self.codes, self.values)

    def newest(self) -> "Judged":
        """Return the last judgement of each named rater on each item, and all of unnamed ones; rows are by age."""
        named = self.raters != UNNAMED
        keys = self.items * (len(self.rater_names) + 1) + self.raters
        _, last = np.unique(keys[named][::-1], return_index=True)
        chosen = np.concatenate([np.flatnonzero(named)[::-1][last], np.flatnonzero(~named)])
        return self.select(np.sort(chosen))

    def with_pairs(self) -> "Judged":
        """Return the judgements of items that have at least two."""
        _, items, counts = np.unique(self.items, return_inverse=True, return_counts=True)
        return self.select(counts[items] >= 2)

    def against_others(self, rater: int) -> tuple["Judged", Integers]:
        """Return each judgement of a rater beside each judgement of another on the same item, and those items.

        Every pair is an item of its own, in which the rater is 0 and the other 1.
        """
        row_of_rater = np.full(int(self.items.max()) + 1 if len(self.items) else 0, -1, dtype=np.int64)
        of_rater = np.flatnonzero(self.raters == rater)
        row_of_rater[self.items[of_rater]] = of_rater
        other_rows = np.flatnonzero((self.raters != rater) & (row_of_rater[self.items] >= 0))
        pairs = self.select(np.concatenate([row_of_rater[self.items[other_rows]], other_rows]))
        numbers = np.arange(len(other_rows))
        _, clusters = np.unique(self.items[other_rows], return_inverse=True)
        pairs = pairs._replace(
            items=np.tile(numbers, 2), raters=np.repeat(np.arange(2), len(other_rows)), rater_names=("", "")
        )
        return pairs, clusters.astype(np.int64)


def judged(field: Field, judgements: pa.Table, *, empty: Any = None) -> Judged:
    """Return the answers to a field in a table of current judgements, sorted by item and age.

    ``empty`` is the answer of those who left the field empty, if that is one.
    """
    column = judgements[field.name].combine_chunks()
    items, _ = encode(judgements["item_id"])
    raters, names = encode(judgements["annotator"])
    codes, distinct = encode(column)
    values: Sequence[Any] = [field.comparable(value) for value in distinct]
    if empty is not None and (codes < 0).any():
        codes, values = np.where(codes < 0, len(values), codes), [*values, empty]
    codes, values = _merge_equal(codes, values, field.categories)
    prefilled, untouched = _origins(field.name, judgements)
    every = Judged(items, raters, codes, values, names, np.arange(len(items)), prefilled, untouched)
    return every.select(codes >= 0)


def encode(column: Any) -> tuple[Integers, list[Any]]:
    """Return a number for each value (-1 for null) and the values by number, as plain Python data."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = array.type
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        keys = pc.binary_join(array, _SEPARATOR)
    elif pa.types.is_nested(kind):
        rows = array.to_pylist()
        keys = pa.array([None if row is None else json.dumps(row, default=str) for row in rows], pa.string())
    else:
        keys = array
    encoded = keys.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes = np.asarray(encoded.indices.fill_null(-1)).astype(np.int64)
    numbers, first = np.unique(codes, return_index=True)
    return codes, array.take(pa.array(first[numbers >= 0])).to_pylist()


def _merge_equal(codes: Integers, values: Sequence[Any], categories: Sequence[Any]) -> tuple[Integers, Sequence[Any]]:
    """Return the codes of values that are compared as equal as one, numbers in order."""
    if values and isinstance(values[0], list | dict):
        return codes, values
    distinct = list(categories) or sorted(set(values), key=lambda value: (str(type(value)), *_order(value)))
    number = {value: code for code, value in enumerate(distinct)}
    for value in values:
        number.setdefault(value, len(number))
    recoded = np.array([number[value] for value in values] + [-1], dtype=np.int64)
    return recoded[codes], list(number)


def _order(value: Any) -> tuple[Any, ...]:
    return tuple(sorted(value)) if isinstance(value, frozenset) else (value,)


def _origins(name: str, judgements: pa.Table) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which judgements were made with a proposal in the form, and which left this field's as it was."""
    origins = judgements["origins"].combine_chunks()
    entries = origins.flatten()
    untouched = np.zeros(judgements.num_rows, dtype=np.bool_)
    if len(entries):
        is_kept = pc.and_(pc.equal(entries.field("field"), name), pc.equal(entries.field("origin"), "prediction"))
        untouched[np.asarray(pc.list_parent_indices(origins))[np.asarray(is_kept.fill_null(False))]] = True
    return is_prefilled(judgements), untouched
