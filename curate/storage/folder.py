"""What a folder of a workspace can do, and the one that lies on this machine's disk."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from curate.errors import WorkspaceBusy
from curate.storage.delta import storage_errors

LOCK = ".lock"
LOCK_FILES = frozenset({LOCK, ".lock.json"})


class Folder(Protocol):
    """A folder whose files have relative names with slashes. Files are written whole or not at all.

    ``path`` is where it lies on this disk, or where copies of it do: what is written below ``path`` is the workspace's
    after ``save``, and what is the workspace's is below ``path`` after ``fetch``. ``place`` is what a user calls it.
    """

    @property
    def path(self) -> Path: ...
    @property
    def place(self) -> str: ...
    def child(self, name: str) -> "Folder": ...
    def read(self, name: str) -> bytes:
        """A file's bytes; raises ``FileNotFoundError``."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Put a file, readable to its owner alone on a disk."""
        ...

    def create(self, name: str, data: bytes) -> None:
        """Put a file unless another machine has done so meanwhile."""
        ...

    def holds(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        ...

    def children(self) -> set[str]:
        """The names of the files and folders in it."""
        ...

    def names(self, pattern: str) -> list[str]:
        """The files below that match, sorted; ``*`` stands for one part of a name."""
        ...

    def fetch(self, names: Iterable[str]) -> list[Path]:
        """Where files, which never change, lie on this disk."""
        ...

    def save(self, names: Iterable[str], *, source: Path | None = None) -> None:
        """Take over files, in this order, from ``path``; from ``source`` where the folder comes as a whole."""
        ...

    def clear_unfinished(self, last: str) -> None:
        """Remove the folders in it that were to come as a whole, and were not saved as far as their file ``last``."""
        ...

    def forget_others(self, name: str) -> None:
        """Drop copies from this disk unless the copy of file ``name`` is what the workspace has."""
        ...

    def forget_but(self, names: Iterable[str]) -> None:
        """Drop the copies of files in it from this disk but for these."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """A context that one process at a time is in; raises ``WorkspaceBusy``."""
        ...

    def unlock(self, *, certain: bool) -> str | None:
        """Remove a lock that a dead process left; says whose it was, None where there is none."""
        ...


@dataclass(frozen=True)
class DiskFolder:
    """A folder of a disk: its files are used in place."""

    path: Path

    @property
    def place(self) -> str:
        return str(self.path)

    def child(self, name: str) -> "DiskFolder":
        return DiskFolder(self.path / name)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        path = self.path / name
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.touch(mode=0o600)
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            with suppress(OSError):
                partial.unlink()

    def create(self, name: str, data: bytes) -> None:
        self.write(name, data)

    def holds(self, name: str) -> bool:
        return (self.path / name).exists()

    def children(self) -> set[str]:
        return {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()

    def names(self, pattern: str) -> list[str]:
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.glob(pattern) if path.is_file())

    def fetch(self, names: Iterable[str]) -> list[Path]:
        return [self.path / name for name in names]

    def save(self, names: Iterable[str], *, source: Path | None = None) -> None:
        """Nothing: the files are where they belong, or are moved there in one step."""

    def clear_unfinished(self, last: str) -> None:
        """Nothing: a folder comes in one move."""

    def forget_others(self, name: str) -> None:
        """Nothing: there are no copies."""

    def forget_but(self, names: Iterable[str]) -> None:
        """Nothing: there are no copies."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        note = self.path / ".lock.json"
        guard = FileLock(self.path / LOCK, timeout=0)
        with storage_errors(self.place):
            try:
                guard.acquire()
            except Timeout as error:
                raise WorkspaceBusy(
                    f"workspace {self.path} is in use{_holder(note)}", hint="wait until it has ended, then run again"
                ) from error
        try:
            with storage_errors(self.place):
                note.write_text(json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat("T", "seconds")}))
            yield
        finally:
            note.unlink(missing_ok=True)
            guard.release()

    def unlock(self, *, certain: bool) -> str | None:
        """Nothing: the system frees the lock of a process that ends, however it ends."""
        return None


def _holder(note: Path) -> str:
    try:
        holder = json.loads(note.read_text(encoding="utf-8"))
        return f" by process {holder['pid']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
