"""Find what is damaged in a release: files, the manifest, and what does not belong there."""

import hashlib
from collections import Counter
from pathlib import Path

import pyarrow as pa

from curate.errors import CurateError, WorkspaceUnusable
from curate.release.content import read_content_hash
from curate.release.manifest import CARD, CHANGES, FILE, Manifest, read_manifest
from curate.release.read import open_shard
from curate.release.shards import ReleaseFile
from curate.storage.folder import Folder

_CHANGED = "was changed since the release was made"
_LOADED = ("data/", "labels/", "judgements/", "raters/", "features/")


def release_damages(folder: Folder, *, with_rows: bool = False) -> list[str]:
    """Return what is wrong with the release in a folder, a sentence each; empty if every byte is as it was made.

    ``with_rows`` also reads every row, and says whether they are those that were released where bytes are not.
    """
    try:
        folder.drop_stale_copies(FILE)
        folder.fetch([FILE])
        manifest = read_manifest(folder.path, location=folder.location)
    except WorkspaceUnusable as error:
        return [error.message]
    sizes = folder.sizes()
    listed = {file.path for file in manifest.files}
    damages = [
        *_manifest_damages(manifest, folder),
        *(
            f"{name} is not part of the release, and loaders would read it"
            for name in sorted(set(sizes) - listed)
            if name.startswith(_LOADED)
        ),
    ]
    for file in manifest.files:
        path = folder.path / file.path
        if path.is_symlink():
            damages.append(f"{file.path} was replaced by a link")
        elif file.path not in sizes:
            damages.append(f"{file.path} is missing")
        elif sizes[file.path] != file.size_bytes or _sha256(folder, file.path) != file.sha256:
            damages.append(f"{file.path} {_CHANGED}")
        elif file.rows is not None:
            damages += _shard_damages(folder, file)
    return _with_rows(folder, manifest, damages) if with_rows else damages


def _with_rows(folder: Folder, manifest: Manifest, damages: list[str]) -> list[str]:
    """Return the damages, with whether rows are those that were released where the bytes of a shard are not."""
    try:
        folder.fetch([file.path for file in manifest.files])
        is_same = read_content_hash(folder.path, manifest) == manifest.content_sha256
    except (CurateError, OSError, pa.ArrowException):
        return damages  # what cannot be read has been named
    if not damages:
        return [] if is_same else [f"its rows are not those that were released: {FILE} has another content hash"]
    finding = f"every row is as it was, only its bytes are not those that {manifest.writer} wrote"
    finding = finding if is_same else "rows are not those that were released"
    changed = {f"{file.path} {_CHANGED}" for file in manifest.files if file.split is not None}
    return [f"{damage}: {finding}" if damage in changed else damage for damage in damages]


def _manifest_damages(manifest: Manifest, folder: Folder) -> list[str]:
    rows = Counter[str]()
    for file in manifest.files:
        if file.split is not None:
            rows[file.split] += file.rows or 0
    damages = []
    if manifest.version != Path(folder.path).name:
        damages.append(f"{FILE} calls the release {manifest.version!r}, and its folder {Path(folder.path).name!r}")
    if rows != Counter(manifest.splits):
        damages.append(f"{FILE} was changed: its shards have other numbers of rows than its splits")
    listed = {file.path for file in manifest.files}
    damages += [f"{FILE} was changed: it does not list {name}" for name in (CARD, CHANGES) if name not in listed]
    if manifest.history[-1].version != manifest.version:
        damages.append(f"{FILE} was changed: its history does not end with {manifest.version}")
    return damages


def _shard_damages(folder: Folder, file: ReleaseFile) -> list[str]:
    """Return what is wrong with a shard that is as its manifest says: both may have been made by anyone."""
    (path,) = folder.fetch([file.path])
    try:
        shard = open_shard(path, release=folder.location, key="rater" if file.path.startswith("raters/") else "item_id")
    except WorkspaceUnusable as error:
        return [error.message.removeprefix(f"release {folder.location}: ")]
    return [] if shard.rows == file.rows else [f"{file.path} has {shard.rows:,} rows where {FILE} says {file.rows:,}"]


def _sha256(folder: Folder, name: str) -> str:
    """Return the hash of a file as it is stored, whatever copies of it this disk has."""
    digest = hashlib.sha256()
    for part in folder.read_parts(name):
        digest.update(part)
    return digest.hexdigest()
