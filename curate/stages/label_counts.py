"""The labels of items by split: how alike splits are, and the strata that a scheme keeps alike."""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.corpus.identity import json_values
from curate.corpus.splitting.components import numbered
from curate.labels import Field

_BINS = 5
"""Into how many strata of equal size numbers are divided"""


class ItemLabels:
    """The values of one label field, by item."""

    def __init__(self, field: Field, items: pa.Table, labels: pa.Table) -> None:
        rows = pc.index_in(items["item_id"], value_set=labels["item_id"])
        keys = pa.array(json_values(labels[field.name].take(rows)), pa.string()).dictionary_encode()
        self._field = field
        self._numbers: NDArray[np.int64] = keys.indices.to_numpy().astype(np.int64)
        self._values = [json.loads(text) for text in keys.dictionary.to_pylist()]

    def distances(self, splits: pa.Array) -> dict[str, float]:
        """Return by split how far the shares of its labels are from those of all items that have a split.

        The total variation distance, from 0 (the same) to 1 (no label in common); splits without labels are left out.
        """
        names = sorted(splits.drop_null().unique().to_pylist())
        number = pc.index_in(splits, value_set=pa.array(names, pa.string()))
        rows = np.flatnonzero(number.is_valid().to_numpy(False))
        pairs = number.fill_null(0).to_numpy(False)[rows].astype(np.int64) * len(self._values) + self._numbers[rows]
        counts = np.bincount(pairs, minlength=len(names) * len(self._values)).reshape(len(names), -1)
        by_label = counts @ self._has_label()
        total = by_label.sum(axis=0)
        if not total.sum():
            return {}
        shares = total / total.sum()
        return {
            name: round(float(np.abs(of_split / of_split.sum() - shares).sum() / 2), 4)
            for name, of_split in zip(names, by_label, strict=True)
            if of_split.sum()
        }

    def strata(self) -> pa.Array:
        """Return a stratum for each item: its rarest label, or the fifth of all numbers that its number is in."""
        if self._field.labels:
            totals = np.bincount(self._numbers, minlength=len(self._values)) @ self._has_label()
            rarest = [
                min(labels, key=lambda label: (totals[self._field.labels.index(label)], label)) if labels else None
                for labels in self._labels()
            ]
            return pa.array(rarest, pa.string()).take(pa.array(self._numbers))
        numbers = [None if value is None else self._field.number_of(value) for value in self._values]
        by_item = np.array([np.nan if number is None else number for number in numbers], np.float64)[self._numbers]
        valid_numbers = by_item[~np.isnan(by_item)]
        edges = np.quantile(valid_numbers, np.arange(1, _BINS) / _BINS) if len(valid_numbers) else np.zeros(0)
        bins = np.searchsorted(edges, by_item, side="right")
        return pa.array(bins, pa.int64(), mask=np.isnan(by_item)).cast(pa.string())

    def _labels(self) -> list[Sequence[str]]:
        return [() if value is None else tuple(self._field.labels_of(value)) for value in self._values]

    def _has_label(self) -> NDArray[np.int64]:
        """Return for each distinct value which labels it has."""
        numbers = {label: number for number, label in enumerate(self._field.labels)}
        has = np.zeros((len(self._values), len(numbers)), np.int64)
        for row, labels in enumerate(self._labels()):
            for label in labels:
                has[row, numbers[label]] = 1
        return has


def column_strata(column: pa.ChunkedArray) -> pa.Array:
    """Return a stratum for each value of a column."""
    return pa.array(numbered(column), pa.int64()).cast(pa.string())
