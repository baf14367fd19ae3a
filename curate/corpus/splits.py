"""Assign items to splits so that what belongs together stays together, and new data moves no earlier item."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    rows = pc.index_in(items["source_id"], value_set=sources["source_id"])
    return _split_rows(items.append_column("participant", sources["participant"].take(rows)), settings, previous)


def assign_splits(
    items: pa.Table, settings: SplitSettings, previous: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the split of every ``item_id``.

    Items that share a value of ``group`` or of any of ``disjoint_by`` (columns ``source_id``, ``speaker``,
    ``participant``, ``face_identity``; nulls share nothing) form a component, which goes to one split as a whole: to
    the split of most of its items in ``previous``, such as an earlier release, else to the one that a seeded hash of
    its smallest key selects with the ratios as probabilities. Shares therefore approach ``ratios`` with many
    components and can differ much with few.
    """
    splits = _split_rows(items, settings, previous)
    return dict(zip(items["item_id"].to_pylist(), splits.to_pylist(), strict=True))


def _split_rows(items: pa.Table, settings: SplitSettings, previous: Mapping[str, str] | None) -> pa.Array:
    names = list(settings.ratios)
    if len(names) == 1 or not items.num_rows:
        return pa.repeat(names[0], items.num_rows)
    keys = {kind: items[_COLUMNS[kind]] for kind in dict.fromkeys((*settings.disjoint_by, "group"))}
    components = _components(items.num_rows, keys.values())
    drawn = [_draw(anchor, settings) for anchor in _anchors(components, {**keys, "item": items["item_id"]})]
    chosen = np.array([names.index(name) for name in drawn])
    if previous:
        earlier: Any = np.zeros((len(chosen), len(names)), np.int64)
        for component, item_id in zip(components.tolist(), items["item_id"].to_pylist(), strict=True):
            name = previous.get(item_id)
            if name is not None and name in settings.ratios:
                earlier[component, names.index(name)] += 1
        # Of several with most items, the first counts.
        chosen = np.where(earlier.any(axis=1), earlier.argmax(axis=1), chosen)
    return pa.array(names).take(pa.array(chosen[components]))


def _components(size: int, keys: Iterable[pa.ChunkedArray]) -> NDArray[np.int64]:
    """Return for each row the number of its component: rows that are connected through equal keys of one kind."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, nodes, total = [], [], size
    for column in keys:
        encoded = pc.dictionary_encode(column).combine_chunks()
        valid = np.flatnonzero(column.is_valid().to_numpy())
        rows.append(valid)
        nodes.append(encoded.indices.take(pa.array(valid)).to_numpy().astype(np.int64) + total)
        total += len(encoded.dictionary)
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
