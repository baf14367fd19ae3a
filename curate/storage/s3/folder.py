"""A folder of a workspace behind a URL, with a folder on this machine for copies of its files."""

import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from curate.errors import WorkspaceBusy, WorkspaceUnusable
from curate.storage.cache import whole
from curate.storage.folder import LOCK
from curate.storage.s3.client import Remote

_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class RemoteFolder:
    """A prefix of an object store, with a folder for copies of its files."""

    remote: Remote
    path: Path

    @property
    def place(self) -> str:
        return self.remote.url

    def child(self, name: str) -> "RemoteFolder":
        return RemoteFolder(self.remote.child(name), self.path / name)

    def read(self, name: str) -> bytes:
        return self.remote.read(name)

    def write(self, name: str, data: bytes) -> None:
        self.remote.write(name, data)

    def create(self, name: str, data: bytes) -> None:
        self.remote.create(name, data)

    def holds(self, name: str) -> bool:
        return self.remote.exists(name) or bool(self.remote.child(name).children())

    def children(self) -> set[str]:
        return self.remote.children()

    def names(self, pattern: str) -> list[str]:
        depth = pattern.count("/")
        return sorted(n for n in self.remote.sizes() if n.count("/") == depth and fnmatch(n, pattern))

    def fetch(self, names: Iterable[str]) -> list[Path]:
        paths = []
        for name in names:
            path = self.path / name
            if not path.is_file():
                with whole(path) as partial:
                    self._download(name, partial)
            paths.append(path)
        return paths

    def save(self, names: Iterable[str], *, source: Path | None = None) -> None:
        if source is not None:
            self.remote.write(_UNFINISHED, b"")
        for name in names:
            self.remote.upload((source or self.path) / name, name)
        if source is not None:
            self.remote.remove(_UNFINISHED)

    def clear_unfinished(self, last: str) -> None:
        names = self.remote.sizes()
        begun = {name.removesuffix(f"/{_UNFINISHED}") for name in names if name.endswith(f"/{_UNFINISHED}")}
        for name in names:
            folder, _, inside = name.partition("/")
            if folder in begun and (f"{folder}/{last}" not in names or inside == _UNFINISHED):
                self.remote.remove(name)
        for copy in self.path.glob("*/"):
            if f"{copy.name}/{last}" not in names:
                shutil.rmtree(copy, ignore_errors=True)

    def forget_others(self, name: str) -> None:
        with suppress(FileNotFoundError):
            if (self.path / name).read_bytes() == self.remote.read(name):
                return
        shutil.rmtree(self.path, ignore_errors=True)

    def forget_but(self, names: Iterable[str]) -> None:
        kept = set(names)
        for copy in self.path.glob("*"):
            if copy.is_file() and copy.name not in kept:
                copy.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """An object that the store lets only one process make.

        It stays when its process is killed, and is never taken from anybody: ``unlock`` is for people.
        """
        mine = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat("T", "seconds"),
            "token": secrets.token_hex(8),
        }
        # Where the reply to the first attempt was lost, the client's second one finds our own lock.
        if not self.remote.create(LOCK, json.dumps(mine).encode()) and self._holder().get("token") != mine["token"]:
            raise self._busy()
        if self.remote.create(LOCK, b"{}"):
            self.remote.remove(LOCK)
            raise WorkspaceUnusable(
                f"the store of {self.place} overwrites what it was asked not to, so two runs could spoil each other",
                hint="use a store that knows conditional writes (If-None-Match), or a folder",
            )
        try:
            yield
        finally:
            if self._holder().get("token") == mine["token"]:
                self.remote.remove(LOCK)

    def unlock(self, *, certain: bool) -> str | None:
        if not self.remote.exists(LOCK):
            return None
        holder = self._holder()
        if _is_dead(holder) or certain:
            self.remote.remove(LOCK)
            return _who(holder)
        raise WorkspaceBusy(
            f"the lock of {self.place} is held by {_who(holder)}, and nothing tells that this run is dead",
            hint="look there; if it is dead, say so with --certain",
        )

    def _download(self, name: str, path: Path) -> None:
        try:
            self.remote.download(name, path)
        except FileNotFoundError as error:
            raise WorkspaceUnusable(f"{self.place}/{name} is gone", hint="restore it from a copy") from error

    def _holder(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self.remote.read(LOCK))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _busy(self) -> WorkspaceBusy:
        holder = self._holder()
        if _is_dead(holder):
            return WorkspaceBusy(
                f"workspace {self.place} is locked by {_who(holder)}, which has ended without unlocking it",
                hint=f"free it with `curate unlock -w {self.place}`, then run again: what was finished is kept",
            )
        return WorkspaceBusy(
            f"workspace {self.place} is in use by {_who(holder)}",
            hint=f"wait until it has ended; if that run is dead, `curate unlock -w {self.place}`",
        )


def _who(holder: Mapping[str, Any]) -> str:
    return f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"


def _is_dead(holder: Mapping[str, Any]) -> bool:
    """Whether the holder ran on this machine and does no more; of others nothing is known."""
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int):
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
