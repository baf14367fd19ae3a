"""Where this machine keeps copies of what lies behind a URL, and how they are kept from filling its disk."""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from curate.errors import StorageFailed

MOST_BYTES = 20 * 2**30
_IN_USE_S = 600.0
_LOOK_EVERY_BYTES = MOST_BYTES // 20


def cache_folder() -> Path:
    """The user's folder of copies: ``$CURATE_CACHE``, else ``curate`` in the user's cache folder.

    It may be deleted whenever no run is going on. Blobs in it are bounded (20 GiB, the longest unused go first).
    """
    own = os.environ.get("CURATE_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    return _base("XDG_CACHE_HOME", ".cache") / "curate"


def private_folder(url: str, endpoint: str) -> Path:
    """Where this machine keeps what is its own of a workspace: its Label Studio, and databases worked on in place."""
    return _base("XDG_DATA_HOME", ".local/share") / "curate" / "workspaces" / folder_name(url, endpoint)


def folder_name(url: str, endpoint: str) -> str:
    """A name for a folder that stands for a URL on a server."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", url).strip("-")[-48:]
    return f"{words}-{hashlib.sha256(f'{endpoint} {url}'.encode()).hexdigest()[:12]}"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to that becomes ``path`` in one move when the block ends; raises ``StorageFailed``."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise StorageFailed(
            f"cannot write {path}: {error.strerror or error}",
            hint="free some space, or name a folder on another disk in CURATE_CACHE",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()


class Bound:
    """Keeps a folder of copies below a size; looks only after every so many bytes that this process has added."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self._added = _LOOK_EVERY_BYTES

    def add(self, size_bytes: int) -> None:
        """Note that so many bytes came, and make room where that is due."""
        self._added += size_bytes
        if self._added >= min(_LOOK_EVERY_BYTES, self.most_bytes):
            self._added = 0
            self.trim()

    def trim(self) -> None:
        """Remove the longest unused copies until a tenth of the room is free; what was just used stays."""
        found = []
        with suppress(OSError):
            for path in self.folder.glob("*/*"):
                with suppress(OSError):
                    about = path.stat()
                    found.append((about.st_mtime, about.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= self.most_bytes:
            return
        for used, size, path in sorted(found):
            if total <= self.most_bytes * 0.9 or used > time.time() - _IN_USE_S:
                return
            with suppress(OSError):
                path.unlink()
                total -= size


def _base(variable: str, usual: str) -> Path:
    named = os.environ.get(variable)
    return Path(named) if named else Path.home() / usual
