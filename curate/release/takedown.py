"""Which releases hold something forgotten, and how a release is withdrawn without its items changing their split."""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from curate.corpus.tombstones import Tombstones
from curate.errors import WorkspaceUnusable
from curate.release.manifest import FILE, Manifest
from curate.release.versions import Releases

_ID_COLUMNS = ("item_id", "source_id", "speaker")
_RATERS = ("annotator", "rater")
OTHER_FILES = "other_files"


class HeldInRelease(NamedTuple):
    """What a release holds of things that were forgotten."""

    version: str
    items: int
    raters: int

    def __str__(self) -> str:
        counts = ((self.items, "item"), (self.raters, "rater"))
        return " and ".join(f"{n:,} forgotten {noun}{'' if n == 1 else 's'}" for n, noun in counts if n)


def held_in_release(folder: Path, manifest: Manifest, tombstones: Tombstones) -> HeldInRelease:
    """Return how many forgotten items and raters the release in ``folder`` holds.

    Raises ``WorkspaceUnusable`` for a shard that cannot be read.
    """
    items: set[str] = set()
    raters: set[str] = set()
    for file in manifest.files if tombstones else ():
        if file.rows is None:
            continue
        ids, names = read_ids(folder / file.path)
        items.update(ids.filter(tombstones.forgotten_rows(ids))["item_id"].to_pylist())
        others = read_other_files(folder / file.path)
        items.update(others.filter(tombstones.forgotten_rows(others))["item_id"].to_pylist())
        raters |= tombstones.holds("annotator", names)
    return HeldInRelease(manifest.version, len(items), len(raters))


def read_ids(path: Path) -> tuple[pa.Table, set[str]]:
    """Return the columns of a shard that say whose its rows are, and the pseudonyms of its raters.

    Rows that are of no item have null as ``item_id``.
    """
    try:
        with parquet.ParquetFile(path) as file:
            rows = file.read(columns=_columns_with_ids(path))
        names: set[str] = set()
        for name in _RATERS:
            if name in rows.column_names:
                names.update(rows[name].drop_null().unique().to_pylist())
        if "judgements" in rows.column_names and pa.types.is_list(rows.schema.field("judgements").type):
            names.update(_raters(rows["judgements"]))
    except (OSError, pa.ArrowException) as error:
        raise WorkspaceUnusable(
            f"{path} cannot be read as a shard", hint="`curate verify` says what is damaged"
        ) from error
    if "item_id" not in rows.column_names:
        return pa.table({"item_id": pa.nulls(rows.num_rows, pa.string())}), names
    return rows.select([name for name in _ID_COLUMNS if name in rows.column_names]), names


def drop_other_files(rows: pa.Table, source_ids: Collection[str]) -> pa.Table:
    """Return rows whose ``other_files`` name none of these sources."""
    if not source_ids or OTHER_FILES not in rows.column_names:
        return rows
    column = rows[OTHER_FILES].to_pylist()
    remaining = [files and [entry for entry in files if entry["source_id"] not in source_ids] for files in column]
    index = rows.schema.get_field_index(OTHER_FILES)
    field = rows.schema.field(index)
    return rows.set_column(index, field, pa.array(remaining, field.type))


def read_other_files(path: Path) -> pa.Table:
    """Return each ``item_id`` of a shard with the ``source_id`` of every other file of its session that it names."""
    if OTHER_FILES not in parquet.read_schema(path).names:
        return pa.table({"item_id": pa.nulls(0, pa.string()), "source_id": pa.nulls(0, pa.string())})
    rows = parquet.read_table(path, columns=["item_id", OTHER_FILES])
    files = rows[OTHER_FILES].combine_chunks()
    items = rows["item_id"].take(pc.list_parent_indices(files))
    return pa.table({"item_id": items, "source_id": pc.struct_field(pc.list_flatten(files), "source_id")})


def _columns_with_ids(path: Path) -> list[str]:
    """Return the columns that say whose the rows of a shard are: of ``judgements``, which can be large, the raters."""
    schema = parquet.read_metadata(path).schema
    paths = [schema.column(index).path for index in range(len(schema))]
    return [
        name
        for name in paths
        if name in (*_ID_COLUMNS, *_RATERS) or (name.startswith("judgements.") and name.rpartition(".")[2] in _RATERS)
    ]


def _raters(judgements: pa.ChunkedArray) -> set[str]:
    members = pc.list_flatten(judgements)
    raters: set[str] = set()
    for name in _RATERS:
        if pa.types.is_struct(members.type) and members.type.get_field_index(name) >= 0:
            raters.update(pc.struct_field(members, name).drop_null().unique().to_pylist())
    return raters


def withdraw(releases: Releases, manifest: Manifest, tombstones: Tombstones) -> None:
    """Delete a release; its version, and the splits of the items that are not forgotten, stay known.

    May be killed and repeated at any time.
    """
    remaining: set[str] = set()
    for file in manifest.files:
        if file.split is not None:
            (path,) = releases.folder.child(manifest.version).fetch([file.path])
            ids, _ = read_ids(path)
            remaining.update(ids.filter(pc.invert(tombstones.forgotten_rows(ids)))["item_id"].to_pylist())
    by_scheme = {name: releases.splits(manifest, name) for name in manifest.schemes}
    releases.note_withdrawn(manifest, {name: _only(splits, remaining) for name, splits in by_scheme.items()})
    folder = releases.folder.child(manifest.version)
    # Without its manifest it is no release any more, and nothing reads what is left of it.
    for name in sorted(folder.sizes(), key=lambda name: name != FILE):
        folder.remove(name)
    shutil.rmtree(folder.path, ignore_errors=True)


def forget_in_withdrawn(releases: Releases, tombstones: Tombstones) -> None:
    """Leave forgotten items out of the splits that withdrawn releases gave."""
    for entry in releases.withdrawn():
        items = {item for splits in entry.splits.values() for item in splits}
        if held := tombstones.holds("item", items):
            remaining = items - held
            releases.note_withdrawn(
                entry.manifest, {name: _only(splits, remaining) for name, splits in entry.splits.items()}
            )


def _only(splits: Mapping[str, str], items: Collection[str]) -> dict[str, str]:
    return {item: split for item, split in splits.items() if item in items}


def remove_unfinished_withdrawals(releases: Releases) -> None:
    """Delete what a killed withdrawal left of a release: its folder without a manifest."""
    for entry in releases.withdrawn():
        folder = releases.folder.child(entry.manifest.version)
        names = folder.sizes()
        if names and FILE not in names:
            for name in names:
                folder.remove(name)
            shutil.rmtree(folder.path, ignore_errors=True)
