"""Media by the hash of their bytes: files written once, safe to write from any worker."""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from curate.errors import InvalidInput, StorageFailed
from curate.files import PARTIAL, sha256_of, write_whole

_HINT = (
    "restore it from a copy; or delete the workspace's folders tables/items and tables/faces and run again: "
    "the media are made anew, and judgements are kept"
)
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{1,8}")


class BlobMissing(StorageFailed):
    """One blob is gone or damaged, while others can be read."""

    name = ""


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
        """Return the path of a blob on this disk; raises as ``read``, and ``InvalidInput`` for any other name."""
        self.read(name)
        return self._path(name)

    def read(self, name: str) -> bytes:
        """Read a blob. Raises ``BlobMissing`` if it is gone or damaged, and ``StorageFailed`` if the whole folder is.

        A link is never followed: it could name any file of this machine.
        """
        data = self._read_file(name)
        if sha256_of(data) != name[3:67]:
            raise damaged(name, f"the disk returned {len(data):,} bytes with another hash")
        return data

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
                return self._path(name).lstat().st_size
            except OSError as error:
                raise self._failure(name, error.strerror) from error

        return size

    def stored(self) -> set[str]:
        """Return the names of all files, whether they are blobs or not."""
        paths = (path for path in self.root.rglob("*") if path.is_symlink() or not path.is_dir())
        return {path.relative_to(self.root).as_posix() for path in paths if not path.name.endswith(PARTIAL)}

    def damages(self, names: Iterable[str]) -> Iterator[tuple[str, BlobMissing]]:
        """Yield the blobs that cannot be read or have other bytes than their name promises, each with its error."""
        for name in names:
            try:
                self.read(name)
            except BlobMissing as error:
                yield name, error
            except InvalidInput:
                yield name, damaged(name, "nothing of that name can be a blob")

    def share(self, names: Iterable[str], folder: Path) -> None:
        """Put these blobs under their names into ``folder``, for a program that reads files: no copies if possible."""
        for name in names:
            path = folder / name
            if not path.is_file() or path.is_symlink():
                data = self.read(name)
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                try:
                    os.link(self._path(name), path)
                except OSError:
                    write_whole(path, data, mode=0o600)

    def _read_file(self, name: str) -> bytes:
        path = self._path(name)
        try:
            if path.is_symlink() or not stat.S_ISREG(path.lstat().st_mode):
                raise damaged(name, "it is not a file but a link or folder")
            return path.read_bytes()
        except OSError as error:
            raise self._failure(name, error.strerror) from error

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is not the name of a blob")
        return self.root / name

    def _failure(self, name: str, reason: str | None) -> StorageFailed:
        kind = BlobMissing if os.access(self.root, os.R_OK | os.X_OK) else StorageFailed
        error = kind(f"blob {name} cannot be read: {reason}", hint=_HINT)
        error.__dict__["name"] = name
        return error

    def _store(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with suppress(OSError):
            if not path.is_symlink() and path.read_bytes() == data:
                return
        write_whole(path, data, mode=0o600, hint="free some space or choose another workspace with -w")


def damaged(name: str, damage: str) -> BlobMissing:
    """Return the error for a blob that is there, but not with the bytes that its name promises."""
    error = BlobMissing(f"blob {name} is damaged: {damage}", hint=_HINT)
    error.name = name
    return error
