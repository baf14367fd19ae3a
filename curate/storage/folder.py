"""What a folder of a workspace can do, and the one on this machine's disk."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError, WorkspaceUnusable
from curate.files import write_whole
from curate.storage.errors import disk_error, disk_error_in_text
from curate.storage.lock import hold_disk_lock

_PART_BYTES = 2**20


class Folder(ABC):
    """A folder whose files have relative names with slashes. Files are written whole or not at all.

    ``path`` is the folder on this disk, or that of its copies: files written below ``path`` belong to the workspace
    after ``save``, and files of the workspace are below ``path`` after ``fetch``. What concerns copies does nothing
    in a folder whose files are used in place.
    """

    path: Path

    @property
    @abstractmethod
    def location(self) -> str:
        """The path or URL that users know it by."""

    @property
    def delta_options(self) -> Mapping[str, str] | None:
        """Options for the Delta library to open a table here."""
        return None

    @abstractmethod
    def child(self, name: str) -> "Folder": ...

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Read a file. Raises ``FileNotFoundError``."""

    def read_parts(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in parts, as it is stored. Raises ``FileNotFoundError``."""
        yield self.read(name)

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file, on a disk readable by its owner alone."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> None:
        """Write a file unless another machine has written it meanwhile."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete a file and every copy of it on this disk; one that does not exist is no error."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""

    @abstractmethod
    def children(self) -> set[str]:
        """Return the names of the files and folders directly inside."""

    @abstractmethod
    def glob(self, pattern: str) -> list[str]:
        """Return the names of the files that match, sorted; ``*`` matches within one part of a name."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of each file at any depth by its name."""

    @abstractmethod
    def fetch(self, names: Iterable[str]) -> list[Path]:
        """Return the paths on this disk of files that never change."""

    def save(self, names: Iterable[str], *, source: Path | None = None) -> None:  # noqa: B027
        """Store files from ``path`` in this order; from ``source`` if the folder becomes visible as a whole."""

    def remove_unfinished(self, last: str) -> None:  # noqa: B027
        """Remove child folders that were saved as a whole but not as far as their file ``last``."""

    def drop_stale_copies(self, name: str) -> None:  # noqa: B027
        """Delete all copies from this disk if the copy of file ``name`` differs from the workspace's."""

    def keep_copies(self, names: Iterable[str]) -> None:  # noqa: B027
        """Delete the copies of all other files from this disk."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Let one process at a time in. Raises ``WorkspaceBusy`` at once for the others."""

    def unlock(self, *, certain: bool) -> str | None:
        """Remove the lock of a dead process and return its description, or None if nothing was locked."""
        return None

    @abstractmethod
    def to_error(self, error: OSError) -> CurateError:
        """Return the error to raise for a failing disk or store."""

    @abstractmethod
    def to_error_in_text(self, text: str) -> CurateError | None:
        """Return the same where a library reports it as text only; None if the text is about something else."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise a ``CurateError`` that names this folder for every ``OSError`` of the block."""
        try:
            yield
        except OSError as error:
            raise self.to_error(error) from error


def refuse_links(root: Path) -> None:
    """Raise ``WorkspaceUnusable`` for a link where a workspace's files are written: it may lead to any other file."""
    folders = [root, *(root / name for name in ("tables", "releases", "runs", "label_studio", "blobs"))]
    with suppress(OSError):
        folders += (root / "tables").glob("*/")
        folders += (root / "tables").glob("*/*/")
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise WorkspaceUnusable(
                        f"{entry.path} is a link, and writing to it could change files outside the workspace",
                        hint="delete the link; to use another disk, put the whole workspace there and name it with -w",
                    )


@dataclass(frozen=True)
class DiskFolder(Folder):
    """A folder of a disk: its files are used in place."""

    path: Path

    @property
    def location(self) -> str:
        return str(self.path)

    def child(self, name: str) -> "DiskFolder":
        return DiskFolder(self.path / name)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def read_parts(self, name: str) -> Iterator[bytes]:
        with (self.path / name).open("rb") as stream:
            while part := stream.read(_PART_BYTES):
                yield part

    def write(self, name: str, data: bytes) -> None:
        write_whole(self.path / name, data, mode=0o600, sync=True)

    def create(self, name: str, data: bytes) -> None:
        self.write(name, data)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        return (self.path / name).exists()

    def children(self) -> set[str]:
        return {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()

    def glob(self, pattern: str) -> list[str]:
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.glob(pattern) if path.is_file())

    def sizes(self) -> dict[str, int]:
        files = (path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): path.stat().st_size for path in files}

    def fetch(self, names: Iterable[str]) -> list[Path]:
        return [self.path / name for name in names]

    def lock(self) -> AbstractContextManager[None]:
        return hold_disk_lock(self.path)

    def to_error(self, error: OSError) -> CurateError:
        return disk_error(self.location, error)

    def to_error_in_text(self, text: str) -> CurateError | None:
        return disk_error_in_text(self.location, text)
