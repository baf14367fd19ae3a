"""One writer for an SQLite file: concurrent writes share transactions."""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import CurateError, StorageFailed, WorkspaceUnusable

Statement = tuple[str, Sequence[Any]]
"""SQL with one ``?`` for each value."""

_MAX_GROUP = 500
_LOCK_TIMEOUT_S = 30.0
_LOCK_RETRY_S = 0.01
_DISK_FAILURES = ("unable to open", "readonly", "disk", "full")


def open_connection(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection that any thread may use, in autocommit and WAL mode. Raises as ``to_storage_error``."""
    with sqlite_errors(path):
        if not read_only:
            # SQLite gives its journals the mode of the database.
            with suppress(OSError):
                path.touch(mode=0o600)
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        connection = sqlite3.connect(
            uri, uri=True, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        if not read_only:
            _use_wal(connection)
        # FULL syncs each shared transaction: a reply that was paid for survives a power cut too.
        connection.execute("PRAGMA synchronous=FULL")
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; SQLite itself does not wait for a lock where two connections switch at once."""
    end = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if not _is_locked(error) or time.monotonic() > end:
                raise
            time.sleep(_LOCK_RETRY_S)
        else:
            return


def database_damages(path: Path) -> list[str]:
    """Return what SQLite finds wrong with a database; empty if it is whole or does not exist."""
    if not path.exists():
        return []
    try:
        with closing(open_connection(path, read_only=True)) as connection, sqlite_errors(path):
            findings = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
    except CurateError as error:
        return [error.message]
    return [finding for finding in findings if finding != "ok"]


class sqlite_errors:  # noqa: N801 - used as `with sqlite_errors(path):`, and too often for a generator
    """Turns every ``sqlite3.Error`` of a block into the error of ``to_storage_error``."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise to_storage_error(error, self.path) from error


def to_storage_error(error: Exception, path: Path) -> CurateError:
    """``StorageFailed`` for a failing disk, a lock or a value that cannot be stored, else ``WorkspaceUnusable``."""
    text = str(error)
    if not isinstance(error, sqlite3.Error):
        return StorageFailed(
            f"a value cannot be stored in {path}: {text[:200]}", hint="run again; if it happens again, report it"
        )
    if _is_locked(error):
        return StorageFailed(f"{path} is locked by another program", hint="close that program, then run again")
    if _is_disk_failure(error):
        return StorageFailed(
            f"cannot use {path}: {text}", hint="free some space or fix the permissions, then run again"
        )
    return WorkspaceUnusable(
        f"{path} cannot be used: {text}", hint="restore it from a copy; without it, paid replies are paid for again"
    )


def _is_locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and any(word in str(error) for word in ("locked", "busy"))


def _is_disk_failure(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and any(words in str(error) for words in _DISK_FAILURES)


class _Job(NamedTuple):
    statements: Sequence[Statement]
    done: "asyncio.Future[None] | Future[None] | None"


_Jobs = queue.SimpleQueue[_Job | None]


class SqliteWriter:
    """A background thread that writes. Each call is atomic, and calls made while the disk is busy share a transaction.

    ``commit`` and ``commit_now`` return when the statements are on the disk, or raise. A failure that nobody waited
    for is raised by the next call, after that call's own statements are written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: _Jobs = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()
        self._failure: CurateError | None = None

    async def commit(self, statements: Sequence[Statement]) -> None:
        """Write from a coroutine. The statements are written even if the caller is cancelled meanwhile."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Job(statements, done))
        await done
        self._raise_failure()

    def enqueue(self, statements: Sequence[Statement]) -> None:
        """Write before all later calls, without waiting."""
        self._put(_Job(statements, None))
        self._raise_failure()

    def commit_now(self, statements: Sequence[Statement]) -> None:
        """Write, and wait until it is done."""
        done: Future[None] = Future()
        self._put(_Job(statements, done))
        done.result()
        self._raise_failure()

    def close(self) -> None:
        """Write everything enqueued and end the thread; a later call starts another one."""
        with self._guard:
            thread, self._thread = self._thread, None
            self._jobs.put(None)
        if thread is not None:
            thread.join()
        self._raise_failure()

    def _put(self, job: _Job) -> None:
        with self._guard:
            if self._thread is None:
                # A queue for each thread: no job is left to one that has ended, and none takes another's signal to end.
                self._jobs = queue.SimpleQueue()
                self._thread = threading.Thread(target=self._run, args=(self._jobs,), name="curate-sqlite", daemon=True)
                self._thread.start()
            self._jobs.put(job)

    def _raise_failure(self) -> None:
        with self._guard:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self, jobs: _Jobs) -> None:
        try:
            connection = open_connection(self.path)
        except CurateError as error:
            while (job := jobs.get()) is not None:
                self._settle([job], error)
            return
        with closing(connection):
            is_open = True
            while is_open:
                group = [jobs.get()]
                with suppress(queue.Empty):
                    while len(group) < _MAX_GROUP:
                        group.append(jobs.get_nowait())
                is_open = None not in group
                self._write(connection, [job for job in group if job is not None])

    def _write(self, connection: sqlite3.Connection, group: list[_Job]) -> None:
        while group:
            job = None
            try:
                connection.execute("BEGIN IMMEDIATE")
                for job in group:
                    for sql, values in job.statements:
                        connection.execute(sql, values)
                connection.execute("COMMIT")
            except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, TypeError) as error:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                # A value that cannot be stored (a lone surrogate, infinity) fails its own job; a locked or failing
                # file fails all at once, since waiting for it again could take half a minute for each job.
                if job is None or _is_locked(error) or _is_disk_failure(error):
                    failed, group = group, []
                else:
                    failed, group = [job], [waiting for waiting in group if waiting is not job]
                self._settle(failed, to_storage_error(error, self.path))
            else:
                self._settle(group, None)
                return

    def _settle(self, group: Iterable[_Job], error: CurateError | None) -> None:
        futures_by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for job in group:
            if isinstance(job.done, asyncio.Future):
                futures_by_loop.setdefault(job.done.get_loop(), []).append(job.done)
            elif job.done is not None:
                _resolve([job.done], error)
            elif error is not None:
                with self._guard:
                    self._failure = error
        for loop, futures in futures_by_loop.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, futures, error)


def _resolve(futures: Sequence["asyncio.Future[None] | Future[None]"], error: CurateError | None) -> None:
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
