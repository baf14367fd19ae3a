"""What differs between two releases: items that came and went, labels that changed, items in another split."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.identity import json_values
from curate.corpus.rewritten import SUFFIX
from curate.errors import WorkspaceUnusable
from curate.files import canonical_json
from curate.labels import Feature
from curate.labels.columns import EVIDENCE_COLUMNS, ITEM_COLUMNS
from curate.labels.features import scalar
from curate.release.features import MEDIA
from curate.release.manifest import read_manifest
from curate.release.read import Shard, open_shard
from curate.release.schemes import SPLIT_PREFIX
from curate.release.semver import Kind
from curate.release.shards import SPLIT_COLUMN, ReleaseFile
from curate.sentences import count_of

_MAX_CHARS = 120
_NO_LABEL = "label number {} without a name"


class Change(NamedTuple):
    """One item whose value differs; None stands for no value."""

    item_id: str
    before: str | None
    after: str | None


class Difference(NamedTuple):
    """The changes from one release to another."""

    before: str
    after: str
    kind: Kind
    """``major`` if the label schema or the columns differ; ``minor`` if items came, went, changed or are in another
    split; ``patch`` if only labels or what they are based on differ; ``none`` if every row is the same."""
    items_before: int
    items_after: int
    added: list[str]
    removed: list[str]
    resplit: list[Change]
    relabelled: dict[str, list[Change]]
    """By label field, in order; values in words"""
    changed_texts: list[Change]
    changed: dict[str, list[str]]
    """Items by the other columns in which their values differ: of the item, such as ``speaker`` or ``audio``, or of
    what its label is based on, such as ``judgements``"""
    columns_added: list[str]
    columns_removed: list[str]
    columns_changed: list[str]
    """Columns whose type or list of labels differs"""
    is_other_schema: bool
    """Whether the two were labelled under different label schemas, or different contents of one"""
    signals: Mapping[str, str] = MappingProxyType({})
    """What became of signals that differ, by name: added, removed or changed"""

    def steps(self, field: str) -> list[tuple[str | None, str | None, int]]:
        """Return each step from one value of a field to another with its number of items, most frequent first."""
        counts = Counter((change.before, change.after) for change in self.relabelled[field])
        ordered = sorted(counts.items(), key=lambda entry: (-entry[1], [value or "" for value in entry[0]]))
        return [(*step, count) for step, count in ordered]

    def reasons(self) -> list[str]:
        """Return each difference in a few words, those that decide ``kind`` first; empty if there is none."""
        return list(self._reasons())

    def _reasons(self) -> Iterator[str]:
        if self.is_other_schema:
            yield "another label schema"
        yield from (f"signal {name} {verb}" for name, verb in self.signals.items())
        by_verb = {"added": self.columns_added, "removed": self.columns_removed, "changed": self.columns_changed}
        yield from (f"{count_of(len(names), 'column')} {verb}" for verb, names in by_verb.items() if names)
        yield from (
            f"{count_of(len(items), 'item')} {words}"
            for words, items in (
                ("added", self.added),
                ("removed", self.removed),
                ("in another split", self.resplit),
                ("with another text", self.changed_texts),
            )
            if items
        )
        of_items = sorted(self.changed, key=lambda name: name not in ITEM_COLUMNS)
        reasons = [f"{count_of(len(self.changed[name]), 'item')} with other {name}" for name in of_items]
        count = sum(name in ITEM_COLUMNS for name in of_items)
        yield from reasons[:count]
        yield from (f"{count_of(len(changes), 'label')} of {name}" for name, changes in self.relabelled.items())
        yield from reasons[count:]


class Content(NamedTuple):
    """What is compared of a release: its rows with the names of media files instead of the files, and the split."""

    version: str
    label_schema_sha256: str
    shards: Sequence[tuple[str, Shard]]
    """With the split of each"""
    features: dict[str, Feature]
    signals: Mapping[str, str] = MappingProxyType({})
    """A hash of the rows of each signal"""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(shard.rows for _, shard in self.shards)

    def column(self, name: str) -> pa.ChunkedArray:
        """Read a column, or the splits of the rows. Raises ``WorkspaceUnusable``."""
        if name == SPLIT_COLUMN:
            return pa.chunked_array([pa.repeat(split, shard.rows) for split, shard in self.shards])
        return read_rows(self.shards, [name])[name]


def compare_releases(before: Path, after: Path) -> Difference:
    """Return how the release in folder ``after`` differs from the one in ``before``; media by their hash.

    Raises ``WorkspaceUnusable`` for a folder that holds no release.
    """
    return compare(read_content(before), read_content(after))


def compare(old: Content, new: Content) -> Difference:
    """Return how the content of a release differs from that of an earlier one."""
    old_ids, new_ids = (_first_rows(content.column("item_id")) for content in (old, new))
    rows_before = pc.index_in(new_ids["item_id"], value_set=old_ids["item_id"])
    common = new_ids.filter(rows_before.is_valid())
    pairs = _Pairs(
        common["item_id"],
        old_ids["row"].take(rows_before.drop_null()),
        common["row"],
        old._replace(features=old.features | {SPLIT_COLUMN: scalar("string")}),
        new._replace(features=new.features | {SPLIT_COLUMN: scalar("string")}),
    )
    shared = [name for name in new.features if name in old.features and name != "item_id"]
    fields = [name for name in label_fields(new.features) if name in shared]
    relabelled = {name: changes for name in fields if (changes := pairs.changes(name))}
    attributes = [name for name in shared if name not in {*fields, "text"}]
    difference = Difference(
        before=old.version,
        after=new.version,
        kind="none",
        items_before=old_ids.num_rows,
        items_after=new_ids.num_rows,
        added=_without(new_ids["item_id"], common["item_id"]),
        removed=_without(old_ids["item_id"], common["item_id"]),
        resplit=pairs.changes(SPLIT_COLUMN),
        relabelled=relabelled,
        changed_texts=pairs.changes("text") if "text" in shared else [],
        changed={name: items for name in attributes if (items := pairs.differing(name))},
        columns_added=[name for name in new.features if name not in old.features],
        columns_removed=[name for name in old.features if name not in new.features],
        columns_changed=[name for name in shared if old.features[name] != new.features[name]],
        is_other_schema=old.label_schema_sha256 != new.label_schema_sha256,
        signals=_differing_signals(old.signals, new.signals),
    )
    return difference._replace(kind=_kind(difference))


def _kind(difference: Difference) -> Kind:
    # A further way to divide the items changes no column that others read.
    added = [name for name in difference.columns_added if not name.startswith(SPLIT_PREFIX)]
    if difference.is_other_schema or added or difference.columns_removed or difference.columns_changed:
        return "major"
    described = [name for name in difference.changed if name in ITEM_COLUMNS or name.startswith(SPLIT_PREFIX)]
    if (
        difference.added
        or difference.removed
        or difference.resplit
        or difference.changed_texts
        or described
        or difference.columns_added
        or difference.signals
    ):
        return "minor"
    return "patch" if difference.relabelled or difference.changed else "none"


def _differing_signals(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    differing = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return {name: "added" if name not in old else "removed" if name not in new else "changed" for name in differing}


def label_fields(features: Mapping[str, Feature]) -> list[str]:
    """Return the names of the label fields among the columns of a release, in order."""
    made = {f"{name}{suffix}" for name in features for suffix in ("_soft", SUFFIX)}
    other_columns = {*ITEM_COLUMNS, *EVIDENCE_COLUMNS, *made, "judgements", "prelabel"}
    return [name for name in features if name not in other_columns and not name.startswith(SPLIT_PREFIX)]


def in_words(value: Any, feature: Feature) -> str | None:
    """Return a released value as a short text: names of labels instead of their numbers."""
    if value is None:
        return None
    named = _named(value, feature)
    if isinstance(named, list) and all(isinstance(part, str) for part in named):
        words = " + ".join(sorted(named))
    else:
        words = named if isinstance(named, str) else canonical_json(named).decode()
    return words if len(words) <= _MAX_CHARS else f"{words[: _MAX_CHARS - 1]}…"


class _Pairs(NamedTuple):
    """The rows of the items that both releases hold, in one order."""

    items: pa.ChunkedArray
    old_rows: pa.ChunkedArray
    new_rows: pa.ChunkedArray
    old: Content
    new: Content

    def changes(self, name: str) -> list[Change]:
        """Return the items whose values of a column differ, in words."""
        before, after = self._values(name)
        old, new = self.old.features[name], self.new.features[name]
        return [
            Change(
                self.items[row].as_py(),
                in_words(before[row].as_py(), old),
                in_words(after[row].as_py(), new),
            )
            for row in self._rows(name, before, after)
        ]

    def differing(self, name: str) -> list[str]:
        """Return the items whose values of a column differ."""
        return [self.items[row].as_py() for row in self._rows(name, *self._values(name))]

    def _values(self, name: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Return the values of a column before and after."""
        return self.old.column(name).take(self.old_rows), self.new.column(name).take(self.new_rows)

    def _rows(self, name: str, before: pa.ChunkedArray, after: pa.ChunkedArray) -> list[int]:
        old, new = self.old.features[name], self.new.features[name]
        if before.type == after.type and before.equals(after) and old == new:
            return []
        if old == new:
            values = zip(json_values(before), json_values(after), strict=True)
            return [row for row, (value, new_value) in enumerate(values) if value != new_value]
        # Labels were renumbered, or members came and went: the names of what both have are compared.
        old_common, new_common = _common(old, new), _common(new, old)
        pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
        return [
            row
            for row, (value, new_value) in enumerate(pairs)
            if _key(value, old_common) != _key(new_value, new_common)
        ]


