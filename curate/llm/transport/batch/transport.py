"""Requests sent as batches, at a lower price and within hours; a killed run finds its batches again."""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal

from curate.errors import CurateError, Interrupted, ServiceRefused
from curate.llm.completion import TokenUsage
from curate.llm.money.account import UsageCounter
from curate.llm.money.budget import BudgetAccount
from curate.llm.money.prices import check_priced, estimate_tokens_in, load_prices
from curate.llm.replies import (
    BatchRecord,
    BudgetEntry,
    ReplyStore,
    now,
    put_batch,
    put_batch_requests,
    put_entry,
    seconds_since,
)
from curate.llm.request import Request
from curate.llm.settings import EngineSettings
from curate.llm.transport.batch.lines import (
    MAX_REQUESTS,
    has_ended,
    lacks_files,
    read_id,
    read_lines,
    why_ended,
    write_lines,
)
from curate.llm.transport.batch.results import LineReader
from curate.llm.transport.batch.service import BatchService
from curate.llm.transport.batch.tracking import PendingRequest, Phase, Queue, TrackedBatch
from curate.llm.transport.faults import Failure, classify_status, copy_error
from curate.llm.transport.protocol import FetchResult, Transport
from curate.storage.sqlite import Statement

_STORE_EVERY = 500
_CHECK_EVERY_S = 0.05
_FATAL_ACTIONS = frozenset({"key", "quota", "model"})
_FORGOTTEN_AFTER_S = 2 * 24 * 3600.0
"""Twice the time that a service has for a batch"""
Result = FetchResult | Failure
_DEFERRED = FetchResult(None, "error", "the service does not show the batch or its replies; the next run looks again")


