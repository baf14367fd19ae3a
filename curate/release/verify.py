"""Find what is damaged in a release: files, the manifest, and what does not belong there."""

import hashlib
from collections import Counter
from pathlib import Path

from curate.errors import WorkspaceUnusable
from curate.release.manifest import CARD, CHANGES, FILE, Manifest, read_manifest
from curate.release.read import open_shard
from curate.release.shards import ReleaseFile
from curate.storage.folder import Folder

_LOADED = ("data/", "labels/", "judgements/", "raters/")


def release_damages(folder: Folder) -> list[str]:
    """Return what is wrong with the release in a folder, a sentence each; empty if every byte is as it was made."""
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
            damages.append(f"{file.path} was changed since the release was made")
        elif file.rows is not None:
            damages += _shard_damages(folder, file)
    return damages


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
