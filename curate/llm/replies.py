"""What models replied, by request: one SQLite file in the workspace, written before a reply is used.

It also holds the account of what was reserved and spent, and the batches that are under way. Keys and credentials never
reach it: of the headers, only the names in ``HEADERS`` are kept.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from curate.errors import WorkspaceUnusable
from curate.storage.sqlite import SqliteWriter, Statement, open_connection, sqlite_errors

FORMAT = 1
HEADERS = frozenset(
    {
        "x-request-id",
        "openai-processing-ms",
        "openai-model",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
    }
)
_MOST_HEADER_CHARS = 200
_MOST_AT_ONCE = 500

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, content_key TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, answered_by TEXT,
  request_id TEXT, created_at TEXT NOT NULL, seconds REAL NOT NULL, status INTEGER NOT NULL, fault TEXT,
  reply TEXT NOT NULL, headers TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
  tokens_cached INTEGER NOT NULL, estimated INTEGER NOT NULL, usd REAL, batch TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS answers_by_content ON answers (content_key);
CREATE TABLE IF NOT EXISTS spend (
  id TEXT PRIMARY KEY, pot TEXT NOT NULL, run TEXT NOT NULL, labeller TEXT NOT NULL, key TEXT NOT NULL,
  state TEXT NOT NULL, usd REAL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, at TEXT NOT NULL, batch TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS spend_by_pot ON spend (pot, state);
CREATE TABLE IF NOT EXISTS batches (
  id TEXT PRIMARY KEY, remote_id TEXT, endpoint TEXT NOT NULL, labeller TEXT NOT NULL, model TEXT NOT NULL,
  state TEXT NOT NULL, submitted_at TEXT NOT NULL, input_file TEXT, output_file TEXT, error_file TEXT,
  detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS batch_requests (
  batch TEXT NOT NULL, key TEXT NOT NULL, content_key TEXT NOT NULL, PRIMARY KEY (batch, key)
) STRICT, WITHOUT ROWID;
"""


class StoredReply(NamedTuple):
    """One stored reply. ``reply`` is the raw body; ``fault`` says what it was where it is no plain completion.

    ``seconds`` is from sending to the last byte; ``estimated`` says that the service did not tell its usage; ``usd`` is
    None where no price is known.
    """

    key: str
    content_key: str
    endpoint: str
    model: str
    answered_by: str | None
    request_id: str | None
    created_at: str
    seconds: float
    status: int
    fault: str | None
    reply: str
    headers: str
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    estimated: bool
    usd: float | None
    batch: str | None = None

    @property
    def created(self) -> datetime:
        """When it was stored, in UTC."""
        return datetime.fromisoformat(self.created_at)


class BudgetEntry(NamedTuple):
    """One entry of the account: ``reserved`` before sending, then ``settled`` by the usage, or ``lost``.

    Lost is what may have been charged without a reply: it counts as it was reserved.
    """

    id: str
    pot: str
    run: str
    labeller: str
    key: str
    state: str
    usd: float | None
    tokens_in: int
    tokens_out: int
    at: str
    batch: str | None = None


class BatchRecord(NamedTuple):
    """One batch of requests handed to a service; ``remote_id`` is None until the service has confirmed it."""

    id: str
    remote_id: str | None
    endpoint: str
    labeller: str
    model: str
    state: str
    submitted_at: str
    input_file: str | None = None
    output_file: str | None = None
    error_file: str | None = None
    detail: str = ""


class Total(NamedTuple):
    """What a pot has paid or may have to: settled, lost and reserved together."""

    usd: float
    tokens: int


