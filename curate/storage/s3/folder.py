"""A folder of a workspace on an object store, with a folder on this machine for copies of its files."""

import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from curate.errors import CurateError, WorkspaceUnusable
from curate.files import replace_whole
from curate.storage.folder import Folder
from curate.storage.s3.client import S3Prefix
from curate.storage.s3.errors import to_error, to_error_in_text
from curate.storage.s3.lock import hold_s3_lock, unlock_s3

_UNFINISHED = ".unfinished"
# Keys and the store's address come from the environment, which the Delta library reads itself.
_DELTA_OPTIONS = {"connect_timeout": "10s", "timeout": "60s", "max_retries": "4", "retry_timeout": "60s"}


@dataclass(frozen=True)
class S3Folder(Folder):
    """A prefix of an object store, with a folder for copies of its files."""

    prefix: S3Prefix
    path: Path

    @property
    def location(self) -> str:
        return self.prefix.url

    @property
    def delta_options(self) -> Mapping[str, str]:
        return _DELTA_OPTIONS

    def child(self, name: str) -> "S3Folder":
        return S3Folder(self.prefix.child(name), self.path / name)

    def read(self, name: str) -> bytes:
        return self.prefix.read(name)

    def write(self, name: str, data: bytes) -> None:
        self.prefix.write(name, data)

    def create(self, name: str, data: bytes) -> None:
        self.prefix.create(name, data)

    def remove(self, name: str) -> None:
        self.prefix.remove(name)
        (self.path / name).unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        return self.prefix.exists(name) or bool(self.prefix.child(name).children())

    def children(self) -> set[str]:
        return self.prefix.children()

    def glob(self, pattern: str) -> list[str]:
        depth = pattern.count("/")
        return sorted(n for n in self.prefix.sizes() if n.count("/") == depth and fnmatch(n, pattern))

    def sizes(self) -> dict[str, int]:
        return dict(self.prefix.sizes())

    def fetch(self, names: Iterable[str]) -> list[Path]:
        paths = []
        for name in names:
            path = self.path / name
            if not path.is_file():
                with replace_whole(path) as partial:
                    self._download(name, partial)
            paths.append(path)
        return paths

    def save(self, names: Iterable[str], *, source: Path | None = None) -> None:
        if source is not None:
            self.prefix.write(_UNFINISHED, b"")
        for name in names:
            self.prefix.upload((source or self.path) / name, name)
        if source is not None:
            self.prefix.remove(_UNFINISHED)

    def remove_unfinished(self, last: str) -> None:
        names = self.prefix.sizes()
        started = {name.removesuffix(f"/{_UNFINISHED}") for name in names if name.endswith(f"/{_UNFINISHED}")}
        for name in names:
            child, _, file = name.partition("/")
            if child in started and (f"{child}/{last}" not in names or file == _UNFINISHED):
                self.prefix.remove(name)
        for copy in self.path.glob("*/"):
            if f"{copy.name}/{last}" not in names:
                shutil.rmtree(copy, ignore_errors=True)

    def drop_stale_copies(self, name: str) -> None:
        with suppress(FileNotFoundError):
            if (self.path / name).read_bytes() == self.prefix.read(name):
                return
        shutil.rmtree(self.path, ignore_errors=True)

    def keep_copies(self, names: Iterable[str]) -> None:
        needed = set(names)
        for copy in self.path.glob("*"):
            if copy.is_file() and copy.name not in needed:
                copy.unlink(missing_ok=True)

    def lock(self) -> AbstractContextManager[None]:
        return hold_s3_lock(self.prefix)

    def unlock(self, *, certain: bool) -> str | None:
        return unlock_s3(self.prefix, certain=certain)

    def to_error(self, error: OSError) -> CurateError:
        return to_error(self.location, error)

    def to_error_in_text(self, text: str) -> CurateError | None:
        return to_error_in_text(self.location, text)

    def _download(self, name: str, path: Path) -> None:
        try:
            self.prefix.download(name, path)
        except FileNotFoundError as error:
            raise WorkspaceUnusable(f"{self.location}/{name} is gone", hint="restore it from a copy") from error
