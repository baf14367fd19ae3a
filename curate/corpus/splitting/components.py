"""Connected items: rows that share a value of any of several columns, and a seeded draw for each component."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.files import sha256_of

Numbers = NDArray[np.int64]


def numbered(column: pa.ChunkedArray) -> Numbers:
    """Return a number for each value; -1 for null."""
    encoded = pc.dictionary_encode(column).combine_chunks()
    encoded = pa.concat_arrays(encoded.chunks) if isinstance(encoded, pa.ChunkedArray) else encoded
    numbers: Numbers = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return numbers


def marks(column: Numbers, chosen: Numbers) -> Numbers:
    """Return for each number of a value the splits of the items that have it and were placed before, as bits."""
    by_value = np.zeros(max(int(column.max(initial=-1)) + 1, 1), np.int64)
    rows = np.flatnonzero((column >= 0) & (chosen >= 0))
    np.bitwise_or.at(by_value, column[rows], 1 << chosen[rows])
    return by_value


def connect(columns: Sequence[Numbers]) -> Numbers:
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
    components: Numbers = connected_components(graph, directed=False)[1][:size]
    return np.unique(components, return_inverse=True)[1]


def anchors(components: Numbers, keys: Mapping[str, pa.ChunkedArray]) -> list[str]:
    """Return the text that is hashed for each component: the smallest value of the first kind of key that it has."""
    texts: list[str] = [""] * (int(components.max()) + 1)
    for kind, column in keys.items():
        pairs = pa.table({"component": components, "key": column}).filter(column.is_valid())
        smallest = pairs.group_by("component").aggregate([("key", "min")])
        for component, key in zip(smallest["component"].to_pylist(), smallest["key_min"].to_pylist(), strict=True):
            texts[component] = texts[component] or f"{kind}:{key}"
    return texts


def seeded_fraction(anchor: str, seed: int) -> float:
    """Return a number from 0 to 1 that follows from a text and a seed."""
    return int(sha256_of(f"{seed}:{anchor}")[:16], 16) / 2**64


def draw(anchor: str, ratios: Mapping[str, float], seed: int) -> str:
    """Return the name that a seeded hash of a text selects with the ratios as probabilities."""
    remaining = seeded_fraction(anchor, seed) * sum(ratios.values())
    for name, ratio in ratios.items():
        remaining -= ratio
        if remaining < 0:
            return name
    return list(ratios)[-1]
