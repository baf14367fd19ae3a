"""One writer for an SQLite file: failures are reported, a lock costs one wait, and nothing is left unwritten."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from curate.errors import StorageFailed
from curate.storage import sqlite
from curate.storage.sqlite import SqliteWriter, Statement


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE words (word TEXT)")
    return path


def insert(word: str) -> list[Statement]:
    return [("INSERT INTO words VALUES (?)", (word,))]


def read_words(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [word for (word,) in database.execute("SELECT word FROM words ORDER BY rowid")]


BAD = "half a character: \ud800"


def call_writer(writer: SqliteWriter, call: str) -> None:
    if call == "commit":
        asyncio.run(writer.commit(insert("second")))
    elif call == "close":
        writer.close()
    else:
        getattr(writer, call)(insert("second"))


@pytest.mark.parametrize("call", ["commit", "commit_now", "enqueue", "close"])
def test_a_failure_nobody_waited_for_is_raised_by_the_next_call(path: Path, call: str) -> None:
    writer, waiting = SqliteWriter(path), SqliteWriter(path)
    writer.enqueue(insert("first"))
    writer.enqueue(insert(BAD))
    while writer._failure is None:
        waiting.commit_now(insert("meanwhile"))
    with pytest.raises(StorageFailed, match="cannot be stored"):
        call_writer(writer, call)
    writer.close()
    waiting.close()
    written = [word for word in read_words(path) if word != "meanwhile"]
    assert written == ["first"] + ["second"] * (call != "close"), "the call itself was written"


def test_a_failure_is_raised_once(path: Path) -> None:
    writer = SqliteWriter(path)
    with pytest.raises(StorageFailed):
        writer.commit_now(insert(BAD))
    writer.commit_now(insert("second"))
    writer.close()
    assert read_words(path) == ["second"]


class LockedConnection(sqlite3.Connection):
    """A connection to a database that another program keeps locked."""

    attempts = 0

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
        if sql.startswith("BEGIN"):
            LockedConnection.attempts += 1
            raise sqlite3.OperationalError("database is locked")
        return super().execute(sql, *values)


def test_a_locked_database_is_waited_for_once_for_all_queued_jobs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queued = threading.Event()

    def open_locked(_: Path) -> sqlite3.Connection:
        queued.wait()
        return LockedConnection(path)

    monkeypatch.setattr(sqlite, "open_connection", open_locked)
    LockedConnection.attempts = 0
    writer = SqliteWriter(path)

    async def commit_all() -> list[BaseException | None]:
        commits = [asyncio.ensure_future(writer.commit(insert(str(n)))) for n in range(100)]
        await asyncio.sleep(0)
        queued.set()
        return await asyncio.gather(*commits, return_exceptions=True)

    results = asyncio.run(commit_all())
    assert all(isinstance(result, StorageFailed) and "locked" in result.message for result in results)
    assert LockedConnection.attempts == 1


def test_no_job_is_lost_while_the_writer_is_closed(path: Path) -> None:
    writer, done = SqliteWriter(path), threading.Event()

    def close_again_and_again() -> None:
        while not done.is_set():
            writer.close()

    def write(number: int) -> None:
        for turn in range(25):
            writer.commit_now(insert(f"{number}-{turn}"))

    closer = threading.Thread(target=close_again_and_again)
    closer.start()
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(write, number) for number in range(4)]
        for future in futures:
            future.result(timeout=60)
    done.set()
    closer.join()
    assert len(set(read_words(path))) == 100


def test_many_may_open_a_new_file_at_once(path: Path) -> None:
    def write(number: int) -> None:
        writer = SqliteWriter(path)
        writer.commit_now(insert(str(number)))
        writer.close()

    for _ in range(15):
        path.unlink()
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE words (word TEXT)")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        assert sorted(read_words(path)) == [str(number) for number in range(8)]
