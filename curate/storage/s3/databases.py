"""Databases of a workspace behind a URL: worked on in place on this disk, kept there whole."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from curate.errors import StorageFailed
from curate.storage.s3.client import Remote

_BESIDE = ("", "-wal", "-shm", "-journal")


class Copies:
    """The local copies of a workspace's SQLite databases, for the one process that holds its lock.

    Beside each copy a note tells which object it was last equal to, and whether it was written to since: so a copy
    with what a killed run added is never taken for an old one.
    """

    def __init__(self, remote: Remote, local: Path) -> None:
        self.remote = remote
        self.local = local
        self._opened: dict[str, str] = {}

    def open(self, name: str) -> Path:
        """The path of the copy, brought up to date by the first call."""
        path = self.local / name
        if name in self._opened:
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            mark = self.remote.mark(name)
            equal_to, unsaved = self._note(name)
            if mark is not None and (mark != equal_to or not path.is_file()):
                if unsaved:
                    self._put_aside(path)
                partial = path.with_name(f".{path.name}.new")
                self.remote.download(name, partial)
                for old in list(_files(path))[1:]:
                    old.unlink(missing_ok=True)
                partial.replace(path)
            self._write_note(name, mark, unsaved=True)
        except OSError as error:
            raise _failed(path, error) from error
        self._opened[name] = ""
        return path

    def save(self, *, end: bool) -> None:
        """Put every copy that was opened where the workspace is, as of its last transaction; ``end`` closes them."""
        for name in sorted(self._opened):
            path = self.local / name
            if not path.is_file():
                continue
            try:
                with TemporaryDirectory(prefix=".saving-", dir=self.local) as folder:
                    whole = Path(folder) / path.name
                    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(whole)) as target:
                        source.backup(target)
                    with whole.open("rb") as stream:
                        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
                    if sha256 != self._opened[name]:
                        self.remote.upload(whole, name)
                        self._opened[name] = sha256
                self._write_note(name, self.remote.mark(name), unsaved=not end)
            except (OSError, sqlite3.Error) as error:
                raise _failed(path, error) from error
        if end:
            self._opened.clear()

    def _note(self, name: str) -> tuple[str | None, bool]:
        try:
            note = json.loads((self.local / f"{name}.copy.json").read_text(encoding="utf-8"))
            return note["equal_to"], bool(note["unsaved"])
        except (OSError, ValueError, KeyError, TypeError):
            # A copy of which nothing is known may hold something that is nowhere else.
            return None, (self.local / name).is_file()

    def _write_note(self, name: str, mark: str | None, *, unsaved: bool) -> None:
        path = self.local / f"{name}.copy.json"
        partial = path.with_name(f".{path.name}.new")
        partial.write_text(json.dumps({"equal_to": mark, "unsaved": unsaved}), encoding="utf-8")
        partial.replace(path)

    @staticmethod
    def _put_aside(path: Path) -> None:
        free = next(n for n in count(1) if not path.with_name(f"{path.name}.unsaved-{n}").exists())
        for old in _files(path):
            with suppress(FileNotFoundError):
                old.rename(path.with_name(f"{path.name}.unsaved-{free}{old.name.removeprefix(path.name)}"))


def _files(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.name}{ending}") for ending in _BESIDE)


def _failed(path: Path, error: Exception) -> StorageFailed:
    return StorageFailed(f"cannot use {path}: {error}", hint="free some space or mend the permissions, then run again")