def _first_rows(ids: pa.ChunkedArray) -> pa.Table:
    """Return each id once, as ``item_id``, and as ``row`` the number of its first row."""
    unique = pa.chunked_array([ids.unique()])
    rows = pa.chunked_array([pa.array(range(len(ids)), pa.int64())]) if len(unique) == len(ids) else None
    return pa.table({"item_id": unique, "row": pc.index_in(unique, value_set=ids) if rows is None else rows})


def _without(ids: pa.ChunkedArray, others: pa.ChunkedArray) -> list[str]:
    remaining: list[str] = ids.filter(pc.invert(pc.is_in(ids, value_set=others))).to_pylist()
    return remaining


def _key(value: Any, feature: Feature) -> bytes:
    named = _named(value, feature)
    several = feature.get("_type") == "List" and feature["feature"].get("_type") == "ClassLabel"
    return canonical_json(sorted(named) if several and named is not None else named)


def _common(feature: Feature, reference: Feature) -> Feature:
    """Return the feature without those members of structs that the other one lacks."""
    if "feature" in feature and feature.get("_type") == "List" == reference.get("_type"):
        return feature | {"feature": _common(feature["feature"], reference["feature"])}
    if isinstance(feature.get("_type"), str) or isinstance(reference.get("_type"), str):
        return feature
    return {name: _common(member, reference[name]) for name, member in sorted(feature.items()) if name in reference}