class ReplyStore:
    """The opened file, made where there is none. Safe for any thread, and to read while another process writes.

    Raises ``StorageFailed`` (disk full, locked) and ``WorkspaceUnusable`` (damaged, or of a newer curate), wherever it
    is used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with sqlite_errors(path):
            self._reader = open_connection(path)
            version = self._reader.execute("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                self._reader.close()
                raise WorkspaceUnusable(
                    f"{path} has format {version}, and this curate knows up to {FORMAT}", hint="upgrade curate"
                )
            if version < FORMAT:
                self._reader.executescript(f"{_SCHEMA}PRAGMA user_version={FORMAT};")
        self._writer = SqliteWriter(path)
        self._reading = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is waiting, and let go of the file."""
        self._writer.close()
        with self._reading:
            self._reader.close()

    def find(self, key: str) -> StoredReply | None:
        """The stored reply to a request; about ten microseconds."""
        return self._one("SELECT * FROM answers WHERE key = ?", key)

    def find_many(self, keys: Sequence[str]) -> dict[str, StoredReply]:
        """The stored replies to requests by key; half as long for each."""
        found: dict[str, StoredReply] = {}
        for at in range(0, len(keys), _MOST_AT_ONCE):
            some = keys[at : at + _MOST_AT_ONCE]
            sql = f"SELECT * FROM answers WHERE key IN ({','.join('?' * len(some))})"  # noqa: S608 - only marks
            found.update((row[0], StoredReply(*row)) for row in self._rows(sql, *some))
        return found

    def find_content(self, content_key: str) -> StoredReply | None:
        """The oldest stored reply of any model to a request's content."""
        return self._one("SELECT * FROM answers WHERE content_key = ? ORDER BY created_at, key LIMIT 1", content_key)

    async def commit(self, statements: Sequence[Statement]) -> None:
        """Write, in one transaction that others may share; on the disk when it returns."""
        await self._writer.commit(statements)

    def hand_in(self, statements: Sequence[Statement]) -> None:
        """Write soon, in order with everything else; nobody waits for it."""
        self._writer.enqueue(statements)

    def commit_now(self, statements: Sequence[Statement]) -> None:
        """The same for callers without an event loop."""
        self._writer.commit_now(statements)

    def reserved(self, batch: str) -> list[BudgetEntry]:
        """What is still reserved for the requests of a batch."""
        sql = "SELECT * FROM spend WHERE batch = ? AND state = 'reserved' ORDER BY id"
        return [BudgetEntry(*row) for row in self._rows(sql, batch)]

    def total(self, pot: str) -> Total:
        """What a pot has paid or may have to, in all runs."""
        sql = "SELECT coalesce(sum(usd), 0.0), coalesce(sum(tokens_in + tokens_out), 0) FROM spend WHERE pot = ?"
        ((usd, tokens),) = self._rows(sql, pot)
        return Total(float(usd), int(tokens))

    def write_off_reservations(self, pot: str) -> None:
        """Count as lost what a run that died had reserved. Those of batches stand: their replies may come."""
        sql = "UPDATE spend SET state = 'lost' WHERE pot = ? AND state = 'reserved' AND batch IS NULL"
        self.commit_now([(sql, (pot,))])

    def mean_tokens_out(self, model: str) -> float | None:
        """How long the newest thousand replies of a model were on average, in tokens; None where there are none."""
        newest = "SELECT tokens_out FROM answers WHERE model = ? ORDER BY rowid DESC LIMIT 1000"
        sql = f"SELECT avg(tokens_out) FROM ({newest})"  # noqa: S608 - no value is part of it
        ((mean,),) = self._rows(sql, model)
        return None if mean is None else float(mean)

    def open_batches(self, endpoint: str | None = None) -> list[BatchRecord]:
        """Batches at an address, or anywhere, whose replies have not all been taken over, oldest first."""
        sql = "SELECT * FROM batches WHERE state NOT IN ('done', 'failed') ORDER BY submitted_at, id"
        return [
            batch for row in self._rows(sql) if (batch := BatchRecord(*row)).endpoint == (endpoint or batch.endpoint)
        ]

    def batch_keys(self, batch: str) -> dict[str, str]:
        """The requests of a batch that have no stored reply yet: the content key by key."""
        sql = (
            "SELECT key, content_key FROM batch_requests WHERE batch = ? "
            "AND key NOT IN (SELECT key FROM answers WHERE key = batch_requests.key) ORDER BY key"
        )
        return dict(self._rows(sql, batch))

    def _one(self, sql: str, value: str) -> StoredReply | None:
        with self._reading, sqlite_errors(self.path):
            row = self._reader.execute(sql, (value,)).fetchone()
        return None if row is None else StoredReply(*row)

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._reading, sqlite_errors(self.path):
            return self._reader.execute(sql, values).fetchall()


def _insert(how: str, table: str, columns: int) -> str:
    return f"INSERT OR {how} INTO {table} VALUES ({','.join('?' * columns)})"  # noqa: S608 - names of ours


_PUT_ANSWER = _insert("IGNORE", "answers", len(StoredReply._fields))
_PUT_SPEND = _insert("REPLACE", "spend", len(BudgetEntry._fields))
_PUT_BATCH = _insert("REPLACE", "batches", len(BatchRecord._fields))


def put_reply(answer: StoredReply) -> Statement:
    """Keep a reply; the first one to a request stays."""
    return _PUT_ANSWER, answer


def put_entry(spend: BudgetEntry) -> Statement:
    """Enter into the account, or replace the entry of the same id."""
    return _PUT_SPEND, spend


def put_batch(batch: BatchRecord) -> Statement:
    """Record a batch as it stands now."""
    return _PUT_BATCH, batch


def put_batch_requests(batch: str, keys: Mapping[str, str]) -> list[Statement]:
    """Record which requests a batch holds: the content key by key."""
    sql = "INSERT OR IGNORE INTO batch_requests VALUES (?, ?, ?)"
    return [(sql, (batch, key, content_key)) for key, content_key in keys.items()]


def delete_entry(spend_id: str) -> Statement:
    """Take back a reservation of which nothing can have been charged."""
    return "DELETE FROM spend WHERE id = ?", (spend_id,)


def kept_headers(headers: Mapping[str, str]) -> str:
    """The headers that are stored, as JSON: a closed list, so that none can carry a secret."""
    kept = {name.lower(): value[:_MOST_HEADER_CHARS] for name, value in headers.items() if name.lower() in HEADERS}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def now() -> str:
    """The time in UTC as it stands in the tables."""
    return datetime.now(UTC).isoformat("T", "milliseconds")
