"""Requests sent as batches, at a lower price and with hours of patience; a killed run finds its batches again."""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from curate.errors import CurateError, Interrupted
from curate.llm.completion import Completion, TokenUsage, read_completion
from curate.llm.money.account import UsageCounter
from curate.llm.money.budget import BudgetAccount
from curate.llm.money.prices import check_priced, estimate_tokens_in, load_prices
from curate.llm.replies import (
    BatchRecord,
    BudgetEntry,
    ReplyStore,
    StoredReply,
    now,
    put_batch,
    put_batch_requests,
    put_entry,
    put_reply,
)
from curate.llm.request import Request
from curate.llm.settings import EngineSettings
from curate.llm.transport.batch.lines import (
    MOST_REQUESTS,
    BatchLine,
    has_ended,
    read_id,
    read_lines,
    why_ended,
    write_lines,
)
from curate.llm.transport.batch.service import BatchService
from curate.llm.transport.faults import Failure, copy_error, judge_status
from curate.llm.transport.protocol import FetchResult, Transport
from curate.storage.sqlite import Statement

_STORE_EVERY = 500
_LOOK_S = 0.05
_NO_USE = frozenset({"key", "quota", "model"})


@dataclass(eq=False)
class _Asked:
    """One request that someone waits for."""

    request: Request
    labeller: str
    tally: UsageCounter
    reply: "asyncio.Future[FetchResult | None]"
    """None where no batch will bring it"""
    tries: int = 0


