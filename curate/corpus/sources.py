"""Raw files: the folders that they may be in, and where that of a source is on this machine."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from curate.corpus.archives.unpack import unpack
from curate.corpus.fetched import link_copy
from curate.corpus.hub_names import HUB, parse_hub_name
from curate.errors import InvalidInput, InvalidRow, ServiceRefused, ServiceUnavailable, StorageFailed

MEMBER = "!/"
"""Separates the name of an archive from that of a member: ``clips.zip!/day 1/a.mp4``."""
OBJECTS = "s3://"
LINK_STARTS = ("https://", "http://", OBJECTS)
"""How names of files begin of which the workspace has copies"""
_PUT_BACK = "put it back or mount its disk, then run again; what is stored is kept"


class SourceMissing(StorageFailed):
    """A raw file that a stage needs is no longer where it was found."""


class RawFolders(NamedTuple):
    """The folders that raw files may be in: the recipe's, and those that the user named.

    A recipe may come from a stranger, so nothing outside them is read, whether a pattern, a name in the workspace or a
    link leads there. Names are relative to the first folder that has such a file: the named ones come first.
    """

    recipe: Path
    named: tuple[Path, ...] = ()
    fetch: Callable[[str], None] | None = None
    """Makes this machine's copy of a file of the Hub; None if the Hub is not to be asked"""
    fetched: Path | None = None
    """The workspace's file of records of links, next to which their files are"""

    def __iter__(self) -> Iterator[Path]:
        """Iterate over the folders in the order in which names are looked up."""
        return iter((*self.named, self.recipe))

    def boundary(self) -> Callable[[str], bool]:
        """Return a function that tells whether a path without links is one of the folders, or in one."""
        roots = tuple(os.path.join(os.path.realpath(root), "") for root in self)  # noqa: PTH118
        return lambda real: os.path.join(real, "").startswith(roots)  # noqa: PTH118

    def join(self, name: str) -> Path:
        """Return where the file of that name is; if there is none, where it would be in the recipe's folder.

        A member of an archive is in this machine's cache: the archive is unpacked if it is not yet. Raises
        ``InvalidRow`` or ``StorageFailed`` if it cannot be.
        """
        path, member = self._locate(name)
        if member is None:
            return path
        pure = PurePosixPath(member)
        if pure.is_absolute() or ".." in pure.parts:
            raise InvalidRow(f"{name!r} leads out of the archive")
        return unpack(path).folder / pure

    def on_disk(self, name: str) -> Path:
        """Return the file that ``join`` reads: the file of that name, or the archive of a member."""
        return self._locate(name)[0]

    def path(self, name: str) -> Path:
        """Return the path of a raw file, given its name in ``sources`` (``file``, or a sidecar's).

        Raises ``SourceMissing`` if it cannot be read, so that a disk that is not mounted never counts as broken media,
        and ``InvalidInput`` if it is outside the folders.
        """
        path = Path(name)
        try:
            path = self.on_disk(name)
            path.stat()
            if not is_fetched(name) and not self.boundary()(real := os.path.realpath(path)):
                raise InvalidInput(f"raw file {outside(str(path), real)}", hint=allowing(real))
            path = self.join(name)
            path.stat()
        except OSError as error:
            raise SourceMissing(f"raw file {path} cannot be read: {error.strerror}", hint=_PUT_BACK) from error
        except (InvalidRow, ServiceRefused, ServiceUnavailable) as error:
            raise SourceMissing(f"raw file {name} is out of reach: {error.message}", hint=_PUT_BACK) from error
        return path

    def _locate(self, name: str) -> tuple[Path, str | None]:
        """Return the path of a file, and the name within it if the file is an archive of which a member is asked."""
        if name.startswith(LINK_STARTS):
            return link_copy(self.fetched or Path("nowhere"), name), None
        if is_fetched(name):
            file_name, _, inner = name.partition(MEMBER)
            hub_file = parse_hub_name(file_name)
            if not hub_file.copy.is_file() and self.fetch is not None:
                self.fetch(file_name)
            return hub_file.copy, inner or None
        paths = [folder / name for folder in self]
        existing = next((path for path in paths if os.path.lexists(path)), None)
        archive, mark, member = name.partition(MEMBER)
        if existing is not None or not mark:
            return existing or paths[-1], None
        archives = [folder / archive for folder in self]
        existing = next((path for path in archives if path.is_file()), None)
        return (existing or archives[-1]), member


def is_fetched(name: str) -> bool:
    """Whether a name is that of a file which is not on this machine's disks, or of a member of it."""
    return name.startswith((HUB, *LINK_STARTS))


def outside(path: str, real: str) -> str:
    """Return in words that a path is outside the folders of raw files."""
    leads = "is" if path == real else f"leads to {real},"
    return f"{path} {leads} outside the recipe's folder"


def allowing(real: str) -> str:
    """Return the next step for a user who wants what is at a path without links to be read."""
    folder = real if Path(real).is_dir() else str(Path(real).parent)
    return f"if this recipe may read there, name the folder: --raw {folder}"
