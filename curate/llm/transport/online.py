"""Requests sent one by one, as many at once as the service can take, and tried again if that may help."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Literal, NamedTuple

from curate.errors import CurateError, Interrupted
from curate.llm.completion import Completion, TokenUsage, read_completion
from curate.llm.money.account import UsageCounter
from curate.llm.money.budget import BudgetAccount
from curate.llm.money.prices import check_priced, estimate_text_tokens, estimate_tokens_in, load_prices
from curate.llm.replies import BudgetEntry, ReplyStore, StoredReply, put_reply
from curate.llm.request import Request
from curate.llm.settings import EngineSettings
from curate.llm.transport.attempt import ApiCall, Attempt, PaidReply, R, price_reply, store_chat, store_embeddings
from curate.llm.transport.client import Endpoint, HttpReply
from curate.llm.transport.embeddings import EmbeddingRequest, EmbeddingResult, EmbeddingsReply, read_embeddings
from curate.llm.transport.faults import Failure, NoReply, classify_status, judge_unreadable
from curate.llm.transport.limits import EndpointLimiter, ModelLimiter
from curate.llm.transport.patience import CircuitBreaker, Patience
from curate.llm.transport.protocol import FetchResult
from curate.storage.blobs import BlobMissing

_CHECK_EVERY_S = 0.05
_QUEUED_AHEAD = 8
_BYTES_PER_TOKEN = 3
_CHAT, _EMBEDDINGS = "/chat/completions", "/embeddings"


class _CallResult(NamedTuple, Generic[R]):
    """What all attempts came to. The replies are stored; there are none after a failure."""

    failure: Failure | None
    tries: int
    paid_usd: float
    replies: tuple[StoredReply, ...] = ()
    content: R | None = None

    @property
    def outcome(self) -> Literal["invalid", "error"]:
        return "error" if self.failure is None or self.failure.action == "retry" else "invalid"

    @property
    def detail(self) -> str:
        return "" if self.failure is None else self.failure.detail


class OnlineTransport:
    """Chat and embeddings over HTTP; see ``Transport``, ``EmbeddingTransport`` and ``EngineSettings``."""

    def __init__(
        self,
        settings: EngineSettings,
        store: ReplyStore,
        read: Callable[[str], bytes],
        budget: BudgetAccount,
        models: tuple[str, ...] = (),
    ) -> None:
        self._settings = settings
        self._store = store
        self._read = read
        self._prices = load_prices(settings.prices)
        if settings.budget.usd is not None:
            check_priced(self._prices, models)
        self._endpoint = Endpoint(settings.base_url, connections=settings.in_flight)
        self._budget = budget
        # Services limit chat and embeddings separately, and one being slow says nothing about the other.
        self._limiters = {
            path: EndpointLimiter(
                settings.in_flight,
                requests_per_minute=settings.requests_per_minute,
                tokens_per_minute=settings.tokens_per_minute,
            )
            for path in (_CHAT, _EMBEDDINGS)
        }
        self._deadline = None if settings.deadline_s is None else time.monotonic() + settings.deadline_s
        has_replied = store.has_replies(self._endpoint.url)
        self._breaker = CircuitBreaker(self._endpoint.url, settings.breaker, has_replied_before=has_replied)
        self._storing = 0
        # Media are large, so they are encoded only for requests that are sent soon, on no more threads than cores:
        # more would keep the event loop waiting.
        self._encoding = asyncio.Semaphore(settings.in_flight + _QUEUED_AHEAD)
        self._encoders = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="encoding")

    async def fetch(self, request: Request, *, labeller: str, usage: UsageCounter) -> FetchResult:
        """See ``Transport.fetch``."""
        if not request.media:
            return await self._fetch(request, labeller, usage)
        async with self._encoding:
            return await self._fetch(request, labeller, usage)

    async def _fetch(self, request: Request, labeller: str, usage: UsageCounter) -> FetchResult:
        try:
            payload = await self._payload(request)
        except ValueError as error:
            return FetchResult(None, "invalid", str(error))
        except BlobMissing as error:
            return FetchResult(None, "error", error.message)
        tokens_in = estimate_tokens_in(request, self._prices.of(request.model))
        max_usage = TokenUsage(tokens_in, request.max_tokens_out or self._settings.tokens_out)
        call = ApiCall(_CHAT, request.model, request.key, payload, max_usage, read_completion)
        result = await self._call(call, lambda paid: store_chat(request, paid), labeller, usage)
        if not result.replies:
            return FetchResult(None, result.outcome, result.detail, tries=result.tries, paid_usd=result.paid_usd)
        return FetchResult(result.replies[0], tries=result.tries, paid_usd=result.paid_usd, completion=result.content)

    async def embed(self, request: EmbeddingRequest, *, labeller: str, usage: UsageCounter) -> EmbeddingResult:
        """See ``EmbeddingTransport.embed``."""
        max_usage = TokenUsage(estimate_text_tokens(request.texts), 0)
        count = len(request.texts)

        def parse(body: bytes) -> EmbeddingsReply:
            return read_embeddings(body, count)

        call = ApiCall(
            _EMBEDDINGS, request.model, request.key, request.payload(), max_usage, parse, is_divisible=count > 1
        )
        result = await self._call(call, lambda paid: store_embeddings(request, paid), labeller, usage)
        if result.content is None:
            return EmbeddingResult(None, result.outcome, result.detail)
        return EmbeddingResult(result.content.embeddings)

    async def drain(self, grace_s: float) -> None:
        """See ``Transport.drain``."""
        self._breaker.trip(Interrupted("the run is being stopped"))
        end = time.monotonic() + grace_s
        while (self._storing or any(limiter.flying for limiter in self._limiters.values())) and time.monotonic() < end:
            await asyncio.sleep(_CHECK_EVERY_S)

    async def close(self) -> None:
        """Close the connections."""
        self._encoders.shutdown(wait=False, cancel_futures=True)
        await self._endpoint.close()

    async def _payload(self, request: Request) -> bytes:
        if not request.media:
            return request.payload(self._read)
        names = dict.fromkeys(part.blob for part in request.media)
        blobs = await asyncio.to_thread(lambda: {name: self._read(name) for name in names})
        return await asyncio.get_running_loop().run_in_executor(self._encoders, request.payload, blobs.__getitem__)

    async def _call(
        self,
        call: ApiCall[R],
        to_stored: Callable[[PaidReply[R]], list[StoredReply]],
        labeller: str,
        usage: UsageCounter,
    ) -> _CallResult[R]:
        """Send a call until it is answered, or further attempts are useless."""
        if self._settings.budget.usd is not None:
            check_priced(self._prices, [call.model])
        patience = Patience(self._settings.tries, self._settings.backoff_s)
        tries, paid_usd = 0, 0.0
        while True:
            result = await self._try(call, to_stored, labeller, usage)
            tries += 1
            paid_usd += result.paid_usd
            result = result._replace(tries=tries, paid_usd=paid_usd)
            if result.failure is None or result.replies:
                return result
            wait_s = patience.next_wait_s(result.failure)
            if wait_s is None:
                if not (result.failure.action == "invalid" and call.is_divisible):
                    self._breaker.record_failure(result.failure)
                if call.path == _CHAT and self._breaker.blames_service(result.failure):
                    return result._replace(failure=result.failure._replace(action="retry"))
                return result
            usage.retries += 1
            await self._wait(wait_s)

    async def _try(
        self,
        call: ApiCall[R],
        to_stored: Callable[[PaidReply[R]], list[StoredReply]],
        labeller: str,
        usage: UsageCounter,
    ) -> _CallResult[R]:
        """Make one attempt: reserve its cost, send it, and store the reply or close the reservation."""
        price, max_usage = self._prices.of(call.model), call.max_usage
        attempt, entry = await self._send(call, labeller, usage)
        if attempt.reply is not None and attempt.is_answered:
            paid = price_reply(attempt, attempt.reply, max_usage, price)
            replies = to_stored(paid)
            await self._commit(replies, paid, entry)
            usage.add_reply(paid.usage.tokens_in, paid.usage.tokens_out, paid.usd)
            self._breaker.record_reply()
            return _CallResult(attempt.failure, 1, paid.usd or 0.0, tuple(replies), attempt.content)
        if attempt.failure is not None and attempt.failure.charged:
            if (used := attempt.failure.usage) is not None:
                usd = None if price is None else price.usd(used)
                self._store.commit_later(
                    [self._budget.settle(entry, usd=usd, tokens_in=used.tokens_in, tokens_out=used.tokens_out)]
                )
                usage.add_lost(used.tokens_in, used.tokens_out, usd)
                return _CallResult(attempt.failure, 1, usd or 0.0)
            self._write_off(entry, usage)
            return _CallResult(attempt.failure, 1, entry.usd or 0.0)
        self._store.commit_later([self._budget.release(entry)])
        return _CallResult(attempt.failure, 1, 0.0)

    async def _send(self, call: ApiCall[R], labeller: str, usage: UsageCounter) -> tuple[Attempt[R], BudgetEntry]:
        """Wait for a turn, reserve the cost and send, keeping the rate limiter up to date."""
        limiter = self._limiters[call.path].of(call.model)
        price, max_usage = self._prices.of(call.model), call.max_usage
        reserved = max_usage.tokens_in + max_usage.tokens_out
        await limiter.enter(reserved)
        try:
            self._check_open()  # much may have happened while it waited
            # A reservation counts as paid if the process is killed, so it is made only for what is sent at once.
            entry = await self._budget.reserve(
                labeller,
                call.key,
                usd=None if price is None else price.usd(max_usage),
                tokens_in=max_usage.tokens_in,
                tokens_out=max_usage.tokens_out,
            )
        except (asyncio.CancelledError, CurateError):
            limiter.leave(reserved)
            raise
        started, used = time.monotonic(), 0
        try:
            attempt = await self._post(call)
            used = attempt.used_tokens(reserved)
            _observe(limiter, attempt, started)
        except asyncio.CancelledError:
            self._write_off(entry, usage)
            raise
        finally:
            limiter.leave(reserved - used)
        return attempt, entry

    async def _post(self, call: ApiCall[R]) -> Attempt[R]:
        try:
            async with asyncio.timeout(self._timeout_s()):
                reply = await self._endpoint.post(call.path, call.payload)
        except TimeoutError:
            return Attempt(Failure("retry", "the service does not answer in time", charged=True, slow=True))
        except NoReply as error:
            if error.size_bytes and call.path == _CHAT:
                return self._oversized(error, call.max_usage)
            # A service that has replied before and cannot be reached now gets as much time as a busy one.
            is_away = self._breaker.has_replied and not error.charged
            failure = Failure(
                "invalid" if error.final else "retry",
                error.detail,
                charged=error.charged,
                slow=error.slow,
                limited=is_away,
                is_own=error.size_bytes > 0,
            )
            return Attempt(failure)
        if reply.status != 200:
            return Attempt(classify_status(reply.status, reply.headers, reply.body, self._endpoint.mask), reply)
        try:
            return Attempt(None, reply, call.parse(reply.body))
        except ValueError as error:
            return Attempt(judge_unreadable(reply.headers, reply.body, error, self._endpoint.mask), reply)

    def _oversized(self, error: NoReply, max_usage: TokenUsage) -> Attempt[Any]:
        """Return a reply without its body: stored, because the same request would be charged again for the same."""
        usage = TokenUsage(max_usage.tokens_in, error.size_bytes // _BYTES_PER_TOKEN)
        content = Completion("invalid", "", None, usage, error.detail)
        failure = Failure("invalid", error.detail, charged=True, is_own=True, usage=usage)
        return Attempt(failure, HttpReply(200, {}, b"", 0.0, self._endpoint.url), content)

    def _write_off(self, entry: BudgetEntry, usage: UsageCounter) -> None:
        """Count what may have been charged without a reply."""
        self._store.commit_later([self._budget.write_off(entry)])
        usage.add_lost(entry.tokens_in, entry.tokens_out, entry.usd)

    async def _commit(self, replies: list[StoredReply], paid: PaidReply[R], entry: BudgetEntry) -> None:
        """Store replies together with what they cost."""
        used = paid.usage
        settled = self._budget.settle(entry, usd=paid.usd, tokens_in=used.tokens_in, tokens_out=used.tokens_out)
        self._storing += 1
        try:
            await self._store.commit([*map(put_reply, replies), settled])
        except CurateError as error:
            self._breaker.stop(error)
        finally:
            self._storing -= 1

    def _check_open(self) -> None:
        self._breaker.check()
        if self._deadline is not None and time.monotonic() >= self._deadline:
            message = f"the deadline of {self._settings.deadline_s:g} s has passed"
            self._breaker.stop(Interrupted(message, hint="run again to go on: what is done is kept"))

    def _timeout_s(self) -> float:
        timeout_s = self._settings.request_timeout_s
        return timeout_s if self._deadline is None else min(timeout_s, max(0.0, self._deadline - time.monotonic()))

    async def _wait(self, seconds: float) -> None:
        remaining = seconds if self._deadline is None else self._deadline - time.monotonic()
        await asyncio.sleep(max(0.0, min(seconds, remaining)))


def _observe(limiter: ModelLimiter, attempt: Attempt[R], started: float) -> None:
    """Adapt the limiter to what an attempt shows about the load of the service."""
    if attempt.reply is not None:
        limiter.observe(attempt.reply.headers)
    failure = attempt.failure
    if failure is None:
        limiter.record_success()
        return
    if failure.slow:
        limiter.record_overload(started)
    if failure.limited and failure.wait_s:
        limiter.pause(failure.wait_s)
