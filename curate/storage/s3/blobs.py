"""Media behind a URL, with copies of what this machine used last."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from curate.storage.blobs import BlobLost, Blobs
from curate.storage.cache import Bound, cache_folder, whole
from curate.storage.s3.client import Remote

_AT_ONCE = 64
_UPLOADS_AT_ONCE = 16
_MOST_UPLOAD_BYTES = 64 * 2**20


@dataclass(frozen=True)
class RemoteBlobs(Blobs):
    """Blobs of an object store. Workers write to the store themselves, with the keys of their own environment.

    ``root`` is where blobs that another program reads are kept for as long as the workspace is used from here. Other
    copies lie in the user's cache folder, the same for all workspaces, checked by their hash whenever they are used.
    """

    remote: Remote

    def settle(self) -> None:
        """Return when everything that this process put is in the store; raises what went wrong on the way."""
        _uploads(self.remote).settle()

    def path(self, name: str) -> Path:
        """Where a copy of a blob lies on this disk; it is fetched first where need be."""
        if self._copied(name) is None:
            try:
                self._copy(name, self.remote.read(name))
            except FileNotFoundError as error:
                raise _missing(name) from error
        return _copies() / name

    def read(self, name: str) -> bytes:
        """A blob's bytes. Raises ``BlobLost`` when it is gone, or is not what its name says."""
        return self.read_many([name])[name]

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of several blobs by name, asked for at the same time; raises as ``read``."""
        found: dict[str, bytes] = {}
        for part in _parts(dict.fromkeys(names)):
            found |= {name: data for name in part if (data := self._copied(name)) is not None}
            fetched = self.remote.read_many([name for name in part if name not in found])
            for name, data in fetched.items():
                found[name] = _checked(name, data)
            if lost := [name for name in part if name not in found]:
                raise _missing(lost[0])
        return found

    def remove(self, name: str) -> None:
        """See ``Blobs.remove``; what is still on its way is waited for first."""
        self._place(name)
        _uploads(self.remote).settle()
        (_copies() / name).unlink(missing_ok=True)
        self.remote.remove(name)

    def sizes(self) -> Callable[[str], int]:
        """The sizes that one listing of the store gives."""
        listed = self.remote.sizes()

        def size(name: str) -> int:
            if name not in listed:
                raise _missing(name)
            return listed[name]

        return size

    def folder_with(self, names: Iterable[str]) -> Path:
        """A folder of this machine, out of the cache so that nothing is cleared away while people look at it."""
        for part in _parts(name for name in names if not self._place(name).is_file()):
            for name, data in self.read_many(part).items():
                with whole(self.root / name) as partial:
                    partial.write_bytes(data)
        return self.root

    def _keep(self, name: str, data: bytes) -> None:
        if self._copied(name) is None:
            self._copy(name, data)
        _uploads(self.remote).add(name, data)

    def _copied(self, name: str) -> bytes | None:
        """The copy on this disk, now used; None where there is none, or a disk that failed has spoilt it."""
        self._place(name)
        copy = _copies() / name
        try:
            os.utime(copy)
            data = copy.read_bytes()
        except FileNotFoundError:
            return None
        return data if _is_named(name, data) else None

    def _copy(self, name: str, data: bytes) -> None:
        with whole(_copies() / name) as partial:
            partial.write_bytes(_checked(name, data))
        _bound(_copies()).add(len(data))


class _Uploads:
    """Media on their way to the store: many small ones at a time, of a bounded size together."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self._pool = ThreadPoolExecutor(_UPLOADS_AT_ONCE, thread_name_prefix="curate-upload")
        self._flying: deque[tuple[Future[bool], int]] = deque()
        self._bytes = 0

    def add(self, name: str, data: bytes) -> None:
        # A conditional write asks once where a look and then a write would ask twice.
        self._flying.append((self._pool.submit(self.remote.create, name, data), len(data)))
        self._bytes += len(data)
        while self._bytes > _MOST_UPLOAD_BYTES:
            self._land()

    def settle(self) -> None:
        while self._flying:
            self._land()

    def _land(self) -> None:
        future, size = self._flying.popleft()
        self._bytes -= size
        future.result()


@cache
def _uploads(remote: Remote) -> _Uploads:
    return _Uploads(remote)


def _parts(names: Iterable[str]) -> Iterator[Sequence[str]]:
    listed = list(names)
    return (listed[at : at + _AT_ONCE] for at in range(0, len(listed), _AT_ONCE))


def _copies() -> Path:
    return cache_folder() / "blobs"


@cache
def _bound(folder: Path) -> Bound:
    return Bound(folder)


def _checked(name: str, data: bytes) -> bytes:
    if not _is_named(name, data):
        raise BlobLost(
            f"blob {name} is not what its name says: the store gave {len(data):,} other bytes",
            hint="restore it, or delete it there and run again in a new workspace",
        )
    return data


def _is_named(name: str, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == name[3:67]


def _missing(name: str) -> BlobLost:
    return BlobLost(f"blob {name} cannot be read: it is gone", hint="restore it, or delete the workspace and run again")
