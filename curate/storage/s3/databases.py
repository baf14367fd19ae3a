"""SQLite databases of a workspace on an object store: used in place on this disk, stored as whole objects."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from curate.errors import StorageFailed
from curate.files import read_json_object, sha256_of_file, write_whole
from curate.storage.s3.client import S3Prefix

_DATABASE_SUFFIXES = ("", "-wal", "-shm", "-journal")
_HINT = "free some space or fix the permissions, then run again"


class _CopyNote(NamedTuple):
    """What is known of a local copy, stored next to it so that rows of a killed run are never overwritten.

    ``object_version`` is the object that the copy was last equal to, and ``is_unsaved`` whether it may have changed
    since. ``uploads`` are hashes of uploads whose end was not seen: an object with one of them is this copy's own.
    """

    object_version: str | None
    is_unsaved: bool
    uploads: tuple[str, ...] = ()


class DatabaseCopies:
    """The local copies of a workspace's databases, for the one process that holds its lock."""

    def __init__(self, prefix: S3Prefix, folder: Path) -> None:
        self.prefix = prefix
        self.folder = folder
        self._saved_hashes: dict[str, str] = {}

    def open(self, name: str) -> Path:
        """Return the path of the copy, which the first call brings up to date."""
        path = self.folder / name
        if name in self._saved_hashes:
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            version = self.prefix.object_version(name)
            note = self._read_note(name)
            if version is not None and (version != note.object_version or not path.is_file()):
                note = self._update_copy(name, path, note)
            self._write_note(name, note._replace(object_version=version, is_unsaved=True))
        except OSError as error:
            raise _failure(path, error) from error
        self._saved_hashes[name] = ""
        return path

    def save(self, *, end: bool) -> None:
        """Upload every copy that was opened, as of its last transaction; ``end`` closes them."""
        for name in sorted(self._saved_hashes):
            path = self.folder / name
            if path.is_file():
                try:
                    self._upload(name, path, end=end)
                except (OSError, sqlite3.Error) as error:
                    raise _failure(path, error) from error
        if end:
            self._saved_hashes.clear()

    def _update_copy(self, name: str, path: Path, note: _CopyNote) -> _CopyNote:
        """Make the copy equal to the object, unless the object is an earlier upload of this copy."""
        download = path.with_name(f".{path.name}.download")
        try:
            self.prefix.download(name, download)
            if note.is_unsaved and path.is_file() and sha256_of_file(download) in note.uploads:
                # Killed after the upload: the copy has all rows of the object, and those committed since.
                return note
            if note.is_unsaved:
                _set_aside(path)
            for file in list(_database_files(path))[1:]:
                file.unlink(missing_ok=True)
            download.replace(path)
            return _CopyNote(None, is_unsaved=True)
        finally:
            download.unlink(missing_ok=True)

    def _upload(self, name: str, path: Path, *, end: bool) -> None:
        note = self._read_note(name)
        with TemporaryDirectory(prefix=".saving-", dir=self.folder) as folder:
            snapshot = Path(folder) / path.name
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(snapshot)) as target:
                source.backup(target)
            sha256 = sha256_of_file(snapshot)
            if sha256 != self._saved_hashes[name]:
                self._write_note(name, note._replace(is_unsaved=True, uploads=(*note.uploads, sha256)))
                self.prefix.upload(snapshot, name)
                self._saved_hashes[name] = sha256
        self._write_note(name, _CopyNote(self.prefix.object_version(name), is_unsaved=not end))

    def _read_note(self, name: str) -> _CopyNote:
        values = read_json_object(self._note_path(name))
        try:
            return _CopyNote(values["equal_to"], bool(values["unsaved"]), tuple(values.get("uploads", ())))
        except (KeyError, TypeError):
            # A copy without a note may hold rows that exist nowhere else.
            return _CopyNote(None, is_unsaved=(self.folder / name).is_file())

    def _write_note(self, name: str, note: _CopyNote) -> None:
        values = {"equal_to": note.object_version, "unsaved": note.is_unsaved, "uploads": note.uploads}
        write_whole(self._note_path(name), json.dumps(values), sync=True, hint=_HINT)

    def _note_path(self, name: str) -> Path:
        return self.folder / f"{name}.copy.json"


def _set_aside(path: Path) -> None:
    number = next(n for n in count(1) if not path.with_name(f"{path.name}.unsaved-{n}").exists())
    for file in _database_files(path):
        with suppress(FileNotFoundError):
            file.rename(path.with_name(f"{path.name}.unsaved-{number}{file.name.removeprefix(path.name)}"))


def _database_files(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.name}{suffix}") for suffix in _DATABASE_SUFFIXES)


def _failure(path: Path, error: Exception) -> StorageFailed:
    return StorageFailed(f"cannot use {path}: {error}", hint=_HINT)
