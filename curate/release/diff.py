"""What differs between two releases: items that came and went, labels that changed, items in another split."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from curate.corpus.identity import json_values
from curate.errors import WorkspaceUnusable
from curate.files import canonical_json
from curate.labels import Feature
from curate.labels.columns import EVIDENCE_COLUMNS, ITEM_COLUMNS
from curate.release.manifest import Manifest, read_manifest
from curate.release.shards import SPLIT_COLUMN

Kind = Literal["none", "patch", "minor", "major"]
_MAX_CHARS = 120


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
    """``major`` if the label schema or the columns differ, ``minor`` if items came, went or changed split, ``patch``
    if only labels or judgements differ, ``none`` for equal content."""
    items_before: int
    items_after: int
    added: list[str]
    removed: list[str]
    resplit: list[Change]
    relabelled: dict[str, list[Change]]
    """By label field, in order; values in words"""
    changed_texts: list[Change]
    changed_judgements: list[str]
    """Items whose individual judgements differ"""
    columns_added: list[str]
    columns_removed: list[str]

    def steps(self, field: str) -> list[tuple[str | None, str | None, int]]:
        """Return each step from one value of a field to another with its number of items, most frequent first."""
        counts = Counter((change.before, change.after) for change in self.relabelled[field])
        ordered = sorted(counts.items(), key=lambda entry: (-entry[1], [value or "" for value in entry[0]]))
        return [(*step, count) for step, count in ordered]


class _Rows(NamedTuple):
    manifest: Manifest
    table: pa.Table
    features: dict[str, Feature]


def compare_releases(before: Path, after: Path) -> Difference:
    """Return how the release in folder ``after`` differs from the one in ``before``; media are not compared.

    Raises ``WorkspaceUnusable`` for a folder that holds no release.
    """
    old, new = _read(before), _read(after)
    old_ids, new_ids = old.table["item_id"].to_pylist(), new.table["item_id"].to_pylist()
    old_rows, new_rows = ({item: row for row, item in enumerate(ids)} for ids in (old_ids, new_ids))
    common = [item for item in new_ids if item in old_rows]
    before_rows = old.table.take(pa.array([old_rows[item] for item in common], pa.int64()))
    after_rows = new.table.take(pa.array([new_rows[item] for item in common], pa.int64()))
    fields = [
        name for name in (*label_fields(old.features), *label_fields(new.features)) if name in before_rows.column_names
    ]
    relabelled = {
        name: _changes(before_rows, after_rows, name, old.features[name], new.features[name])
        for name in dict.fromkeys(fields)
        if name in after_rows.column_names
    }
    text = {"dtype": "string", "_type": "Value"}
    resplit = _changes(before_rows, after_rows, SPLIT_COLUMN, text, text)
    added = [item for item in new_ids if item not in old_rows]
    removed = [item for item in old_ids if item not in new_rows]
    is_other_schema = old.manifest.label_schema_sha256 != new.manifest.label_schema_sha256
    is_other_schema |= old.features != new.features
    kind: Kind = "none" if old.manifest.content_sha256 == new.manifest.content_sha256 else "patch"
    kind = "major" if is_other_schema else "minor" if added or removed or resplit else kind
    return Difference(
        before=old.manifest.version,
        after=new.manifest.version,
        kind=kind,
        items_before=len(old_ids),
        items_after=len(new_ids),
        added=added,
        removed=removed,
        resplit=resplit,
        relabelled={name: changes for name, changes in relabelled.items() if changes},
        changed_texts=_changes(before_rows, after_rows, "text", text, text),
        changed_judgements=[common[row] for row in _unequal(before_rows["judgements"], after_rows["judgements"])],
        columns_added=[name for name in new.features if name not in old.features],
        columns_removed=[name for name in old.features if name not in new.features],
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
    pairs = zip(json_values(before_rows), json_values(after_rows), strict=True)
    return [row for row, (old, new) in enumerate(pairs) if old != new]


def _read(folder: Path) -> _Rows:
    manifest = read_manifest(folder)
    tables, features = [], {}
    for file in manifest.files:
        if file.split is None:
            continue
        try:
            schema = parquet.read_schema(folder / file.path)
            features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
            compared = ["item_id", "text", "judgements", *label_fields(features)]
            table = parquet.read_table(folder / file.path, columns=compared)
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError, RecursionError) as error:
            raise WorkspaceUnusable(
                f"release {folder}: {file.path} cannot be read as a shard", hint="restore the release from a copy"
            ) from error
        tables.append(table.append_column(SPLIT_COLUMN, pa.repeat(file.split, table.num_rows)))
    if not tables:
        raise WorkspaceUnusable(f"release {folder} has no shards", hint="restore the release from a copy")
    return _Rows(manifest, pa.concat_tables(tables, promote_options="default"), features)
