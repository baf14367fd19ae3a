"""The lock that lets one process at a time write to a workspace, and who holds it."""

import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import WorkspaceBusy
from curate.files import read_json_object
from curate.storage.errors import disk_error

LOCK = ".lock"
_NOTE = ".lock.json"
LOCK_FILES = frozenset({LOCK, _NOTE})
"""Files of the lock, which an otherwise empty workspace may hold."""


class LockHolder(NamedTuple):
    """The process that holds a lock. ``token`` differs between processes with the same number."""

    host: str | None = None
    pid: int | None = None
    since: str | None = None
    token: str | None = None

    @classmethod
    def this_process(cls) -> "LockHolder":
        since = datetime.now(UTC).isoformat("T", "seconds")
        return cls(socket.gethostname(), os.getpid(), since, secrets.token_hex(8))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "LockHolder":
        """Return the holder in a note; fields that are missing or of another type become None."""
        kinds = {"host": str, "pid": int, "since": str, "token": str}
        return cls(**{name: values[name] for name, kind in kinds.items() if isinstance(values.get(name), kind)})

    def to_json(self) -> bytes:
        return json.dumps(self._asdict()).encode()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"

    def is_dead(self) -> bool:
        """Whether the process ran on this machine and has ended; False if that cannot be known."""
        if self.host != socket.gethostname() or self.pid is None:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        return False


@contextmanager
def hold_disk_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder on a disk, which the system frees when the process ends, however it ends.

    Raises ``WorkspaceBusy`` at once if another process holds it, and ``StorageFailed``.
    """
    from filelock import FileLock, Timeout

    note = folder / _NOTE
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
        note.unlink(missing_ok=True)
        note.write_bytes(LockHolder.this_process().to_json())
    except Timeout as error:
        holder = LockHolder.from_json(read_json_object(note))
        by_whom = "" if holder.pid is None else f" by {holder}"
        raise WorkspaceBusy(
            f"workspace {folder} is in use{by_whom}", hint="wait until it has ended, then run again"
        ) from error
    except OSError as error:
        lock.release()
        raise disk_error(str(folder), error) from error
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()
