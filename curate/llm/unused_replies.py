"""Stored replies that no proposal rests on, which may be to requests about anything that was ever in the corpus."""

from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple

from curate.storage.sqlite import open_connection, sqlite_errors


class UnusedReplies(NamedTuple):
    """Stored replies that no row rests on: how many, and what asking for them again would cost."""

    replies: int
    usd: float


def count_unused(path: Path, used: Collection[str], quoted: Collection[str] = ()) -> UnusedReplies:
    """Return how many stored replies ``forget_unused`` would delete; nothing is changed."""
    if not path.is_file():
        return UnusedReplies(0, 0.0)
    with closing(open_connection(path, read_only=True)) as connection, sqlite_errors(path):
        _note_used(connection, used, quoted)
        count, usd = connection.execute(
            "SELECT count(*), coalesce(sum(usd), 0.0) FROM answers WHERE key NOT IN (SELECT key FROM temp.used)"
        ).fetchone()
    return UnusedReplies(int(count), float(usd))


def forget_unused(path: Path, used: Collection[str], quoted: Collection[str] = ()) -> None:
    """Delete the replies to all requests but those in ``used``, and those that quote one of the texts in ``quoted``.

    No byte of them stays in the file or beside it.

    What was spent stays on the account. May be killed and repeated at any time.
    """
    if not path.is_file():
        return
    with closing(open_connection(path)) as connection, sqlite_errors(path):
        connection.execute("PRAGMA secure_delete=ON")
        _note_used(connection, used, quoted)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM answers WHERE key NOT IN (SELECT key FROM temp.used)")
        # What is under way is still to be paid and received.
        ended = "batch IN (SELECT id FROM batches WHERE state IN ('done', 'failed'))"
        connection.execute(f"DELETE FROM batch_requests WHERE {ended} AND key NOT IN (SELECT key FROM temp.used)")  # noqa: S608
        connection.execute(
            "UPDATE spend SET key = '' WHERE state != 'reserved' AND key NOT IN (SELECT key FROM temp.used)"
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _note_used(connection: Connection, used: Collection[str], quoted: Collection[str]) -> None:
    """Note the requests whose replies stay."""
    connection.execute("CREATE TEMP TABLE used (key TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.executemany("INSERT OR IGNORE INTO temp.used VALUES (?)", ((key,) for key in used))
    if quoted:
        replies = connection.execute("SELECT key, reply FROM answers WHERE key IN (SELECT key FROM temp.used)")
        quoting = [(key,) for key, reply in replies if any(text in reply for text in quoted)]
        connection.executemany("DELETE FROM temp.used WHERE key = ?", quoting)
