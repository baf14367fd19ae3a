"""Unpack an archive into this machine's cache, within limits, and say which members are left out and why."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

from curate.corpus.archives.members import DAMAGES, Member, open_members
from curate.errors import InvalidRow, StorageFailed
from curate.files import sha256_of
from curate.storage.cache import cache_folder

MAX_RATIO = 200
MAX_BYTES = 2 * 2**40
MAX_MEMBERS = 2_000_000
_SMALL_BYTES = 64 * 2**20
_FREE_BYTES = 2**30
_PIECE_BYTES = 2**20
_FILES, _INDEX = "files", "index.json"
_MAX_NAME_BYTES, _MAX_PATH_BYTES = 255, 2_000
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
REST = ""
"""The name that stands for what follows a damage in an archive."""


class Refusal(NamedTuple):
    """A member that is left out: its name in the archive, a sentence, and a reason of the stages' list."""

    name: str
    problem: str
    reason: str = "invalid"


class Unpacked(NamedTuple):
    """The folder with the members of an archive, and those that are left out."""

    folder: Path
    refusals: tuple[Refusal, ...]


def unpack(archive: Path) -> Unpacked:
    """Return the members of an archive, unpacked on this machine if they are not yet.

    A copy belongs to one state of the archive (path, size, time of change), which its files have as their time of
    change. Raises ``InvalidRow`` with a sentence if nothing of it can be used, ``OSError`` if it is out of reach, and
    ``StorageFailed`` if the cache cannot be written.
    """
    state = archive.stat()
    folder = _home(archive) / f"{state.st_size}-{state.st_mtime_ns}"
    if not (folder / _INDEX).is_file():
        _unpack_into(folder, archive, state)
    try:
        refusals = json.loads((folder / _INDEX).read_bytes())
    except (OSError, ValueError) as error:
        raise StorageFailed(f"{folder / _INDEX} cannot be read: {error}", hint=f"delete {folder}") from error
    return Unpacked(folder / _FILES, tuple(Refusal(*refusal) for refusal in refusals))


def discard(archive: Path) -> None:
    """Remove what this machine's cache holds of an archive, which may be gone itself."""
    shutil.rmtree(_home(archive), ignore_errors=True)


def _home(archive: Path) -> Path:
    return cache_folder() / "archives" / sha256_of(os.path.realpath(archive))[:32]


def _unpack_into(folder: Path, archive: Path, state: os.stat_result) -> None:
    """Make ``folder`` in one move; copies of other states of the archive are removed."""
    import filelock

    with _disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = filelock.FileLock(f"{folder.parent}.lock")
    with lock:
        if (folder / _INDEX).is_file():
            return
        for stale_copy in folder.parent.iterdir():
            shutil.rmtree(stale_copy, ignore_errors=True)
        with _disk_errors(folder):
            staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
            (staging / _FILES).mkdir(mode=0o700)
        try:
            refusals = _Writer(staging / _FILES, archive, state).write_all()
            with _disk_errors(folder):
                (staging / _INDEX).write_text(json.dumps(refusals))
                staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


class _Writer:
    """Writes the members of an archive into a folder, whatever their names are, up to a number of bytes."""

    def __init__(self, folder: Path, archive: Path, state: os.stat_result) -> None:
        self._folder, self._archive, self._mtime_ns = folder, archive, state.st_mtime_ns
        free = max(shutil.disk_usage(folder).free - _FREE_BYTES, 0)
        ratio = max(MAX_RATIO * state.st_size, _SMALL_BYTES)
        self._left, self._excess = min(
            (ratio, f"its members have more than {MAX_RATIO} times its size"),
            (MAX_BYTES, f"its members have more than {MAX_BYTES:,} bytes"),
            (free, f"its members need more than the {free:,} bytes that are free in {cache_folder()}"),
        )
        self._refusals: dict[str, Refusal] = {}

    def write_all(self) -> list[Refusal]:
        """Write the members that can be, and return the others. Raises ``InvalidRow`` for an archive beyond limits."""
        last = ""
        with open_members(self._archive) as members:
            try:
                for number, member in enumerate(members):
                    if number >= MAX_MEMBERS:
                        raise InvalidRow(f"it has more than {MAX_MEMBERS:,} members: it is not unpacked")
                    last = member.name
                    self._write(member)
            except DAMAGES as error:
                _raise_if_out_of_reach(error)
                after = f" after {last!r}" if last else ""
                self._refuse(REST, f"what follows{after} cannot be read: {error}", "truncated")
        return list(self._refusals.values())

    def _write(self, member: Member) -> None:
        problem = member.problem or _name_problem(member.name)
        if problem or member.content is None:
            self._refuse(member.name, problem, member.reason)
            return
        target = self._folder / PurePosixPath(member.name)
        name = str(target.relative_to(self._folder))
        if name in self._refusals:
            return
        with _disk_errors(target):
            try:
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                file = target.open("xb")
            except (FileExistsError, NotADirectoryError):
                if target.is_file():
                    target.unlink()
                self._refuse(name, "the archive has several members of this name", "duplicate")
                return
        with file:
            problem = self._copy(member.content, file)
        if problem:
            target.unlink()
            self._refuse(name, problem, "unreadable")
        else:
            os.utime(target, ns=(self._mtime_ns, self._mtime_ns))

    def _copy(self, content: IO[bytes], file: BinaryIO) -> str:
        """Copy a member, and return what is wrong with it."""
        while True:
            try:
                piece = content.read(_PIECE_BYTES)
            except DAMAGES as error:
                _raise_if_out_of_reach(error)
                return f"it is damaged: {error}"
            if not piece:
                return ""
            self._left -= len(piece)
            if self._left < 0:
                raise InvalidRow(f"{self._excess}: unpack it by hand if it can be trusted")
            with _disk_errors(self._folder):
                file.write(piece)

    def _refuse(self, name: str, problem: str, reason: str) -> None:
        self._refusals.setdefault(name, Refusal(name, problem, reason))


def _name_problem(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    if not parts[0] or _DRIVE.match(name):
        return "its path is absolute"
    if ".." in parts:
        return "its path leads out of the archive"
    if "\\" in name or "\0" in name:
        return "its name contains a character that no file name has"
    encoded = os.fsencode(name)
    if len(encoded) > _MAX_PATH_BYTES or any(len(part) > _MAX_NAME_BYTES for part in encoded.split(b"/")):
        return "its name is too long for a file"
    return "" if any(part not in ("", ".") for part in parts) else "it has no name"


def _raise_if_out_of_reach(error: BaseException) -> None:
    """Raise the error again if it is the system's, which says nothing of the archive."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "free some space, or name a folder on another disk in CURATE_CACHE"
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}", hint=hint) from error
