"""Assign items to splits so that what belongs together stays together, and new data moves no earlier item."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.splitting.balance import place_components
from curate.corpus.splitting.components import Numbers, anchors, connect, draw, marks, numbered, seeded_fraction
from curate.corpus.splitting.keys import COLUMNS, column_of, with_columns
from curate.errors import InvalidInput
from curate.files import digest

MAX_SPLITS = 60
"""How many splits a scheme with shares or folds may have"""
_MAX_PROBLEMS = 20
_IDS = ("item_id", "source_id", "file", "key")
"""What a list of ids may name: an item, or a source by its id, its file, or its id in the tables of its corpus"""


@dataclass(frozen=True)
class SplitSettings:
    """How one scheme divides items: by shares, by lists of ids, by a column, into folds, or one group at a time."""

    ratios: Mapping[str, float]
    """The share of each split of the items that no list names"""
    disjoint_by: Sequence[str]
    """What may not be in two splits: keys of ``curate.corpus.splitting.keys``"""
    seed: int
    ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The ids of items and sources that make up a split"""
    column: str | None = None
    """The column that holds the split of each item"""
    leave_one_out: str | None = None
    """The key whose values are splits of their own"""
    balanced: bool = False
    """Whether components are placed where items are missing instead of drawn, as for folds"""
    stratify_by: str | None = None
    """The label field or column whose values every split should have alike"""

    @property
    def identity(self) -> str:
        """A hash of the settings."""
        optional = {
            "ids": {name: sorted(ids) for name, ids in self.ids.items()},
            "column": self.column,
            "leave_one_out": self.leave_one_out,
            "balanced": self.balanced,
            "stratify_by": self.stratify_by,
        }
        stated = {name: value for name, value in optional.items() if value}
        return digest(
            {"format": 1, "split": [list(self.ratios.items()), sorted(self.disjoint_by), self.seed], **stated}
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """What no two splits share. Groups of items never part, unless their splits are given."""
        if self.leave_one_out:
            return (self.leave_one_out,)
        assigned = self.column or self.ids
        return tuple(dict.fromkeys((*self.disjoint_by, *([] if assigned and not self.disjoint_by else ["group"]))))

    @property
    def names(self) -> list[str]:
        """The splits in order; empty if they follow from the items."""
        return [*self.ratios, *self.ids]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the items need besides their own."""
        wanted = [*map(column_of, self.keys), *([self.column] if self.column else [])]
        return tuple(name for name in wanted if name != COLUMNS["near_duplicate"])


def split_items(
    items: pa.Table,
    sources: pa.Table,
    settings: SplitSettings,
    previous: Mapping[str, str] | None = None,
    *,
    strata: pa.Array | None = None,
    secret: bytes = b"",
) -> pa.Array:
    """Return the split of each item; see ``assign_splits``. Columns that items lack come from ``sources``.

    ``strata`` holds what ``settings.stratify_by`` says of each item; without it, items that are not in ``previous``
    have no split yet. Values of keys that no release shows are named by a hash with ``secret``.
    """
    return split_rows(
        with_columns(items, sources, settings.columns),
        settings,
        previous or {},
        listed=_listed(items, sources, settings),
        strata=strata,
        secret=secret,
    )


def assign_splits(
    items: pa.Table, settings: SplitSettings, previous: Mapping[str, str] | None = None
) -> dict[str, str | None]:
    """Return the split of every ``item_id``.

    Items in ``previous``, such as an earlier release, keep their split. The others form components: items that share a
    value of ``group`` or of any of ``disjoint_by`` (columns ``source_id``, ``speaker``, ``participant``,
    ``face_identity``; nulls share nothing). A component that shares a value with items of one split goes there as a
    whole; with items of several, it has no split (None), as it would join them. Any other goes to the split that a
    seeded hash of its smallest key selects with the ratios as probabilities. Shares therefore approach ``ratios`` with
    many components and can differ much with few. With ``balanced``, it goes where items are missing instead.
    """
    splits = split_rows(items, settings, previous or {})
    return dict(zip(items["item_id"].to_pylist(), splits.to_pylist(), strict=True))


def split_rows(
    items: pa.Table,
    settings: SplitSettings,
    previous: Mapping[str, str],
    *,
    listed: pa.Array | None = None,
    strata: pa.Array | None = None,
    secret: bytes = b"",
) -> pa.Array:
    """Return the split of each item, given the split in whose list it is; ``items`` has every column needed."""
    if settings.column or settings.leave_one_out:
        return _keep(items, _values(items, settings, secret), previous)
    names = settings.names
    if len(names) == 1 or not items.num_rows:
        return pa.repeat(names[0], items.num_rows)
    if listed is not None:
        previous = dict(zip(items["item_id"].to_pylist(), _keep(items, listed, previous).to_pylist(), strict=True))
    numbers = {name: index for index, name in enumerate(names)}
    chosen = np.full(items.num_rows, -1)
    if previous:
        chosen[:] = [numbers.get(previous.get(item_id) or "", -1) for item_id in items["item_id"].to_pylist()]
    new = np.flatnonzero(chosen < 0)
    if len(new):
        chosen[new] = _assign(items, settings, chosen, new, strata)
    return pa.array(names).take(pa.array(chosen, mask=chosen < 0))


def _assign(
    items: pa.Table, settings: SplitSettings, chosen: Numbers, new: Numbers, strata: pa.Array | None
) -> Numbers:
    """Return the split of each new item; -1 for those that would join splits."""
    keys = {kind: items[column_of(kind)] for kind in (settings.keys or ("source",))}
    values = [numbered(column) if settings.keys else np.full(items.num_rows, -1) for column in keys.values()]
    numbers = {name: index for index, name in enumerate(settings.names)}
    # The splits of the earlier items that have a value: one bit for each.
    marked = [marks(column, chosen) for column in values]
    free = [
        np.where((column >= 0) & (mark[column] == 0), column, -1) for column, mark in zip(values, marked, strict=True)
    ]
    components = connect([column[new] for column in free])
    bits: Any = np.zeros(components.max() + 1, np.int64)
    for column, mark in zip(values, marked, strict=True):
        np.bitwise_or.at(bits, components, np.where(column[new] >= 0, mark[column[new]], 0))
    rows = {kind: column.take(pa.array(new)) for kind, column in {**keys, "item": items["item_id"]}.items()}
    texts = anchors(components, rows if settings.keys else {"item": rows["item"]})
    # A list of ids is the whole of its split: nothing joins it.
    closed = sum(1 << numbers[name] for name in settings.ids)
    is_one = (bits > 0) & (bits & (bits - 1) == 0) & (bits & closed == 0)
    targets = np.where(is_one, np.log2(np.maximum(bits, 1)).astype(np.int64), -1)
    is_open = bits == 0
    if settings.ratios and not (settings.balanced or settings.stratify_by):
        drawn = (draw(texts[index], settings.ratios, settings.seed) for index in np.flatnonzero(is_open))
        targets[is_open] = [numbers[name] for name in drawn]
    elif settings.ratios and (settings.stratify_by is None or strata is not None):
        targets[is_open] = _balance(settings, chosen, new, components, is_open, targets, texts, strata)
    splits: Numbers = targets[components]
    return splits


def _balance(
    settings: SplitSettings,
    chosen: Numbers,
    new: Numbers,
    components: Numbers,
    is_open: Any,
    targets: Numbers,
    texts: Sequence[str],
    strata: pa.Array | None,
) -> Numbers:
    """Return the splits of the components that share nothing with placed items, so that shares are reached."""
    kinds = np.zeros(len(chosen), np.int64)
    if settings.stratify_by and strata is not None:
        # In the order of their names, not of the rows.
        numbers = pc.index_in(strata, value_set=strata.drop_null().unique().sort())
        kinds = pc.fill_null(numbers, -1).to_numpy(False).astype(np.int64) + 1
    placed = np.zeros((len(settings.ratios), int(kinds.max(initial=0)) + 1), np.int64)
    settled = chosen.copy()
    settled[new] = targets[components]
    rows = np.flatnonzero((settled >= 0) & (settled < len(settings.ratios)))
    np.add.at(placed, (settled[rows], kinds[rows]), 1)
    members = is_open[components]
    order = [seeded_fraction(texts[index], settings.seed) for index in np.flatnonzero(is_open)]
    shares = np.array(list(settings.ratios.values())) / sum(settings.ratios.values())
    return place_components((np.cumsum(is_open) - 1)[components[members]], kinds[new[members]], order, shares, placed)


def _values(items: pa.Table, settings: SplitSettings, secret: bytes) -> pa.Array:
    """Return the split of each item that a column or a key gives; null where there is none."""
    key = settings.leave_one_out
    column = items[column_of(key) if key else str(settings.column)].cast(pa.string())
    if key not in ("participant", "group"):
        return _one_array(column)
    encoded = _one_array(column).dictionary_encode()
    names = [f"{key}-{_hidden(value, secret)}" for value in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)


def _hidden(value: str, secret: bytes) -> str:
    return hmac.new(secret, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:8]


def _keep(items: pa.Table, assigned: pa.Array, previous: Mapping[str, str]) -> pa.Array:
    """Return the splits that are given, and earlier ones where none is. Raises ``InvalidInput`` if they contradict."""
    if not previous:
        return assigned
    ids = items["item_id"].to_pylist()
    earlier = pa.array([previous.get(item_id) for item_id in ids], pa.string())
    moved = pc.indices_nonzero(pc.fill_null(pc.not_equal(assigned, earlier), False)).to_pylist()
    if moved:
        raise InvalidInput(
            f"{len(moved):,} items are to be in another split than in an earlier release, and items never move",
            problems=tuple(f"{ids[row]}: from {earlier[row]} to {assigned[row]}" for row in moved[:_MAX_PROBLEMS]),
            hint="correct what gives their split, or give the scheme another `seed` to divide all items anew",
        )
    return pc.coalesce(assigned, earlier)


def _listed(items: pa.Table, sources: pa.Table, settings: SplitSettings) -> pa.Array | None:
    """Return for each item the split in whose list it, or its source, is. Raises ``InvalidInput`` for two."""
    if not settings.ids:
        return None
    named = {item: name for name, ids in settings.ids.items() for item in ids}
    splits = pa.nulls(items.num_rows, pa.string())
    rows = pc.index_in(items["source_id"], value_set=sources["source_id"])
    names, values = pa.array(named, pa.string()), pa.array(named.values(), pa.string())
    for column in _IDS:
        if column in items.column_names:
            ids = items[column]
        elif column in sources.column_names:
            ids = sources[column].take(rows)
        else:
            continue
        listed = _one_array(values.take(pc.index_in(ids, value_set=names)))
        several = pc.indices_nonzero(pc.fill_null(pc.not_equal(listed, splits), False)).to_pylist()
        if several:
            raise InvalidInput(
                f"item {items['item_id'][several[0]]} is listed for {splits[several[0]]} and for {listed[several[0]]}",
                hint="list each item, or its source, for one split",
            )
        splits = pc.coalesce(splits, listed)
    if splits.null_count == len(splits):
        raise InvalidInput(
            f"none of the {len(named):,} ids listed for {' and '.join(settings.ids)} is in the corpus",
            hint="list item ids, or sources by id, by file, or by their id in the tables",
        )
    return splits


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return pa.concat_arrays([pa.array([], column.type), *column.chunks])