class BatchTransport:
    """A courier over files and batches; see ``Transport`` and ``EngineSettings``.

    Requests are collected until none has come for a moment, or a file is full, and sent as one batch for each model and
    labeller. A batch is on record, with its requests and what is reserved for them, before the service hears of it; one
    whose submission was not confirmed is looked for by its name. Requests that a batch did not answer (expired,
    cancelled, failed) go into the next one, ``tries`` times at most.

    With ``instead`` no batch is made: what no batch of an earlier run brings is fetched through that courier.
    """

    def __init__(
        self,
        settings: EngineSettings,
        answers: ReplyStore,
        read: Callable[[str], bytes],
        budget: BudgetAccount,
        models: tuple[str, ...] = (),
        *,
        instead: Transport | None = None,
    ) -> None:
        self._settings, self._answers, self._read = settings, answers, read
        self._instead = instead
        self._prices = load_prices(settings.prices)
        if settings.budget_usd is not None:
            check_priced(self._prices, models)
        self._service = BatchService(settings)
        self._budget = budget
        self._until = None if settings.deadline_s is None else time.monotonic() + settings.deadline_s
        self._most = MOST_REQUESTS
        self._queue: list[_Asked] = []
        self._waiting: dict[str, _Asked] = {}
        self._sent: set[str] = set()
        """Keys that are in a batch under way, whether anyone waits for them or not."""
        self._followed: dict[str, dict[str, BudgetEntry]] = {}
        """What is reserved in each batch that is looked after"""
        self._idle: set[str] = set()
        """Those of them that need not be looked at for a while"""
        self._jobs: set[asyncio.Task[None]] = set()
        self._attaching: asyncio.Task[None] | None = None
        self._collecting: asyncio.Task[None] | None = None
        self._came_at = 0.0
        self._fatal: BaseException | None = None

    async def fetch(self, request: Request, *, labeller: str, tally: UsageCounter) -> FetchResult:
        """See ``Transport.fetch``; comes back when the batch that holds the request has ended."""
        if self._attaching is None:
            self._attaching = self._start(self._attach())
        await asyncio.wait([self._attaching])
        if self._fatal is not None:
            raise _again(self._fatal)
        asked = _Asked(request, labeller, tally, asyncio.get_running_loop().create_future())
        if request.key in self._sent:
            self._waiting[request.key] = asked
        elif (answer := self._answers.find(request.key)) is not None:  # a batch that was found again brought it
            tally.from_cache += 1
            return FetchResult(answer, from_cache=True)
        else:
            self._enqueue(asked)
        try:
            async with asyncio.timeout(None if self._until is None else max(0.0, self._until - time.monotonic())):
                got = await asked.reply
                if got is None and self._instead is not None:
                    got = await self._instead.fetch(request, labeller=labeller, tally=tally)
                return got or FetchResult(None)
        except TimeoutError:
            said = f"the deadline of {self._settings.deadline_s:g} s has passed"
            raise Interrupted(said, hint="run again to go on: batches under way are found again") from None
        finally:
            self._waiting.pop(request.key, None)

    async def drain(self, grace_s: float) -> None:
        """See ``Transport.drain``; a batch under way needs nobody to wait for it, one that has ended is taken over."""
        self._fatal = self._fatal or Interrupted("the run is being stopped")
        ends = time.monotonic() + grace_s
        if self._instead is not None:
            await self._instead.drain(grace_s)
        while self._followed.keys() - self._idle and time.monotonic() < ends:
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Close the connections; batches under way go on, and the next run finds them."""
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await self._service.close()
        if self._instead is not None:
            await self._instead.close()

    def _enqueue(self, asked: _Asked) -> None:
        if self._fatal is not None:
            asked.reply.set_exception(_again(self._fatal))
            return
        if self._instead is not None:
            asked.reply.set_result(None)
            return
        self._queue.append(asked)
        self._came_at = time.monotonic()
        self._wake()

    def _wake(self) -> None:
        if self._queue and (self._collecting is None or self._collecting.done()):
            self._collecting = self._start(self._collect())

    async def _collect(self) -> None:
        """Wait until nothing more comes, and send what there is, batch by batch."""
        while self._queue:
            idle_s = self._settings.batch_idle_s
            while (quiet_s := time.monotonic() - self._came_at) < idle_s and len(self._queue) < self._most:
                await asyncio.sleep(idle_s - quiet_s + 0.001)
            self._queue = [asked for asked in self._queue if not asked.reply.done()]
            if self._queue and not await self._submit(self._group()):
                return  # the rest waits for money that batches under way hold

    def _group(self) -> list[_Asked]:
        """The requests that may share the next batch."""
        first = self._queue[0]
        kind = (first.request.model, first.labeller)
        return [asked for asked in self._queue if (asked.request.model, asked.labeller) == kind][: self._most]

    async def _submit(self, group: list[_Asked]) -> bool:
        """Record a batch and hand it over; False where the budget holds none of it for now."""
        batch = BatchRecord(
            secrets.token_hex(12), None, self._service.url, group[0].labeller, group[0].request.model, "made", now()
        )
        spends = self._reserve(group, batch)
        group = group[: len(spends)]
        written = await asyncio.to_thread(write_lines, [asked.request for asked in group], self._read)
        for spend in spends[written.taken :]:
            self._budget.free(spend)  # the file is full: they stay in the queue
        spent = dict(zip(map(id, group), spends, strict=True))
        group = group[: written.taken]
        self._queue = [asked for asked in self._queue if id(asked) not in set(map(id, group))]
        for at, detail in written.unreadable.items():
            self._budget.free(spent[id(group[at])])
            _resolve(group[at], FetchResult(None, "invalid", detail))
        group = [asked for at, asked in enumerate(group) if at not in written.unreadable]
        if not group:
            if spends or self._budget.is_waiting:
                return bool(spends)
            raise self._budget.refusal()
        own = {asked.request.key: spent[id(asked)] for asked in group}
        keys = {asked.request.key: asked.request.content_key for asked in group}
        for asked in group:
            asked.tries += 1
            asked.tally.retries += asked.tries > 1
            self._waiting[asked.request.key] = asked
        self._sent.update(keys)
        entries = [put_batch(batch), *put_batch_requests(batch.id, keys), *map(put_entry, own.values())]
        await self._answers.commit(entries)
        remote = await self._service.submit(batch.id, written.data)
        batch = batch._replace(remote_id=remote, state="submitted")
        await self._answers.commit([put_batch(batch)])
        self._start(self._follow(batch, keys, own))
        return True

    def _reserve(self, group: list[_Asked], batch: BatchRecord) -> list[BudgetEntry]:
        """What is set aside for each request, as far as the budget reaches."""
        price = self._prices.of(batch.model)
        if price is None and self._settings.budget_usd is not None:
            check_priced(self._prices, [batch.model])
        spends: list[BudgetEntry] = []
        for asked in group:
            most = TokenUsage(
                estimate_tokens_in(asked.request, price), asked.request.max_tokens_out or self._settings.tokens_out
            )
            usd = None if price is None else price.usd(most, batch=True)
            spend = self._budget.hold(
                asked.labeller, asked.request.key, usd=usd, tokens_in=most.tokens_in, tokens_out=most.tokens_out,
                batch=batch.id,
            )  # fmt: skip
            if spend is None:
                break
            spends.append(spend)
        return spends

    async def _attach(self) -> None:
        """Find the batches that earlier runs left at this address, and follow them."""
        known = self._answers.open_batches(self._service.url)
        lost = {batch.id for batch in known if batch.remote_id is None}
        found = await self._service.find(lost) if lost else {}
        for batch in known:
            keys = self._answers.batch_keys(batch.id)
            spends = {spend.key: spend for spend in self._answers.reserved(batch.id)}
            for spend in spends.values():
                self._budget.take_over(spend)
            if batch.remote_id is None and batch.id not in found:
                # It never reached the service: nothing of it can have been charged.
                never = batch._replace(state="failed", detail="it was never submitted")
                await self._answers.commit([put_batch(never), *map(self._budget.free, spends.values())])
                continue
            if batch.remote_id is None:
                batch = batch._replace(remote_id=found[batch.id], state="submitted")
                await self._answers.commit([put_batch(batch)])
            self._sent.update(keys)
            self._start(self._follow(batch, keys, spends))

    async def _follow(self, batch: BatchRecord, keys: Mapping[str, str], spends: dict[str, BudgetEntry]) -> None:
        """Ask how a batch stands until it has ended, and take over what it brought."""
        self._followed[batch.id] = spends
        while (page := await self._service.look(batch.remote_id or "")) is not None and not has_ended(page):
            self._idle.add(batch.id)
            await asyncio.sleep(self._settings.batch_poll_s)
            self._idle.discard(batch.id)
        left = dict(keys)
        files = [page.get(f"{name}_file_id") if page else None for name in ("output", "error")]
        names = [read_id(file) for file in files]
        lost = page is None or any(file and name is None for file, name in zip(files, names, strict=True))
        for file in filter(None, names):
            data = await self._service.load(file)
            lost |= data is None
            await self._take_over(batch, data or b"", left, spends)
        detail, code = why_ended(page)
        # What a batch did not take up costs nothing; of one that is gone, or its replies are, nobody can say.
        close = self._budget.lose if lost else self._budget.free
        batch = batch._replace(
            state="done", output_file=names[0], error_file=names[1], detail=self._service.mask(detail)
        )
        await self._answers.commit([put_batch(batch), *map(close, spends.values())])
        verdict = Failure("again", batch.detail)
        if page is not None and page.get("status") == "failed":
            judged = judge_status(400, {}, code, self._service.mask)
            verdict = judged if judged.then in _NO_USE else verdict
            # Some services hold only so many tokens in waiting batches.
            self._most = max(1, min(self._most, len(keys) // 2))
        self._followed.pop(batch.id, None)
        self._hand_on([(key, verdict) for key in left])
        self._wake()

    async def _take_over(
        self, batch: BatchRecord, data: bytes, left: dict[str, str], spends: dict[str, BudgetEntry]
    ) -> None:
        """Store the replies of one file, in parts, and hand each on once it is stored."""
        statements: list[Statement] = []
        ready: list[tuple[str, FetchResult | Failure]] = []
        for line in read_lines(data):
            if line.key not in left:
                continue  # a second time, or none of ours
            result, entries = self._settled(batch, line, left.pop(line.key), spends.pop(line.key, None))
            statements += entries
            ready.append((line.key, result))
            if len(ready) >= _STORE_EVERY:
                await self._answers.commit(statements)
                self._hand_on(ready)
                statements, ready = [], []
        await self._answers.commit(statements)
        self._hand_on(ready)

    def _hand_on(self, ready: list[tuple[str, FetchResult | Failure]]) -> None:
        """Tell whoever waits; what needs another try goes into the next batch."""
        for key, result in ready:
            self._sent.discard(key)
            asked = self._waiting.pop(key, None)
            if asked is None:
                continue
            if isinstance(result, FetchResult):
                if (answer := result.answer) is not None:
                    asked.tally.answered(answer.tokens_in, answer.tokens_out, answer.usd)
                _resolve(asked, result._replace(tries=asked.tries))
            elif result.then in _NO_USE and self._instead is None:
                self._waiting[key] = asked
                self._end(self._service.refused(result))
            elif result.then == "invalid" or asked.tries >= self._settings.tries:
                outcome: Literal["invalid", "error"] = "invalid" if result.then == "invalid" else "error"
                _resolve(asked, FetchResult(None, outcome, result.detail, tries=asked.tries))
            elif not asked.reply.done():
                self._enqueue(asked)

    def _settled(
        self, batch: BatchRecord, line: BatchLine, content_key: str, spend: BudgetEntry | None
    ) -> tuple[FetchResult | Failure, list[Statement]]:
        """What a line comes to, and the entries that keep it."""
        judged = self._judge(line)
        if isinstance(judged, Failure) and judged.then != "filtered":
            close = self._budget.lose if judged.charged else self._budget.free
            return judged, [] if spend is None else [close(spend)]
        read = judged if isinstance(judged, Completion) else None
        usage = TokenUsage(0, 0) if read is None else read.usage
        if usage is None:
            usage = TokenUsage(spend.tokens_in if spend else 0, max(1, len(line.body) // 3))
        price = self._prices.of(batch.model)
        usd = None if price is None else price.usd(usage, batch=True)
        answer = StoredReply(
            key=line.key,
            content_key=content_key,
            endpoint=batch.endpoint,
            model=batch.model,
            answered_by=read.model if read else None,
            request_id=line.request_id,
            created_at=now(),
            seconds=0.0,
            status=line.status,
            fault=judged.detail if isinstance(judged, Failure) else None,
            reply=line.body.decode("utf-8", "replace"),
            headers="{}",
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            tokens_cached=usage.cached,
            estimated=read is not None and read.usage is None,
            usd=usd,
            batch=batch.id,
        )
        entries: list[Statement] = [put_reply(answer)]
        if spend is not None:
            entries.append(self._budget.settle(spend, usd=usd, tokens_in=usage.tokens_in, tokens_out=usage.tokens_out))
        return FetchResult(answer, paid_usd=usd or 0.0, completion=read), entries

    def _judge(self, line: BatchLine) -> Completion | Failure:
        if line.unsent is not None:
            return Failure("again", self._service.mask(line.unsent))
        if line.status != 200:
            return judge_status(line.status, {}, line.body, self._service.mask)
        try:
            return read_completion(line.body)
        except ValueError as error:
            return Failure("again", str(error), charged=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._landed)
        return job

    def _landed(self, job: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        """Send nothing new. Where only money is missing, what batches under way will answer is still waited for."""
        self._fatal = self._fatal or error
        under_way: list[_Asked] = []
        if not isinstance(error, Interrupted):
            under_way = list(self._waiting.values())
            # Nobody is to wait for what they give back; on the disk they stay reserved, for the next run.
            for spend in [spend for spends in self._followed.values() for spend in spends.values()]:
                self._budget.lose(spend)
            self._followed.clear()
        for asked in (*self._queue, *under_way):
            if not asked.reply.done():
                asked.reply.set_exception(_again(error))
        self._queue = []


def _again(error: BaseException) -> BaseException:
    """An error for one more place that ends by it."""
    return copy_error(error) if isinstance(error, CurateError) else error


def _resolve(asked: _Asked, result: FetchResult) -> None:
    with suppress(asyncio.InvalidStateError):
        asked.reply.set_result(result)
