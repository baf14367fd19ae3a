"""The lock of a workspace on an object store: an object that the store lets one process create."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from curate.errors import CurateError, WorkspaceBusy, WorkspaceUnusable
from curate.storage.lock import LOCK, LockHolder
from curate.storage.s3.client import S3Prefix


@contextmanager
def hold_s3_lock(prefix: S3Prefix) -> Iterator[None]:
    """Hold the lock. It stays when its process is killed and is never taken away: ``unlock_s3`` is for people.

    Raises ``WorkspaceBusy`` at once if another process holds it, and ``WorkspaceUnusable`` if the store cannot lock.
    """
    holder = LockHolder.this_process()
    try:
        _acquire(prefix, holder)
    except CurateError:
        # The lock may have been written although the store's reply was lost.
        with suppress(CurateError):
            _release(prefix, holder)
        raise
    try:
        yield
    finally:
        _release(prefix, holder)


def unlock_s3(prefix: S3Prefix, *, certain: bool) -> str | None:
    """Remove the lock of a dead process and return its description, or None if nothing was locked.

    Raises ``WorkspaceBusy`` unless the process is known to be dead or the caller is ``certain``.
    """
    if not prefix.exists(LOCK):
        return None
    holder = _read_holder(prefix)
    if holder.is_dead() or certain:
        prefix.remove(LOCK)
        return str(holder)
    raise WorkspaceBusy(
        f"the lock of {prefix.url} is held by {holder}, which may still be running",
        hint="check that machine; if the run is dead, unlock with --certain",
    )


def _acquire(prefix: S3Prefix, holder: LockHolder) -> None:
    # If the reply to the first attempt was lost, the client's second attempt meets our own lock.
    if not prefix.create(LOCK, holder.to_json()) and (owner := _read_holder(prefix)).token != holder.token:
        raise _busy(prefix.url, owner)
    if prefix.create(LOCK, b"{}"):
        prefix.remove(LOCK)
        raise WorkspaceUnusable(
            f"the store of {prefix.url} overwrites objects that exist, so two runs could damage each other's work",
            hint="use a store with conditional writes (If-None-Match), or a folder",
        )


def _release(prefix: S3Prefix, holder: LockHolder) -> None:
    if _read_holder(prefix).token == holder.token:
        prefix.remove(LOCK)


def _read_holder(prefix: S3Prefix) -> LockHolder:
    try:
        values = json.loads(prefix.read(LOCK))
    except (FileNotFoundError, ValueError, RecursionError):
        values = None
    return LockHolder.from_json(values if isinstance(values, dict) else {})


def _busy(url: str, holder: LockHolder) -> WorkspaceBusy:
    if holder.is_dead():
        return WorkspaceBusy(
            f"workspace {url} is locked by {holder}, which has ended without unlocking it",
            hint=f"unlock it with `curate unlock -w {url}`, then run again: what was finished is kept",
        )
    return WorkspaceBusy(
        f"workspace {url} is in use by {holder}",
        hint=f"wait until it has ended; if that run is dead, `curate unlock -w {url}`",
    )
