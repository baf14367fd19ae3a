"""The store of model replies: one SQLite file in the workspace, written before a reply is used.

It also holds the budget accounts and the batches in progress. Keys and credentials never reach it: of the response
headers, only those in ``HEADERS`` are stored.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

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
_MAX_HEADER_CHARS = 200
_MAX_KEYS_PER_QUERY = 500

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


EntryState = Literal["reserved", "settled", "lost"]
BatchState = Literal["made", "submitted", "done", "failed"]
"""``made``: on record, but not confirmed by the service; ``done`` and ``failed``: nothing more will come of it."""


class StoredReply(NamedTuple):
    """One stored reply. ``reply`` is the raw body; ``fault`` describes it if it is not a plain completion.

    ``seconds`` run from sending to the last byte; ``estimated`` marks usage that the service did not report; ``usd`` is
    None if no price is known.
    """

    key: str
    content_key: str
    endpoint: str
    model: str
    answered_by: str | None
    request_id: str | None
    created_at: str
    seconds: float = 0.0
    status: int = 200
    fault: str | None = None
    reply: str = ""
    headers: str = "{}"
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    estimated: bool = False
    usd: float | None = None
    batch: str | None = None

    @property
    def created(self) -> datetime:
        """When it was stored, in UTC."""
        return datetime.fromisoformat(self.created_at)


class BudgetEntry(NamedTuple):
    """One entry of a budget account: ``reserved`` before sending, then ``settled`` by the usage, or ``lost``.

    A lost entry may have been charged without a reply, and counts in full. ``run`` is not used any more.
    """

    id: str
    account: str
    run: str
    labeller: str
    key: str
    state: EntryState
    usd: float | None
    tokens_in: int
    tokens_out: int
    at: str
    batch: str | None = None


class BatchRecord(NamedTuple):
    """A batch of requests handed to a service; ``remote_id`` is None until the service has confirmed it."""

    id: str
    remote_id: str | None
    endpoint: str
    labeller: str
    model: str
    state: BatchState
    submitted_at: str
    input_file: str | None = None
    output_file: str | None = None
    error_file: str | None = None
    detail: str = ""


class AccountTotal(NamedTuple):
    """The sum of an account: settled, lost and reserved entries."""

    usd: float
    tokens: int


class ReplyStore:
    """The opened file, created if missing. Safe for any thread, and readable while another process writes.

    Every method may raise ``StorageFailed`` (disk full, locked) and ``WorkspaceUnusable`` (damaged, or written by a
    newer curate).
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
        """Write what is waiting, and close the file."""
        self._writer.close()
        with self._reading:
            self._reader.close()

    def find(self, key: str) -> StoredReply | None:
        """Return the stored reply to a request; takes about ten microseconds."""
        return self._first("SELECT * FROM answers WHERE key = ?", key)

    def find_many(self, keys: Sequence[str]) -> dict[str, StoredReply]:
        """Return the stored replies to requests by key; per key, half the time of ``find``."""
        replies: dict[str, StoredReply] = {}
        for start in range(0, len(keys), _MAX_KEYS_PER_QUERY):
            chunk = keys[start : start + _MAX_KEYS_PER_QUERY]
            sql = f"SELECT * FROM answers WHERE key IN ({','.join('?' * len(chunk))})"  # noqa: S608 - only marks
            replies.update((row[0], StoredReply(*row)) for row in self._rows(sql, *chunk))
        return replies

    def find_content(self, content_key: str) -> StoredReply | None:
        """Return the oldest reply of any model to a request with this content."""
        return self._first("SELECT * FROM answers WHERE content_key = ? ORDER BY created_at, key LIMIT 1", content_key)

    async def commit(self, statements: Sequence[Statement]) -> None:
        """Write in one transaction, which other callers may share; on disk when it returns."""
        await self._writer.commit(statements)

    def commit_later(self, statements: Sequence[Statement]) -> None:
        """Write soon, in order with everything else, without waiting for it."""
        self._writer.enqueue(statements)

    def commit_now(self, statements: Sequence[Statement]) -> None:
        """Write like ``commit``, for callers without an event loop."""
        self._writer.commit_now(statements)

    def reserved(self, batch: str) -> list[BudgetEntry]:
        """Return what is still reserved for the requests of a batch."""
        sql = "SELECT * FROM spend WHERE batch = ? AND state = 'reserved' ORDER BY id"
        return [BudgetEntry(*row) for row in self._rows(sql, batch)]

    def total(self, account: str) -> AccountTotal:
        """Return what an account has paid, or may have to pay, over all runs."""
        sql = "SELECT coalesce(sum(usd), 0.0), coalesce(sum(tokens_in + tokens_out), 0) FROM spend WHERE pot = ?"
        ((usd, tokens),) = self._rows(sql, account)
        return AccountTotal(float(usd), int(tokens))

    def spenders(self) -> dict[str, set[str]]:
        """Return the labellers that have spent from each account."""
        labellers: dict[str, set[str]] = {}
        for account, labeller in self._rows("SELECT DISTINCT pot, labeller FROM spend"):
            labellers.setdefault(account, set()).add(labeller)
        return labellers

    def write_off_reservations(self, account: str) -> None:
        """Count as lost what a killed run had sent, at the highest rate that its labeller has paid so far.

        Batches keep their reservations: their replies may still come.
        """
        settled = "FROM spend AS paid WHERE paid.pot = spend.pot AND paid.labeller = spend.labeller"
        settled += " AND paid.state = 'settled' AND paid.tokens_in > 0"
        sql = (
            "UPDATE spend SET state = 'lost', "  # noqa: S608 - no value is part of it
            f"usd = min(usd, coalesce((SELECT spend.tokens_in * max(paid.usd / paid.tokens_in) {settled}), usd)), "
            f"tokens_out = min(tokens_out, coalesce((SELECT max(paid.tokens_out) {settled}), tokens_out)) "
            "WHERE pot = ? AND state = 'reserved' AND batch IS NULL"
        )
        self.commit_now([(sql, (account,))])

    def mean_tokens_out(self, model: str) -> float | None:
        """Return the mean length of the newest thousand replies of a model in tokens; None without any."""
        newest = "SELECT tokens_out FROM answers WHERE model = ? ORDER BY rowid DESC LIMIT 1000"
        sql = f"SELECT avg(tokens_out) FROM ({newest})"  # noqa: S608 - no value is part of it
        ((mean,),) = self._rows(sql, model)
        return None if mean is None else float(mean)

    def has_replies(self, endpoint: str) -> bool:
        """Whether any of the newest thousand replies is from this endpoint."""
        newest = "SELECT endpoint FROM answers ORDER BY rowid DESC LIMIT 1000"
        return bool(self._rows(f"SELECT 1 FROM ({newest}) WHERE endpoint = ? LIMIT 1", endpoint))  # noqa: S608

    def open_batches(self, endpoint: str | None = None) -> list[BatchRecord]:
        """Return the batches whose replies are not all stored yet, oldest first; at one endpoint, or at all."""
        sql = "SELECT * FROM batches WHERE state NOT IN ('done', 'failed') ORDER BY submitted_at, id"
        batches = [BatchRecord(*row) for row in self._rows(sql)]
        return [batch for batch in batches if endpoint in (None, batch.endpoint)]

    def batch_keys(self, batch: str) -> dict[str, str]:
        """Return the requests of a batch without a stored reply, as content key by key."""
        sql = (
            "SELECT key, content_key FROM batch_requests WHERE batch = ? "
            "AND key NOT IN (SELECT key FROM answers WHERE key = batch_requests.key) ORDER BY key"
        )
        return dict(self._rows(sql, batch))

    def _first(self, sql: str, value: str) -> StoredReply | None:
        with self._reading, sqlite_errors(self.path):
            row = self._reader.execute(sql, (value,)).fetchone()
        return None if row is None else StoredReply(*row)

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._reading, sqlite_errors(self.path):
            return self._reader.execute(sql, values).fetchall()


