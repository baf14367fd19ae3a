"""Assign items to splits so that what belongs together stays together, and new data moves no earlier item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.files import digest, sha256_of

_COLUMNS = {
    "source": "source_id",
    "speaker": "speaker",
    "participant": "participant",
    "identity": "face_identity",
    "group": "group",
}


@dataclass(frozen=True)
class SplitSettings:
    """The share of each split, what may not be in two of them (keys of ``_COLUMNS``), and the seed."""

    ratios: Mapping[str, float]
    disjoint_by: Sequence[str]
    seed: int

    @property
    def identity(self) -> str:
        """A hash of the settings."""
        return digest({"format": 1, "split": [list(self.ratios.items()), sorted(self.disjoint_by), self.seed]})


def split_items(
    items: pa.Table, sources: pa.Table, settings: SplitSettings, previous: Mapping[str, str] | None = None
) -> pa.Array:
    """Return the split of each item; see ``assign_splits``. Participants come from the rows of ``sources``."""
    return _split_rows(with_participants(items, sources), settings, previous or {})


def with_participants(items: pa.Table, sources: pa.Table) -> pa.Table:
    """Return the items with a column ``participant``, from the rows of ``sources``."""
    rows = pc.index_in(items["source_id"], value_set=sources["source_id"])
    return items.append_column("participant", sources["participant"].take(rows))


def assign_splits(
    items: pa.Table, settings: SplitSettings, previous: Mapping[str, str] | None = None
) -> dict[str, str | None]:
    """Return the split of every ``item_id``.

    Items in ``previous``, such as an earlier release, keep their split. The others form components: items that share a
    value of ``group`` or of any of ``disjoint_by`` (columns ``source_id``, ``speaker``, ``participant``,
    ``face_identity``; nulls share nothing). A component that shares a value with items of one split goes there as a
    whole; with items of several, it has no split (None), as it would join them. Any other goes to the split that a
    seeded hash of its smallest key selects with the ratios as probabilities. Shares therefore approach ``ratios`` with
    many components and can differ much with few.
    """
    splits = _split_rows(items, settings, previous or {})
    return dict(zip(items["item_id"].to_pylist(), splits.to_pylist(), strict=True))


class Separation(NamedTuple):
    """How far items that share a value of a key are in one split."""

    key: str
    """One of ``SplitSettings.disjoint_by``"""
    known: int
    """Items that have a value"""
    total: int
    leaks: dict[str, list[str]]
    """The splits by value, of values that occur in more than one"""


def separations(items: pa.Table, splits: pa.Array, settings: SplitSettings) -> list[Separation]:
    """Return for each key whether its values are in one split only; items without a split count nowhere.

    ``items`` has a column ``participant``.
    """
    keys = dict.fromkeys((*settings.disjoint_by, "group"))
    columns = dict.fromkeys(_COLUMNS[key] for key in keys)
    placed = items.select(list(columns)).append_column("split", splits).filter(splits.is_valid())
    result = []
    for key in keys:
        pairs = placed.select([_COLUMNS[key], "split"]).rename_columns(["value", "split"])
        pairs = pairs.filter(pairs["value"].is_valid())
        by_value = pairs.group_by("value").aggregate([("split", "distinct")])
        several = by_value.filter(pc.greater(pc.list_value_length(by_value["split_distinct"]), 1))
        leaks = {row["value"]: sorted(row["split_distinct"]) for row in several.to_pylist()}
        result.append(Separation(key, pairs.num_rows, placed.num_rows, leaks))
    return result


def _split_rows(items: pa.Table, settings: SplitSettings, previous: Mapping[str, str]) -> pa.Array:
    names = list(settings.ratios)
    if len(names) == 1 or not items.num_rows:
        return pa.repeat(names[0], items.num_rows)
    keys = {kind: items[_COLUMNS[kind]] for kind in dict.fromkeys((*settings.disjoint_by, "group"))}
    values = [_numbered(column) for column in keys.values()]
    numbers = {name: index for index, name in enumerate(names)}
    chosen = np.full(items.num_rows, -1)
    if previous:
        chosen[:] = [numbers.get(previous.get(item_id, ""), -1) for item_id in items["item_id"].to_pylist()]
    new = np.flatnonzero(chosen < 0)
    if not len(new):
        return pa.array(names).take(pa.array(chosen))
    # The splits of the earlier items that have a value: one bit for each.
    marks = [_marks(column, chosen) for column in values]
    free = [
        np.where((column >= 0) & (mark[column] == 0), column, -1) for column, mark in zip(values, marks, strict=True)
    ]
    components = _components([column[new] for column in free])
    bits: Any = np.zeros(components.max() + 1, np.int64)
    for column, mark in zip(values, marks, strict=True):
        np.bitwise_or.at(bits, components, np.where(column[new] >= 0, mark[column[new]], 0))
    drawn = [_draw(anchor, settings) for anchor in _anchors(components, _rows_of(keys, items, new))]
    is_one = (bits > 0) & (bits & (bits - 1) == 0)
    targets = np.where(is_one, np.log2(np.maximum(bits, 1)).astype(np.int64), [numbers[name] for name in drawn])
    targets = np.where((bits > 0) & ~is_one, -1, targets)
    chosen[new] = targets[components]
    return pa.array(names).take(pa.array(chosen, mask=chosen < 0))


def _numbered(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return a number for each value; -1 for null."""
    encoded = pc.dictionary_encode(column).combine_chunks()
    encoded = pa.concat_arrays(encoded.chunks) if isinstance(encoded, pa.ChunkedArray) else encoded
    numbers: NDArray[np.int64] = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return numbers


