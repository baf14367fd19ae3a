"""Where this machine keeps copies of objects of a remote workspace, and the limit on their size."""

import os
import re
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from curate.files import replace_whole, sha256_of

MAX_BYTES = 20 * 2**30
_IN_USE_S = 600.0
_CHECK_EVERY_BYTES = MAX_BYTES // 20
_HINT = "free some space, or name a folder on another disk in CURATE_CACHE"


def cache_folder() -> Path:
    """Return the user's folder of copies: ``$CURATE_CACHE``, else ``curate`` in the user's cache folder.

    It may be deleted while no run is active. Its blobs are limited to 20 GiB; those unused for longest go first.
    """
    folder = os.environ.get("CURATE_CACHE")
    if folder:
        return Path(folder).expanduser().absolute()
    return _base_folder("XDG_CACHE_HOME", ".cache") / "curate"


def private_folder(url: str, endpoint: str) -> Path:
    """Return the folder for this machine's own files of a remote workspace: its Label Studio, and databases in use."""
    return _base_folder("XDG_DATA_HOME", ".local/share") / "curate" / "workspaces" / folder_name(url, endpoint)


def folder_name(url: str, endpoint: str) -> str:
    """Return a name for the folder of a URL on a server."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", url).strip("-")[-48:]
    return f"{words}-{sha256_of(f'{endpoint} {url}')[:12]}"


def replace_copy(path: Path) -> AbstractContextManager[Path]:
    """``replace_whole`` for a copy, which its owner alone can read."""
    return replace_whole(path, mode=0o600, hint=_HINT)


class CacheLimit:
    """Keeps a folder of copies below a size; checks only after this process has added a twentieth of it."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._unchecked_bytes = _CHECK_EVERY_BYTES

    def add(self, size_bytes: int) -> None:
        """Count a new copy, and delete old ones if a check is due."""
        self._unchecked_bytes += size_bytes
        if self._unchecked_bytes >= min(_CHECK_EVERY_BYTES, self.max_bytes):
            self._unchecked_bytes = 0
            self.delete_oldest()

    def delete_oldest(self) -> None:
        """Delete the copies unused for longest until a tenth of the limit is free, except those in use now."""
        copies = []
        with suppress(OSError):
            for path in self.folder.glob("*/*"):
                with suppress(OSError):
                    state = path.stat()
                    copies.append((state.st_mtime, state.st_size, path))
        total_bytes = sum(size for _, size, _ in copies)
        if total_bytes <= self.max_bytes:
            return
        for used_at, size, path in sorted(copies):
            if total_bytes <= self.max_bytes * 0.9 or used_at > time.time() - _IN_USE_S:
                return
            with suppress(OSError):
                path.unlink()
                total_bytes -= size


def _base_folder(variable: str, default: str) -> Path:
    value = os.environ.get(variable)
    return Path(value) if value else Path.home() / default
