"""Assign items to splits so that nothing that belongs together is on both sides, and growth moves nobody."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

import pyarrow as pa

_COLUMNS = {
    "source": "source_id",
    "speaker": "speaker",
    "participant": "participant",
    "identity": "face_identity",
    "group": "group",
}


def assign_splits(
    items: pa.Table,
    ratios: Mapping[str, float],
    *,
    disjoint_by: Sequence[str],
    seed: int,
    previous: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The split of every ``item_id``.

    Items that share a value of any of ``disjoint_by`` (columns ``source_id``, ``speaker``, ``participant``,
    ``face_identity``, ``group``; nulls share nothing) form a component, which goes to one split as a whole: to the one
    that ``previous`` gave to most of its items, else to the one that a seeded hash of its smallest key picks with the
    ratios as probabilities. Shares therefore approach ``ratios`` with many components and can be far off with few.
    """
    ids = items.column("item_id").to_pylist()
    keys = [(kind, items.column(_COLUMNS[kind]).to_pylist()) for kind in disjoint_by]
    components = _components([[(kind, column[row]) for kind, column in keys] for row in range(len(ids))])
    splits: dict[str, str] = {}
    for rows in components:
        members = [ids[row] for row in rows]
        held = Counter(previous[item] for item in members if previous and item in previous)
        known = [name for name in ratios if held[name]]
        split = max(known, key=held.__getitem__) if known else _pick(_anchor(rows, ids, keys), ratios, seed)
        splits.update(dict.fromkeys(members, split))
    return splits


def _components(nodes: list[list[tuple[str, Hashable]]]) -> list[list[int]]:
    """Row numbers that are connected through equal keys (union-find with path halving)."""
    parent = list(range(len(nodes)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[tuple[str, Hashable], int] = {}
    for row, keys in enumerate(nodes):
        for key in keys:
            if key[1] is not None:
                parent[root(row)] = root(first.setdefault(key, row))
    groups: dict[int, list[int]] = defaultdict(list)
    for row in range(len(nodes)):
        groups[root(row)].append(row)
    return list(groups.values())


def _anchor(rows: list[int], ids: list[str], keys: list[tuple[str, list[Hashable]]]) -> str:
    """The name under which a component is drawn: the least value of the first key that it has at all."""
    for kind, column in keys:
        if values := sorted({str(column[row]) for row in rows if column[row] is not None}):
            return f"{kind}:{values[0]}"
    return f"item:{min(ids[row] for row in rows)}"


def _pick(anchor: str, ratios: Mapping[str, float], seed: int) -> str:
    drawn = int.from_bytes(hashlib.sha256(f"{seed}:{anchor}".encode()).digest()[:8]) / 2**64 * sum(ratios.values())
    for name, ratio in ratios.items():
        drawn -= ratio
        if drawn < 0:
            return name
    return list(ratios)[-1]
