"""Media on an object store, with copies on this machine of those it used last."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from curate.files import sha256_of
from curate.storage.blobs import BlobMissing, Blobs, damaged
from curate.storage.cache import CacheLimit, cache_folder, replace_copy
from curate.storage.s3.client import S3Prefix

_READS_AT_ONCE = 64
_UPLOADS_AT_ONCE = 16
_MAX_PENDING_BYTES = 64 * 2**20


@dataclass(frozen=True)
class S3Blobs(Blobs):
    """Blobs of an object store. Workers write to the store themselves, with the keys of their own environment.

    Copies are in the user's cache folder, shared by all workspaces, and their hash is checked at every use.
    """

    prefix: S3Prefix

    def flush(self) -> None:
        """Wait until everything this process has put is in the store. Raises the errors of the uploads."""
        _uploads(self.prefix).flush()

    def path(self, name: str) -> Path:
        """Return the path on this disk of a copy, which is fetched first if necessary."""
        if self._read_copy(name) is None:
            try:
                self._write_copy(name, self.prefix.read(name))
            except FileNotFoundError as error:
                raise _missing(name) from error
        return _copies_folder() / name

    def read(self, name: str) -> bytes:
        """Read a blob. Raises ``BlobMissing`` if it is gone or its bytes do not match its name."""
        return self.read_many([name])[name]

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Read several blobs at the same time; raises as ``read``."""
        contents: dict[str, bytes] = {}
        for batch in _batches(dict.fromkeys(names)):
            contents |= {name: data for name in batch if (data := self._read_copy(name)) is not None}
            fetched = self.prefix.read_many([name for name in batch if name not in contents])
            contents |= {name: _checked(name, data) for name, data in fetched.items()}
            if missing := [name for name in batch if name not in contents]:
                raise _missing(missing[0])
        return contents

    def remove(self, name: str) -> None:
        """Remove a blob, waiting first for pending uploads."""
        self._path(name)
        _uploads(self.prefix).flush()
        (_copies_folder() / name).unlink(missing_ok=True)
        self.prefix.remove(name)

    def sizes(self) -> Callable[[str], int]:
        """Return a function from name to size in bytes, which answers from one listing of the store."""
        sizes = self.prefix.sizes()

        def size(name: str) -> int:
            if name not in sizes:
                raise _missing(name)
            return sizes[name]

        return size

    def stored(self) -> set[str]:
        """See ``Blobs.stored``."""
        return set(self.prefix.sizes())

    def damages(self, names: Iterable[str]) -> Iterator[tuple[str, BlobMissing]]:
        """See ``Blobs.damages``; reads the store itself, never a copy."""
        for batch in _batches(names):
            contents = self.prefix.read_many(batch)
            for name in batch:
                if name not in contents:
                    yield name, _missing(name)
                elif not _has_name(contents[name], name):
                    yield name, damaged(name, f"the store returned {len(contents[name]):,} bytes with another hash")

    def share(self, names: Iterable[str], folder: Path) -> None:
        """Copy blobs into a folder outside the cache, so that nothing is deleted while people look at it."""
        for batch in _batches(name for name in names if not (folder / name).is_file()):
            for name, data in self.read_many(batch).items():
                with replace_copy(folder / name) as partial:
                    partial.write_bytes(data)

    def _store(self, name: str, data: bytes) -> None:
        if self._read_copy(name) is None:
            self._write_copy(name, data)
        _uploads(self.prefix).add(name, data)

    def _read_copy(self, name: str) -> bytes | None:
        """Return the copy on this disk, marked as used; None if there is none or a failing disk has damaged it."""
        self._path(name)
        path = _copies_folder() / name
        try:
            os.utime(path)
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        return data if _has_name(data, name) else None

    def _write_copy(self, name: str, data: bytes) -> None:
        with replace_copy(_copies_folder() / name) as partial:
            partial.write_bytes(_checked(name, data))
        _cache_limit(_copies_folder()).add(len(data))


class _Uploads:
    """Pending uploads: many small ones at a time, of a bounded total size."""

    def __init__(self, prefix: S3Prefix) -> None:
        self.prefix = prefix
        self._pool = ThreadPoolExecutor(_UPLOADS_AT_ONCE, thread_name_prefix="curate-upload")
        self._pending: deque[tuple[Future[bool], int]] = deque()
        self._pending_bytes = 0

    def add(self, name: str, data: bytes) -> None:
        # A conditional write is one request where a look and then a write would be two.
        self._pending.append((self._pool.submit(self.prefix.create, name, data), len(data)))
        self._pending_bytes += len(data)
        while self._pending_bytes > _MAX_PENDING_BYTES:
            self._wait_for_oldest()

    def flush(self) -> None:
        while self._pending:
            self._wait_for_oldest()

    def _wait_for_oldest(self) -> None:
        future, size = self._pending.popleft()
        self._pending_bytes -= size
        future.result()


@cache
def _uploads(prefix: S3Prefix) -> _Uploads:
    return _Uploads(prefix)


def _batches(names: Iterable[str]) -> Iterator[Sequence[str]]:
    remaining = list(names)
    return (remaining[i : i + _READS_AT_ONCE] for i in range(0, len(remaining), _READS_AT_ONCE))


def _copies_folder() -> Path:
    return cache_folder() / "blobs"


@cache
def _cache_limit(folder: Path) -> CacheLimit:
    return CacheLimit(folder)


def _checked(name: str, data: bytes) -> bytes:
    if not _has_name(data, name):
        raise damaged(name, f"the store returned {len(data):,} bytes with another hash")
    return data


def _has_name(data: bytes, name: str) -> bool:
    return sha256_of(data) == name[3:67]


def _missing(name: str) -> BlobMissing:
    error = BlobMissing(f"blob {name} cannot be read: it is gone", hint="restore it, or begin a new workspace")
    error.name = name
    return error
