"""Media by the hash of their bytes: write-once files, safe to write from any worker."""

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from curate.errors import InvalidInput, StorageFailed

_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{1,8}")


@dataclass(frozen=True)
class Blobs:
    """A content-addressed folder. A name is ``ab/abcd….jpg``: the SHA-256 of the bytes, and a suffix."""

    root: Path

    def put(self, data: bytes, suffix: str) -> str:
        """The name under which ``data`` is now stored; writing the same bytes again costs one look at the disk."""
        name_hash = hashlib.sha256(data).hexdigest()
        name = f"{name_hash[:2]}/{name_hash}.{suffix.lstrip('.')}"
        path = self.path(name)
        if path.exists():
            return name
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
        return name

    def path(self, name: str) -> Path:
        """Where a blob lies. Raises ``InvalidInput`` for anything that is not a blob's name."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is not the name of a blob")
        return self.root / name

    def read(self, name: str) -> bytes:
        """A blob's bytes. Raises ``StorageFailed`` when it is gone."""
        try:
            return self.path(name).read_bytes()
        except OSError as error:
            raise StorageFailed(
                f"blob {name} cannot be read: {error.strerror}",
                hint="restore it, or run again in a new workspace",
            ) from error

    def remove(self, name: str) -> None:
        """Remove what was stored for a while only; gone already is all right."""
        with suppress(OSError):
            self.path(name).unlink()