def _marks(column: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each number of a value the splits of the items that have it and were placed before, as bits."""
    marks = np.zeros(max(int(column.max(initial=-1)) + 1, 1), np.int64)
    rows = np.flatnonzero((column >= 0) & (chosen >= 0))
    np.bitwise_or.at(marks, column[rows], 1 << chosen[rows])
    return marks


def _rows_of(
    keys: Mapping[str, pa.ChunkedArray], items: pa.Table, rows: NDArray[np.int64]
) -> dict[str, pa.ChunkedArray]:
    return {kind: column.take(pa.array(rows)) for kind, column in {**keys, "item": items["item_id"]}.items()}


def _components(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return for each row the number of its component: rows that are connected through equal numbers of one column."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = len(columns[0])
    rows, nodes, total = [], [], size
    for column in columns:
        valid = np.flatnonzero(column >= 0)
        rows.append(valid)
        nodes.append(column[valid] + total)
        total += int(column.max(initial=-1)) + 1
    pairs = np.concatenate(rows), np.concatenate(nodes)
    graph = coo_array((np.ones(len(pairs[0]), np.int8), pairs), shape=(total, total))
    components: NDArray[np.int64] = connected_components(graph, directed=False)[1][:size]
    return np.unique(components, return_inverse=True)[1]


def _anchors(components: NDArray[np.int64], keys: Mapping[str, pa.ChunkedArray]) -> list[str]:
    """Return the text that is hashed for each component: the smallest value of the first kind of key that it has."""
    anchors: list[str] = [""] * (int(components.max()) + 1)
    for kind, column in keys.items():
        pairs = pa.table({"component": components, "key": column}).filter(column.is_valid())
        smallest = pairs.group_by("component").aggregate([("key", "min")])
        for component, key in zip(smallest["component"].to_pylist(), smallest["key_min"].to_pylist(), strict=True):
            anchors[component] = anchors[component] or f"{kind}:{key}"
    return anchors


def _draw(anchor: str, settings: SplitSettings) -> str:
    fraction = int(sha256_of(f"{settings.seed}:{anchor}")[:16], 16) / 2**64
    remaining = fraction * sum(settings.ratios.values())
    for name, ratio in settings.ratios.items():
        remaining -= ratio
        if remaining < 0:
            return name
    return list(settings.ratios)[-1]
