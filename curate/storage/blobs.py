"""Media by the hash of their bytes: write-once files, safe to write from any worker."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from curate.errors import InvalidInput, StorageFailed

_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{1,8}")


class BlobLost(StorageFailed):
    """One blob that is gone or spoilt, while others can be read."""


@dataclass(frozen=True)
class Blobs:
    """A content-addressed folder. A name is ``ab/abcd….jpg``: the SHA-256 of the bytes, and a suffix."""

    root: Path

    def put(self, data: bytes, suffix: str) -> str:
        """The name under which ``data`` is stored, for good after ``settle``; the same bytes again cost one look."""
        name_hash = hashlib.sha256(data).hexdigest()
        name = f"{name_hash[:2]}/{name_hash}.{suffix.lstrip('.')}"
        self._keep(name, data)
        return name

    def settle(self) -> None:
        """Return when everything that was put is stored; raises what went wrong on the way."""

    def path(self, name: str) -> Path:
        """Where a blob lies on this disk. Raises ``InvalidInput`` for anything that is not a blob's name."""
        return self._place(name)

    def read(self, name: str) -> bytes:
        """A blob's bytes. Raises ``BlobLost`` when it is gone, and ``StorageFailed`` when the whole folder is."""
        try:
            return self._place(name).read_bytes()
        except OSError as error:
            raise self._lost(name, error.strerror) from error

    def remove(self, name: str) -> None:
        """Remove what was stored for a while only; gone already is all right."""
        with suppress(OSError):
            self._place(name).unlink()

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of several blobs by name; raises as ``read``."""
        return {name: self.read(name) for name in names}

    def sizes(self) -> Callable[[str], int]:
        """A function that gives a blob's size in bytes, and raises as ``read``."""

        def size(name: str) -> int:
            try:
                return self._place(name).stat().st_size
            except OSError as error:
                raise self._lost(name, error.strerror) from error

        return size

    def folder_with(self, names: Iterable[str]) -> Path:
        """A folder of this disk in which these blobs lie under their names, for a program that reads them itself."""
        return self.root

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is not the name of a blob")
        return self.root / name

    def _lost(self, name: str, why: str | None) -> StorageFailed:
        kind = BlobLost if os.access(self.root, os.R_OK | os.X_OK) else StorageFailed
        said = f"blob {name} cannot be read: {why}"
        return kind(said, hint="restore it, or delete the workspace and run again")

    def _keep(self, name: str, data: bytes) -> None:
        path = self._place(name)
        if path.exists():
            return
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise StorageFailed(
                f"cannot write media to {self.root}: {error.strerror}", hint="free some space or choose another -w"
            ) from error
