"""Columns of a release next to the canonical JSON of their values, from which the hash of its content follows."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.corpus.identity import join_objects, json_values
from curate.memory import drop_mapped_pages
from curate.storage.spool import LARGE_ROWS, spool_columns

Indices = NDArray[np.int64]
"""Indices of rows; -1 stands for no row."""
_ROWS = 50_000


class Column(NamedTuple):
    """Values of a type of a release, and their canonical JSON if it was asked for."""

    values: pa.Array
    json: Sequence[str] | None


def take_column(table: pa.Table, name: str, indices: Indices, kind: pa.DataType, *, with_json: bool) -> Column:
    """Return the values of a column at ``indices``."""
    values = combined(table[name].take(nullable(indices)))
    values = values.cast(kind)
    return Column(values, json_values(values) if with_json else None)


def take_rows(table: pa.Table, names: Sequence[str], indices: Indices, folder: Path) -> tuple[pa.Table, Indices]:
    """Return some columns at ``indices``, null for -1, and for each row its own index, or -1 for a row of nulls.

    For many rows the columns are on disk: see ``spool_columns``.
    """
    rows = nullable(indices)

    def take(name: str) -> pa.ChunkedArray:
        taken = table[name].take(rows)
        drop_mapped_pages()
        return taken

    is_large = len(indices) >= LARGE_ROWS
    taken = spool_columns(names, take, folder) if is_large else pa.table({name: take(name) for name in names})
    return taken, np.where(indices < 0, -1, np.arange(len(indices)))


def to_struct(columns: Mapping[str, Column], kind: pa.StructType, missing: NDArray[np.bool_] | None = None) -> Column:
    """Return structs with these members; null where ``missing``."""
    members = [columns[field.name] for field in kind]
    mask = None if missing is None else pa.array(missing)
    values = pa.StructArray.from_arrays([member.values for member in members], fields=list(kind), mask=mask)
    if any(member.json is None for member in members):
        return Column(values, None)
    names = sorted(columns)
    objects = join_objects(len(values), names, [columns[name].json or () for name in names])
    none = missing if missing is not None else np.zeros(len(values), np.bool_)
    return Column(values, ["null" if null else text for null, text in zip(none.tolist(), objects, strict=True)])


class DistinctValues:
    """A column of which each distinct value is converted once."""

    def __init__(self, values: pa.ChunkedArray, convert: Callable[[Any], Any], kinds: Sequence[pa.DataType]) -> None:
        """``convert`` returns one value for each of ``kinds``."""
        numbers: dict[str, int] = {}
        by_row: list[Indices] = [np.zeros(0, np.int64)]
        converted: list[Any] = []
        for start in range(0, len(values), _ROWS):
            part, previous_count = values.slice(start, _ROWS), len(numbers)
            keys = json_values(part)
            by_row.append(np.array([-1 if key == "null" else numbers.setdefault(key, len(numbers)) for key in keys]))
            new, first = np.unique(by_row[-1], return_index=True)
            converted += [convert(value) for value in part.take(first[new >= previous_count]).to_pylist()]
        self._numbers: Indices = np.concatenate(by_row)
        by_kind = list(zip(*converted, strict=True)) or [()] * len(kinds)
        self._values = [pa.array(made, kind) for made, kind in zip(by_kind, kinds, strict=True)]
        # The last one is that of no value, with number -1.
        self._json = [[*json_values(made), "null"] for made in self._values]

    def take(self, indices: Indices, *, with_json: bool) -> list[Column]:
        """Return the converted values at ``indices``, as one column for each kind."""
        if not len(self._numbers):
            indices = np.full(len(indices), -1)
        numbers = np.where(indices < 0, -1, self._numbers[indices]) if len(self._numbers) else indices
        listed = numbers.tolist()
        return [
            Column(values.take(nullable(numbers)), [json[number] for number in listed] if with_json else None)
            for values, json in zip(self._values, self._json, strict=True)
        ]


def find_rows(keys: pa.ChunkedArray, among: pa.ChunkedArray) -> Indices:
    """Return for each key the index of its first occurrence in ``among``, or -1."""
    rows: Indices = combined(pc.fill_null(pc.index_in(keys, value_set=among), -1)).to_numpy().astype(np.int64)
    return rows


def combined(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one array."""
    if isinstance(values, pa.ChunkedArray):
        return (
            values.chunk(0) if values.num_chunks == 1 else pa.concat_arrays([pa.array([], values.type), *values.chunks])
        )
    return values


def nullable(indices: Indices) -> pa.Array:
    """Return indices with null where there is no row."""
    return pa.array(indices, pa.int64(), mask=indices < 0)
