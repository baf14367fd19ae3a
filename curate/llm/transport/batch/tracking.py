"""The states of batches and of the requests in them."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from curate.errors import CurateError
from curate.llm.money.account import UsageCounter
from curate.llm.replies import BatchRecord, BudgetEntry
from curate.llm.request import Request
from curate.llm.transport.faults import copy_error
from curate.llm.transport.protocol import FetchResult


class Phase(Enum):
    """What happens to a batch at present.

    ::

        on disk:    made ------> submitted ------------------> done      (made -> failed: it never arrived)
        in memory:  SUBMITTING   COLLECTING <--> WAITING       no longer tracked

    """

    SUBMITTING = "submitting"
    """It is on record, and its file is on the way to the service"""
    WAITING = "waiting"
    """The service works on it; it needs nothing until the next poll"""
    COLLECTING = "collecting"
    """Its state is polled, or its replies are downloaded and stored"""
    DEFERRED = "deferred"
    """The service does not show it, or not all of its replies, which is left to the next run"""


@dataclass(eq=False)
class TrackedBatch:
    """A batch whose replies are not all stored: its record, its open requests, and what is reserved for them."""

    record: BatchRecord
    keys: dict[str, str]
    """The requests that it still has to answer, as content key by key"""
    reserved: dict[str, BudgetEntry]
    phase: Phase = Phase.SUBMITTING
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.keys)


@dataclass(eq=False)
class PendingRequest:
    """A request that a caller waits for: in the queue, or in a batch."""

    request: Request
    labeller: str
    usage: UsageCounter
    result: "asyncio.Future[FetchResult | None]"
    """None if no batch will answer it"""
    tries: int = 0

    @property
    def key(self) -> str:
        """The identity of the request."""
        return self.request.key

    def resolve(self, result: FetchResult | None) -> None:
        """Pass the result to the caller, unless it is gone."""
        if not self.result.done():
            self.result.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Raise an error in the caller, unless it is gone."""
        if not self.result.done():
            self.result.set_exception(copy_error(error) if isinstance(error, CurateError) else error)


class Queue:
    """Requests for the next batches, and when the latest of them arrived."""

    def __init__(self) -> None:
        self._pending: list[PendingRequest] = []
        self._arrived_at = 0.0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, pending: PendingRequest) -> None:
        """Put a request at the end."""
        self._pending.append(pending)
        self._arrived_at = asyncio.get_running_loop().time()

    async def wait_until_quiet(self, idle_s: float, max_requests: int) -> None:
        """Wait until no request has arrived for ``idle_s`` seconds, or a batch is full."""
        loop = asyncio.get_running_loop()
        while (quiet_s := loop.time() - self._arrived_at) < idle_s and len(self._pending) < max_requests:
            await asyncio.sleep(idle_s - quiet_s + 0.001)

    def next_group(self, max_requests: int) -> list[PendingRequest]:
        """Return the requests that may share the next batch: those with the model and labeller of the first."""
        self._pending = [pending for pending in self._pending if not pending.result.done()]
        if not self._pending:
            return []
        kind = (self._pending[0].request.model, self._pending[0].labeller)
        return [pending for pending in self._pending if (pending.request.model, pending.labeller) == kind][
            :max_requests
        ]

    def remove(self, group: list[PendingRequest]) -> None:
        """Take requests out."""
        taken = set(map(id, group))
        self._pending = [pending for pending in self._pending if id(pending) not in taken]

    def clear(self) -> list[PendingRequest]:
        """Take all requests out and return them."""
        pending, self._pending = self._pending, []
        return pending
