"""Media by the hash of their bytes: files written once, safe to write from any worker."""

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from curate.errors import InvalidInput, StorageFailed
from curate.files import sha256_of, write_whole

_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{1,8}")


class BlobMissing(StorageFailed):
    """One blob is gone or damaged, while others can be read."""


@dataclass(frozen=True)
class Blobs:
    """A content-addressed folder. A name is ``ab/abcd….jpg``: the SHA-256 of the bytes, and a suffix."""

    root: Path

    def put(self, data: bytes, suffix: str) -> str:
        """Store ``data``, for good after ``flush``, and return its name; equal bytes are stored once."""
        sha256 = sha256_of(data)
        name = f"{sha256[:2]}/{sha256}.{suffix.lstrip('.')}"
        self._store(name, data)
        return name

    def flush(self) -> None:
        """Wait until everything that was put is stored. Raises the errors of delayed writes."""

    def path(self, name: str) -> Path:
        """Return the path of a blob on this disk. Raises ``InvalidInput`` for anything but a blob's name."""
        return self._path(name)

    def read(self, name: str) -> bytes:
        """Read a blob. Raises ``BlobMissing`` if it is gone, and ``StorageFailed`` if the whole folder is."""
        try:
            return self._path(name).read_bytes()
        except OSError as error:
            raise self._failure(name, error.strerror) from error

    def remove(self, name: str) -> None:
        """Remove a temporary blob; one that does not exist is no error."""
        with suppress(OSError):
            self._path(name).unlink()

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Read several blobs; raises as ``read``."""
        return {name: self.read(name) for name in names}

    def sizes(self) -> Callable[[str], int]:
        """Return a function from name to size in bytes, which raises as ``read``."""

        def size(name: str) -> int:
            try:
                return self._path(name).stat().st_size
            except OSError as error:
                raise self._failure(name, error.strerror) from error

        return size

    def folder_with(self, names: Iterable[str]) -> Path:
        """Return a folder of this disk that holds these blobs under their names, for a program that reads files."""
        return self.root

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is not the name of a blob")
        return self.root / name

    def _failure(self, name: str, reason: str | None) -> StorageFailed:
        kind = BlobMissing if os.access(self.root, os.R_OK | os.X_OK) else StorageFailed
        return kind(f"blob {name} cannot be read: {reason}", hint="restore it, or delete the workspace and run again")

    def _store(self, name: str, data: bytes) -> None:
        path = self._path(name)
        if not path.exists():
            write_whole(path, data, hint="free some space or choose another workspace with -w")