def _named(value: Any, feature: Feature) -> Any:
    if value is None:
        return None
    match feature.get("_type"):
        case "ClassLabel":
            names = feature["names"]
            return names[value] if 0 <= value < len(names) else _NO_LABEL.format(value)
        case "List":
            return [_named(part, feature["feature"]) for part in value]
        case "Value" | "Audio" | "Image" | "Video":
            return value
        case _:
            return {name: _named(value[name], member) for name, member in feature.items()}


def read_content(folder: Path) -> Content:
    """Read what is compared of the release in a folder. Raises ``WorkspaceUnusable`` if it holds none."""
    manifest = read_manifest(folder)
    rows = open_shards(folder, manifest.files)
    return Content(manifest.version, manifest.label_schema_sha256, *rows, manifest.signals)


def open_shards(folder: Path, files: Iterable[ReleaseFile]) -> tuple[list[tuple[str, Shard]], dict[str, Feature]]:
    """Return the shards among ``files``, as in ``Content``, and their features.

    Raises ``WorkspaceUnusable`` if a file is not a shard, or shards differ in their columns.
    """
    shards = [
        (file.split, open_shard(folder / file.path, release=str(folder))) for file in files if file.split is not None
    ]
    if not shards:
        raise WorkspaceUnusable(f"release {folder} has no shards", hint="restore the release from a copy")
    features = shards[0][1].features
    if any(shard.features != features for _, shard in shards):
        raise WorkspaceUnusable(
            f"release {folder}: its shards have different columns", hint="restore the release from a copy"
        )
    return shards, features


def read_rows(shards: Sequence[tuple[str, Shard]], names: Sequence[str]) -> pa.Table:
    """Return some columns of all rows; media are named by the hash of their bytes."""
    columns = [f"{name}.path" if name in MEDIA else name for name in names]
    return pa.concat_tables([shard.read(columns) for _, shard in shards])