class BatchTransport:
    """Chat requests over the files and batches of a service; see ``Transport`` and ``EngineSettings``.

    Requests are queued until none has arrived for a moment, or a file is full, and sent as one batch per model and
    labeller. A batch is on record, with its requests and reservations, before the service receives it; one whose
    submission was not confirmed is found again by its name. Requests that a batch did not answer (expired, cancelled,
    failed) go into the next one, ``tries`` times at most.

    With ``fallback`` no batch is made: whatever the batches of earlier runs do not answer is fetched through that.
    """

    def __init__(
        self,
        settings: EngineSettings,
        store: ReplyStore,
        read: Callable[[str], bytes],
        budget: BudgetAccount,
        models: tuple[str, ...] = (),
        *,
        fallback: Transport | None = None,
    ) -> None:
        self._settings, self._store, self._read = settings, store, read
        self._fallback = fallback
        self._prices = load_prices(settings.prices)
        if settings.budget.usd is not None:
            check_priced(self._prices, models)
        self._service = BatchService(settings)
        self._budget = budget
        self._lines = LineReader(self._prices, budget, self._service.mask)
        self._deadline = None if settings.deadline_s is None else time.monotonic() + settings.deadline_s
        self._has_replied = store.has_replies(self._service.url)
        self._max_requests = MAX_REQUESTS
        self._queue = Queue()
        self._batches: dict[str, TrackedBatch] = {}
        self._waiting: dict[str, PendingRequest] = {}
        """Requests in batches that a caller waits for, by key"""
        self._tasks: set[asyncio.Task[None]] = set()
        self._recovery: asyncio.Task[None] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    async def fetch(self, request: Request, *, labeller: str, usage: UsageCounter) -> FetchResult:
        """See ``Transport.fetch``; returns when the batch with the request has ended."""
        if self._recovery is None:
            self._recovery = self._start(self._recover())
        await asyncio.wait([self._recovery])
        if self._error is not None:
            raise _copy(self._error)
        pending = PendingRequest(request, labeller, usage, asyncio.get_running_loop().create_future())
        batch = next((batch for batch in self._batches.values() if request.key in batch.keys), None)
        if batch is not None and batch.phase is Phase.DEFERRED:
            return _DEFERRED
        if batch is not None:
            self._waiting[request.key] = pending
        elif (reply := self._store.find(request.key)) is not None:  # answered by a batch of an earlier run
            usage.from_cache += 1
            return FetchResult(reply, from_cache=True)
        else:
            self._enqueue(pending)
        try:
            async with asyncio.timeout(None if self._deadline is None else max(0.0, self._deadline - time.monotonic())):
                result = await pending.result
                if result is None and self._fallback is not None:
                    result = await self._fallback.fetch(request, labeller=labeller, usage=usage)
                return result or FetchResult(None)
        except TimeoutError:
            message = f"the deadline of {self._settings.deadline_s:g} s has passed"
            hint = "run again to go on: batches in progress are found again"
            raise Interrupted(message, hint=hint) from None
        finally:
            self._waiting.pop(request.key, None)

    async def drain(self, grace_s: float) -> None:
        """See ``Transport.drain``; a batch that has ended is stored, one in progress goes on by itself."""
        self._error = self._error or Interrupted("the run is being stopped")
        end = time.monotonic() + grace_s
        if self._fallback is not None:
            await self._fallback.drain(grace_s)
        while any(batch.phase is Phase.COLLECTING for batch in self._batches.values()) and time.monotonic() < end:
            await asyncio.sleep(_CHECK_EVERY_S)

    async def close(self) -> None:
        """Close the connections; batches in progress go on, and the next run finds them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._service.close()
        if self._fallback is not None:
            await self._fallback.close()

    def _enqueue(self, pending: PendingRequest) -> None:
        if self._error is not None:
            pending.fail(self._error)
        elif self._fallback is not None:
            pending.resolve(None)
        else:
            self._queue.add(pending)
            self._wake_sender()

    def _wake_sender(self) -> None:
        if len(self._queue) and (self._sender is None or self._sender.done()):
            self._sender = self._start(self._send_all())

    async def _send_all(self) -> None:
        """Send the queue batch by batch, once it is quiet, as far as the budget allows."""
        while len(self._queue):
            await self._queue.wait_until_quiet(self._settings.batch_idle_s, self._max_requests)
            group = self._queue.next_group(self._max_requests)
            if group and not await self._send(group):
                return  # the rest waits for money that batches in progress hold

    async def _send(self, group: list[PendingRequest]) -> bool:
        """Record a batch and submit it; False if the budget has no room for any of it at present."""
        record = BatchRecord(
            secrets.token_hex(12), None, self._service.url, group[0].labeller, group[0].request.model, "made", now()
        )
        entries = self._reserve(group, record)
        group = group[: len(entries)]
        file = await asyncio.to_thread(write_lines, [pending.request for pending in group], self._read)
        for entry in entries[file.included :]:
            self._budget.release(entry)  # the file is full: they stay in the queue
        group = group[: file.included]
        self._queue.remove(group)
        for index, detail in file.unreadable.items():
            self._budget.release(entries[index])
            group[index].resolve(FetchResult(None, "invalid", detail))
        included = [index for index in range(len(group)) if index not in file.unreadable]
        if not included:
            if entries or self._budget.has_reservations:
                return bool(entries)
            raise self._budget.exhausted()
        batch = TrackedBatch(
            record,
            {group[index].key: group[index].request.content_key for index in included},
            {group[index].key: entries[index] for index in included},
        )
        await self._submit(batch, [group[index] for index in included], file.data)
        return True

    async def _submit(self, batch: TrackedBatch, group: list[PendingRequest], data: bytes) -> None:
        for pending in group:
            pending.tries += 1
            pending.usage.retries += pending.tries > 1
            self._waiting[pending.key] = pending
        record = batch.record
        self._batches[record.id] = batch
        requests = put_batch_requests(record.id, batch.keys)
        await self._store.commit([put_batch(record), *requests, *map(put_entry, batch.reserved.values())])
        try:
            file_id = await self._service.upload(record.id, data)
        except CurateError as error:
            await self._abandon(batch, error)
            raise
        try:
            remote_id = await self._service.create(record.id, file_id)
        except ServiceRefused as error:
            await self._abandon(batch, error)
            raise
        await self._confirm(batch, remote_id)

    async def _abandon(self, batch: TrackedBatch, error: CurateError) -> None:
        """Close a batch that the service never made; nothing of it can be charged."""
        batch.record = batch.record._replace(state="failed", detail=error.message)
        self._batches.pop(batch.record.id, None)
        released = list(map(self._budget.release, batch.reserved.values()))
        await self._store.commit([put_batch(batch.record), *released])

    def _reserve(self, group: list[PendingRequest], record: BatchRecord) -> list[BudgetEntry]:
        """Reserve the cost of the first requests of a group, as far as the budget reaches."""
        price = self._prices.of(record.model)
        if self._settings.budget.usd is not None:
            check_priced(self._prices, [record.model])
        entries: list[BudgetEntry] = []
        for pending in group:
            tokens_out = pending.request.max_tokens_out or self._settings.tokens_out
            max_usage = TokenUsage(estimate_tokens_in(pending.request, price), tokens_out)
            entry = self._budget.try_reserve(
                pending.labeller,
                pending.key,
                usd=None if price is None else price.usd(max_usage, batch=True),
                tokens_in=max_usage.tokens_in,
                tokens_out=max_usage.tokens_out,
                batch=record.id,
            )
            if entry is None:
                break
            entries.append(entry)
        return entries

    async def _recover(self) -> None:
        """Find the batches that earlier runs left at this endpoint, and follow them."""
        records = self._store.open_batches(self._service.url)
        unconfirmed = {record.id for record in records if record.remote_id is None}
        remote_ids = await self._service.find(unconfirmed) if unconfirmed else {}
        # A service that lists no batches may have taken one all the same.
        close = self._budget.write_off if remote_ids is None else self._budget.release
        for record in records:
            reserved = {entry.key: entry for entry in self._store.reserved(record.id)}
            for entry in reserved.values():
                self._budget.adopt(entry)
            remote_id = record.remote_id or (remote_ids or {}).get(record.id)
            if remote_id is None:
                failed = record._replace(state="failed", detail="it was never submitted")
                await self._store.commit([put_batch(failed), *map(close, reserved.values())])
                continue
            batch = TrackedBatch(record, self._store.batch_keys(record.id), reserved)
            self._batches[record.id] = batch
            await self._confirm(batch, remote_id)

    async def _confirm(self, batch: TrackedBatch, remote_id: str) -> None:
        """Record that the service has a batch, and follow it."""
        if batch.record.remote_id is None:
            batch.record = batch.record._replace(remote_id=remote_id, state="submitted")
            await self._store.commit([put_batch(batch.record)])
        batch.phase = Phase.COLLECTING
        self._start(self._follow(batch))

    async def _follow(self, batch: TrackedBatch) -> None:
        """Poll a batch until it has ended, and store what it brought; what is missing may only be late."""
        looks = 0
        while True:
            page = await self._service.status(batch.record.remote_id or "")
            is_over = page is not None and has_ended(page)
            if page is not None and is_over and await self._collect(batch, page):
                return await self._conclude(batch, page)
            looks = looks + 1 if page is None or is_over else 0
            if looks > self._settings.tries:
                return await self._defer(batch)
            batch.phase = Phase.WAITING
            await asyncio.sleep(self._settings.batch_poll_s)
            batch.phase = Phase.COLLECTING

    async def _collect(self, batch: TrackedBatch, page: dict[str, Any]) -> bool:
        """Store the replies of a batch that has ended; return whether all of them were there."""
        if lacks_files(page):
            return False
        is_whole, unanswered = True, dict(batch.keys)
        for name in ("output_file_id", "error_file_id"):
            if page.get(name):
                file_id = read_id(page[name])
                data = None if file_id is None else await self._service.download(file_id)
                is_whole &= await self._store_replies(batch, data or b"", unanswered) > 0
        return is_whole

    async def _conclude(self, batch: TrackedBatch, page: dict[str, Any]) -> None:
        """Close a batch; requests that it did not process cost nothing, and go into the next one."""
        detail, error_body = why_ended(page)
        batch.record = batch.record._replace(
            state="done",
            output_file=read_id(page.get("output_file_id")),
            error_file=read_id(page.get("error_file_id")),
            detail=self._service.mask(detail),
        )
        await self._store.commit([put_batch(batch.record), *map(self._budget.release, batch.reserved.values())])
        failure = Failure("retry", batch.record.detail)
        if page.get("status") == "failed":
            judged = classify_status(400, {}, error_body, self._service.mask)
            failure = judged if judged.action in _FATAL_ACTIONS else failure
            # Some services limit the tokens in all waiting batches.
            self._max_requests = max(1, min(self._max_requests, batch.size // 2))
        self._batches.pop(batch.record.id, None)
        self._hand_on(batch, [(key, failure) for key in batch.keys])
        self._wake_sender()

    async def _defer(self, batch: TrackedBatch) -> None:
        """Leave a batch that the service does not show at present to the next run: sent again, it is paid for twice."""
        statements = [self._budget.write_off(entry) for entry in batch.reserved.values()]
        if seconds_since(batch.record.submitted_at) > _FORGOTTEN_AFTER_S:
            batch.record = batch.record._replace(state="failed", detail="the service does not know it any more")
            await self._store.commit([put_batch(batch.record), *statements])
        # Otherwise its reservations stay open on disk, and count as spent only in this run.
        batch.phase = Phase.DEFERRED
        for key in batch.keys:
            if (pending := self._waiting.pop(key, None)) is not None:
                pending.resolve(_DEFERRED)
        self._wake_sender()

    async def _store_replies(self, batch: TrackedBatch, data: bytes, unanswered: dict[str, str]) -> int:
        """Store the replies of one file in parts, and hand each on once it is stored; return the lines of the file."""
        statements: list[Statement] = []
        results: list[tuple[str, Result]] = []
        lines = 0
        for line in read_lines(data):
            lines += 1
            if line.key not in unanswered:
                continue  # repeated, or not one of ours
            entry = batch.reserved.pop(line.key, None)
            result, to_store = self._lines.read(batch.record, line, unanswered.pop(line.key), entry)
            statements += to_store
            results.append((line.key, result))
            if len(results) >= _STORE_EVERY:
                await self._store.commit(statements)
                self._hand_on(batch, results)
                statements, results = [], []
        await self._store.commit(statements)
        self._hand_on(batch, results)
        return lines

    def _hand_on(self, batch: TrackedBatch, results: Iterable[tuple[str, Result]]) -> None:
        """Pass results to their callers; requests worth another try go into the next batch."""
        for key, result in results:
            batch.keys.pop(key, None)
            pending = self._waiting.pop(key, None)
            if pending is None:
                continue
            if isinstance(result, FetchResult):
                self._has_replied = True
                if (reply := result.reply) is not None:
                    pending.usage.add_reply(reply.tokens_in, reply.tokens_out, reply.usd)
                pending.resolve(result._replace(tries=pending.tries))
            elif result.action in _FATAL_ACTIONS and self._fallback is None:
                self._waiting[key] = pending
                self._end(self._service.refusal(result))
            elif result.action == "invalid" or pending.tries >= self._settings.tries:
                is_own = result.action == "invalid" and (result.is_own or self._has_replied)
                outcome: Literal["invalid", "error"] = "invalid" if is_own else "error"
                pending.resolve(FetchResult(None, outcome, result.detail, tries=pending.tries))
            elif not pending.result.done():
                self._enqueue(pending)

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        """Send nothing new. If only the budget is short, requests in batches are still waited for."""
        self._error = self._error or error
        failed = self._queue.clear()
        if not isinstance(error, Interrupted):
            failed += self._waiting.values()
            # In memory only, so that no caller waits for refunds; on disk they stay reserved for the next run.
            for batch in self._batches.values():
                for entry in batch.reserved.values():
                    self._budget.write_off(entry)
            self._batches.clear()
        for pending in failed:
            pending.fail(error)


def _copy(error: BaseException) -> BaseException:
    return copy_error(error) if isinstance(error, CurateError) else error
