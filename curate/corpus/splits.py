"""Assign items to splits so that what belongs together stays together, and new data moves no earlier item."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

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
) -> dict[str, str]:
    """Return the split of every item by id; see ``assign_splits``. Participants come from the rows of ``sources``."""
    by_source = dict(zip(sources["source_id"].to_pylist(), sources["participant"].to_pylist(), strict=True))
    participants = [by_source.get(source_id) for source_id in items["source_id"].to_pylist()]
    return assign_splits(items.append_column("participant", pa.array(participants, pa.string())), settings, previous)


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
    ids = items["item_id"].to_pylist()
    kinds = dict.fromkeys((*settings.disjoint_by, "group"))
    keys = {kind: items[_COLUMNS[kind]].to_pylist() for kind in kinds}
    splits: dict[str, str] = {}
    for rows in _components(len(ids), keys):
        members = [ids[row] for row in rows]
        earlier = Counter(previous[item] for item in members if previous and item in previous)
        candidates = [name for name in settings.ratios if earlier[name]]
        split = max(candidates, key=earlier.__getitem__) if candidates else _draw(_anchor(rows, ids, keys), settings)
        splits.update(dict.fromkeys(members, split))
    return splits


def _components(size: int, keys: Mapping[str, list[Hashable]]) -> list[list[int]]:
    """Row numbers that are connected through equal keys of one kind (union-find with path halving)."""
    parent = list(range(size))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for column in keys.values():
        first_rows: dict[Hashable, int] = {}
        for row, key in enumerate(column):
            if key is not None:
                parent[root(row)] = root(first_rows.setdefault(key, row))
    components: dict[int, list[int]] = defaultdict(list)
    for row in range(size):
        components[root(row)].append(row)
    return list(components.values())


def _anchor(rows: list[int], ids: list[str], keys: Mapping[str, list[Hashable]]) -> str:
    """Return the text that is hashed for a component: the smallest value of the first kind of key that it has."""
    for kind, column in keys.items():
        if values := sorted({str(column[row]) for row in rows if column[row] is not None}):
            return f"{kind}:{values[0]}"
    return f"item:{min(ids[row] for row in rows)}"


def _draw(anchor: str, settings: SplitSettings) -> str:
    fraction = int(sha256_of(f"{settings.seed}:{anchor}")[:16], 16) / 2**64
    remaining = fraction * sum(settings.ratios.values())
    for name, ratio in settings.ratios.items():
        remaining -= ratio
        if remaining < 0:
            return name
    return list(settings.ratios)[-1]