def _insert(conflict: str, table: str, columns: int) -> str:
    return f"INSERT OR {conflict} INTO {table} VALUES ({','.join('?' * columns)})"  # noqa: S608 - names of ours


_PUT_REPLY = _insert("IGNORE", "answers", len(StoredReply._fields))
_PUT_ENTRY = _insert("REPLACE", "spend", len(BudgetEntry._fields))
_PUT_BATCH = _insert("REPLACE", "batches", len(BatchRecord._fields))


def put_reply(reply: StoredReply) -> Statement:
    """Store a reply; the first reply to a request stays."""
    return _PUT_REPLY, reply


def put_entry(entry: BudgetEntry) -> Statement:
    """Add an entry to its account, or replace the entry of the same id."""
    return _PUT_ENTRY, entry


def delete_entry(entry_id: str) -> Statement:
    """Remove a reservation that cannot have been charged."""
    return "DELETE FROM spend WHERE id = ?", (entry_id,)


def put_batch(batch: BatchRecord) -> Statement:
    """Record the state of a batch."""
    return _PUT_BATCH, batch


def put_batch_requests(batch: str, keys: Mapping[str, str]) -> list[Statement]:
    """Record which requests a batch holds, given as content key by key."""
    sql = "INSERT OR IGNORE INTO batch_requests VALUES (?, ?, ?)"
    return [(sql, (batch, key, content_key)) for key, content_key in keys.items()]


def kept_headers(headers: Mapping[str, str]) -> str:
    """Return the headers to store, as JSON: a closed list, so that none can carry a secret."""
    allowed = {name.lower(): value[:_MAX_HEADER_CHARS] for name, value in headers.items() if name.lower() in HEADERS}
    return json.dumps(allowed, ensure_ascii=False, separators=(",", ":"))


def now() -> str:
    """Return the time in UTC as the tables store it."""
    return datetime.now(UTC).isoformat("T", "milliseconds")


def seconds_since(stored_time: str) -> float:
    """Return the seconds since a time as the tables store it."""
    return (datetime.now(UTC) - datetime.fromisoformat(stored_time)).total_seconds()
