"""What differs between two releases: items that came and went, labels that changed, items in another split."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.identity import json_values
from curate.errors import WorkspaceUnusable
from curate.files import canonical_json
from curate.labels import Feature
from curate.labels.columns import EVIDENCE_COLUMNS, ITEM_COLUMNS
from curate.labels.features import scalar
from curate.release.features import MEDIA
from curate.release.manifest import read_manifest
from curate.release.read import open_shard
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
    table: pa.Table
    features: dict[str, Feature]
    signals: Mapping[str, str] = MappingProxyType({})
    """A hash of the rows of each signal"""


def compare_releases(before: Path, after: Path) -> Difference:
    """Return how the release in folder ``after`` differs from the one in ``before``; media by their hash.

    Raises ``WorkspaceUnusable`` for a folder that holds no release.
    """
    return compare(read_content(before), read_content(after))


def compare(old: Content, new: Content) -> Difference:
    """Return how the content of a release differs from that of an earlier one."""
    old_ids, new_ids = old.table["item_id"].to_pylist(), new.table["item_id"].to_pylist()
    old_rows, new_rows = ({item: row for row, item in enumerate(ids)} for ids in (old_ids, new_ids))
    common = [item for item in new_rows if item in old_rows]
    pairs = _Pairs(
        pa.array(common, pa.string()),
        old.table.take(pa.array([old_rows[item] for item in common], pa.int64())),
        new.table.take(pa.array([new_rows[item] for item in common], pa.int64())),
        old.features | {SPLIT_COLUMN: scalar("string")},
        new.features | {SPLIT_COLUMN: scalar("string")},
    )
    shared = [name for name in new.features if name in old.features and name != "item_id"]
    fields = [name for name in label_fields(new.features) if name in shared]
    relabelled = {name: changes for name in fields if (changes := pairs.changes(name))}
    attributes = [name for name in shared if name not in {*fields, "text"}]
    difference = Difference(
        before=old.version,
        after=new.version,
        kind="none",
        items_before=len(old_rows),
        items_after=len(new_rows),
        added=[item for item in new_rows if item not in old_rows],
        removed=[item for item in old_rows if item not in new_rows],
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
    soft = {f"{name}_soft" for name in features}
    other_columns = {*ITEM_COLUMNS, *EVIDENCE_COLUMNS, *soft, "judgements", "prelabel"}
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

    items: pa.Array
    before: pa.Table
    after: pa.Table
    old_features: Mapping[str, Feature]
    new_features: Mapping[str, Feature]

    def changes(self, name: str) -> list[Change]:
        """Return the items whose values of a column differ, in words."""
        old, new = self.old_features[name], self.new_features[name]
        return [
            Change(
                self.items[row].as_py(),
                in_words(self.before[name][row].as_py(), old),
                in_words(self.after[name][row].as_py(), new),
            )
            for row in self._rows(name)
        ]

    def differing(self, name: str) -> list[str]:
        """Return the items whose values of a column differ."""
        return [self.items[row].as_py() for row in self._rows(name)]

    def _rows(self, name: str) -> list[int]:
        before, after = self.before[name], self.after[name]
        if before.type == after.type and before.equals(after) and self.old_features[name] == self.new_features[name]:
            return []
        old, new = self.old_features[name], self.new_features[name]
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
    rows = read_shards(folder, manifest.files)
    return Content(manifest.version, manifest.label_schema_sha256, *rows, manifest.signals)


def read_shards(folder: Path, files: Iterable[ReleaseFile]) -> tuple[pa.Table, dict[str, Feature]]:
    """Read the rows of the shards among ``files``, as in ``Content``, and their features.

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
    # Media are named by the hash of their bytes.
    columns = [f"{name}.path" if name in MEDIA else name for name in features]
    tables = [shard.read(columns).append_column(SPLIT_COLUMN, pa.repeat(split, shard.rows)) for split, shard in shards]
    return pa.concat_tables(tables), features
