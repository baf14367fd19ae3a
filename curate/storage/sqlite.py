"""One writer for an SQLite file: what many ask to have written goes down in shared transactions."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import CurateError, StorageFailed, WorkspaceUnusable

Statement = tuple[str, Sequence[Any]]

_MOST_PER_GROUP = 500
_LOCKED_S = 30.0
_NO_FILE = ("unable to open", "readonly", "disk", "full")


def open_connection(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to an SQLite file that any thread may use, in autocommit and WAL mode."""
    with sqlite_errors(path):
        where = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        connection = sqlite3.connect(
            where, uri=True, timeout=_LOCKED_S, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
        # FULL syncs each shared transaction: a reply that was paid for outlives a power cut too.
        connection.execute("PRAGMA synchronous=FULL")
    return connection


class sqlite_errors:  # noqa: N801 - used as `with sqlite_errors(path):`, and too often for a generator
    """Turns what SQLite raises into ``StorageFailed`` (disk, lock) or ``WorkspaceUnusable`` (damaged file)."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise as_storage_error(error, self.path) from error


def as_storage_error(error: Exception, path: Path) -> CurateError:
    """The sentence for what SQLite says of a file, or of a value."""
    said = str(error)
    if not isinstance(error, sqlite3.Error):
        return StorageFailed(
            f"a value cannot be kept in {path}: {said[:200]}", hint="run again; if it stays, report it"
        )
    if "locked" in said or "busy" in said:
        return StorageFailed(f"{path} is locked by another program", hint="close what has it open, then run again")
    if isinstance(error, sqlite3.OperationalError) and any(word in said for word in _NO_FILE):
        return StorageFailed(f"cannot use {path}: {said}", hint="free some space or mend the permissions, run again")
    return WorkspaceUnusable(
        f"{path} cannot be used: {said}", hint="restore it from a copy; without it, what was paid for is paid again"
    )


class _Job(NamedTuple):
    statements: Sequence[Statement]
    done: "asyncio.Future[None] | Future[None] | None"


class GroupCommit:
    """A thread that writes. What is handed in is on the disk when the awaited call comes back, or it has raised.

    Each call is atomic; calls that arrive while the disk is busy share the next transaction.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    async def commit(self, statements: Sequence[Statement]) -> None:
        """Write on behalf of a coroutine. It is written even if the caller is cancelled meanwhile."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Job(statements, done))
        await done

    def hand_in(self, statements: Sequence[Statement]) -> None:
        """Have it written before whatever is handed in later, without waiting; a failure shows at the next call."""
        self._put(_Job(statements, None))

    def commit_now(self, statements: Sequence[Statement]) -> None:
        """Write, and wait for it."""
        done: Future[None] = Future()
        self._put(_Job(statements, done))
        done.result()

    def close(self) -> None:
        """Write what is waiting, and end the thread."""
        with self._guard:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _put(self, job: _Job) -> None:
        if self._thread is None:
            with self._guard:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                    self._thread.start()
        self._jobs.put(job)

    def _run(self) -> None:
        try:
            connection = open_connection(self.path)
        except CurateError as error:
            self._refuse(error)
            return
        with closing(connection):
            ending = False
            while not ending:
                group = [self._jobs.get()]
                while len(group) < _MOST_PER_GROUP:
                    try:
                        group.append(self._jobs.get_nowait())
                    except queue.Empty:
                        break
                ending = None in group
                jobs = [job for job in group if job is not None]
                if jobs:
                    self._write(connection, jobs)

    def _write(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                for sql, values in job.statements:
                    connection.execute(sql, values)
            connection.execute("COMMIT")
        except (sqlite3.Error, ValueError, OverflowError, TypeError) as error:
            # The others are of values that cannot be stored: half a character, a number without end.
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            if len(jobs) > 1:
                # One bad job fails alone.
                for job in jobs:
                    self._write(connection, [job])
                return
            _settle(jobs, as_storage_error(error, self.path))
        else:
            _settle(jobs, None)

    def _refuse(self, error: CurateError) -> None:
        while (job := self._jobs.get()) is not None:
            _settle([job], error)


def _settle(jobs: list[_Job], error: CurateError | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for job in jobs:
        if job.done is None:
            continue
        if isinstance(job.done, asyncio.Future):
            by_loop.setdefault(job.done.get_loop(), []).append(job.done)
        elif error is None:
            job.done.set_result(None)
        else:
            job.done.set_exception(error)
    for loop, futures in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_tell, futures, error)


def _tell(futures: list["asyncio.Future[None]"], error: CurateError | None) -> None:
    for future in futures:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
