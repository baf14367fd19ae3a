"""What differs between two releases: items that came and went, labels that changed, items in another split."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from curate.corpus.identity import json_values
from curate.errors import WorkspaceUnusable
from curate.files import canonical_json
from curate.labels import Feature
from curate.labels.columns import EVIDENCE_COLUMNS, ITEM_COLUMNS
from curate.labels.features import scalar
from curate.release.features import MEDIA
from curate.release.manifest import read_manifest
from curate.release.semver import Kind
from curate.release.shards import SPLIT_COLUMN, ReleaseFile

_MAX_CHARS = 120
_FILE_NAME = "path"
"""The member of a media column that names the file by its content"""


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
    """``major`` if the label schema differs or columns went or are of another kind, ``minor`` if items came, went,
    changed split or have other content, or columns came, ``patch`` if only labels or what is behind them differs,
    ``none`` for equal content."""
    items_before: int
    items_after: int
    added: list[str]
    removed: list[str]
    resplit: list[Change]
    relabelled: dict[str, list[Change]]
    """By label field, in order; values in words"""
    changed_texts: list[Change]
    changed: dict[str, list[str]]
    """Items whose value differs, by column that describes them, their media and source; texts included"""
    changed_judgements: list[str]
    """Items whose individual judgements differ"""
    changed_prelabels: list[str]
    is_other_schema: bool
    columns_added: list[str]
    columns_removed: list[str]
    columns_changed: list[str]
    """Columns of another kind, such as with other classes"""

    def steps(self, field: str) -> list[tuple[str | None, str | None, int]]:
        """Return each step from one value of a field to another with its number of items, most frequent first."""
        counts = Counter((change.before, change.after) for change in self.relabelled[field])
        ordered = sorted(counts.items(), key=lambda entry: (-entry[1], [value or "" for value in entry[0]]))
        return [(*step, count) for step, count in ordered]


class Content(NamedTuple):
    """What is compared of a release: its rows with the names of media files instead of the files."""

    version: str
    content_sha256: str
    label_schema_sha256: str
    features: dict[str, Feature]
    table: pa.Table
    """Every column, and the split"""


def compare_releases(before: Path, after: Path) -> Difference:
    """Return how the release in folder ``after`` differs from the one in ``before``.

    Raises ``WorkspaceUnusable`` for a folder that holds no release.
    """
    return compare(read_content(before), read_content(after))


def compare(old: Content, new: Content) -> Difference:
    """Return how the content of a release differs from that of an earlier one."""
    old_ids, new_ids = old.table["item_id"], new.table["item_id"]
    rows = pc.index_in(new_ids, value_set=old_ids)
    after_rows = new.table.filter(rows.is_valid())
    before_rows = old.table.take(rows.drop_null())
    common = [name for name in new.features if name in old.features]
    text = scalar("string")

    def changes(name: str) -> list[Change]:
        if name == SPLIT_COLUMN:
            return _changes(before_rows, after_rows, name, text, text)
        return _changes(before_rows, after_rows, name, old.features[name], new.features[name])

    def differing(name: str) -> list[str]:
        ids = after_rows["item_id"]
        rows = _unequal(before_rows[name], after_rows[name])
        return [str(item) for item in ids.take(pa.array(rows, pa.int64())).to_pylist()]

    fields = [name for name in common if name in {*label_fields(old.features), *label_fields(new.features)}]
    relabelled = {name: steps for name in fields if (steps := changes(name))}
    described = {name: differing(name) for name in common if name in ITEM_COLUMNS}
    changed = {name: items for name, items in described.items() if items}
    added = new_ids.filter(rows.is_null()).to_pylist()
    removed = old_ids.filter(pc.invert(pc.is_in(old_ids, value_set=new_ids))).to_pylist()
    resplit = changes(SPLIT_COLUMN)
    columns_added = [name for name in new.features if name not in old.features]
    columns_removed = [name for name in old.features if name not in new.features]
    columns_changed = [name for name in common if old.features[name] != new.features[name]]
    is_other_schema = old.label_schema_sha256 != new.label_schema_sha256
    kind: Kind = "none" if old.content_sha256 == new.content_sha256 else "patch"
    if added or removed or resplit or changed or columns_added:
        kind = "minor"
    if is_other_schema or columns_removed or columns_changed:
        kind = "major"
    return Difference(
        before=old.version,
        after=new.version,
        kind=kind,
        items_before=len(old_ids),
        items_after=len(new_ids),
        added=added,
        removed=removed,
        resplit=resplit,
        relabelled=relabelled,
        changed_texts=changes("text"),
        changed=changed,
        changed_judgements=differing("judgements"),
        changed_prelabels=differing("prelabel"),
        is_other_schema=is_other_schema,
        columns_added=columns_added,
        columns_removed=columns_removed,
        columns_changed=columns_changed,
    )


def label_fields(features: Mapping[str, Feature]) -> list[str]:
    """Return the names of the label fields among the columns of a release, in order."""
    soft = {f"{name}_soft" for name in features}
    other_columns = {*ITEM_COLUMNS, *EVIDENCE_COLUMNS, *soft, "judgements", "prelabel"}
    return [name for name in features if name not in other_columns]


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


def _named(value: Any, feature: Feature) -> Any:
    if value is None:
        return None
    match feature.get("_type"):
        case "ClassLabel":
            return feature["names"][value]
        case "List":
            return [_named(part, feature["feature"]) for part in value]
        case "Value":
            return value
        case _:
            return {name: _named(value[name], member) for name, member in feature.items()}


def _changes(before_rows: pa.Table, after_rows: pa.Table, name: str, before: Feature, after: Feature) -> list[Change]:
    items = after_rows["item_id"]
    rows = _unequal(before_rows[name], after_rows[name])
    if before == after:
        return [
            Change(
                items[row].as_py(),
                in_words(before_rows[name][row].as_py(), before),
                in_words(after_rows[name][row].as_py(), after),
            )
            for row in rows
        ]
    # Labels were renumbered: only their names can be compared.
    values = zip(items.to_pylist(), before_rows[name].to_pylist(), after_rows[name].to_pylist(), strict=True)
    changes = (Change(item, in_words(old, before), in_words(new, after)) for item, old, new in values)
    return [change for change in changes if change.before != change.after]


def _unequal(before_rows: pa.ChunkedArray, after_rows: pa.ChunkedArray) -> list[int]:
    kind = before_rows.type
    if kind == after_rows.type and (pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        both_null = pc.and_(before_rows.is_null(), after_rows.is_null())
        unequal = pc.invert(pc.or_(pc.fill_null(pc.equal(before_rows, after_rows), False), both_null))
        return list(pc.indices_nonzero(unequal).to_pylist())
    pairs = zip(json_values(before_rows), json_values(after_rows), strict=True)
    return [row for row, (old, new) in enumerate(pairs) if old != new]


def read_content(folder: Path) -> Content:
    """Read what is compared of the release in a folder. Raises ``WorkspaceUnusable`` if it holds none."""
    manifest = read_manifest(folder)
    features, table = read_shards(folder, manifest.files)
    return Content(manifest.version, manifest.content_sha256, manifest.label_schema_sha256, features, table)


def read_shards(folder: Path, files: Iterable[ReleaseFile]) -> tuple[dict[str, Feature], pa.Table]:
    """Read the features and the rows of shards, with the names of media files instead of the files, and the split."""
    tables: list[pa.Table] = []
    features: dict[str, Feature] = {}
    for file in files:
        if file.split is None:
            continue
        try:
            shard = parquet.ParquetFile(folder / file.path)
            features = json.loads(shard.schema_arrow.metadata[b"huggingface"])["info"]["features"]
            leaves = [f"{name}.{_FILE_NAME}" if name in MEDIA else name for name in features]
            table = shard.read(columns=leaves)
            for name in MEDIA:
                names = pc.struct_field(table[name], _FILE_NAME)
                table = table.set_column(table.column_names.index(name), name, names)
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError, RecursionError) as error:
            raise WorkspaceUnusable(
                f"release {folder}: {file.path} cannot be read as a shard", hint="restore the release from a copy"
            ) from error
        tables.append(table.append_column(SPLIT_COLUMN, pa.repeat(file.split, table.num_rows)))
    if not tables:
        raise WorkspaceUnusable(f"release {folder} has no shards", hint="restore the release from a copy")
    return features, pa.concat_tables(tables, promote_options="default")
