"""Requests to chat models: every reply is stored before use, paid for once, checked, and corrected once if unusable."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from curate.errors import CurateError, Interrupted
from curate.llm.completion import Completion, read_completion
from curate.llm.money.account import UsageCounter, UsageTotals
from curate.llm.replies import ReplyStore, StoredReply
from curate.llm.request import Request
from curate.llm.transport.embedder import Embedder
from curate.llm.transport.embeddings import Embedding
from curate.llm.transport.faults import copy_error, make_mask
from curate.llm.transport.protocol import ChatAndEmbeddingTransport, FetchResult, Transport
from curate.llm.transport.replay import ReplayTransport

V = TypeVar("V")
ReplyOutcome = Literal["ok", "refused", "filtered", "truncated", "invalid", "error"]

_MAX_CORRECTED_CHARS = 20_000
_MAX_TOKENS_OUT = 128_000
_mask = make_mask()


class Reply(NamedTuple, Generic[V]):
    """What a request came to. ``value`` is what the check made of ``text``; ``detail`` says why there is none.

    ``tokens_in``, ``tokens_out`` and ``usd`` (None if no price is known) sum over the stored replies used, corrections
    included, whenever they were paid; ``paid_usd`` was paid now. ``key`` is the request whose reply counts.
    """

    outcome: ReplyOutcome
    value: V | None
    text: str | None
    detail: str
    key: str
    model: str | None = None
    request_id: str | None = None
    created_at: datetime | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float | None = 0.0
    paid_usd: float = 0.0
    tries: int = 0
    from_cache: bool = False
    replies: int = 0
    """Number of stored replies used"""


class ModelClient(Protocol):
    """What a stage sends requests to: an ``Engine``, or a ``DryRun``."""

    async def ask(self, request: Request, check: Callable[[str], V], *, labeller: str) -> Reply[V]:
        """Return a reply as parsed by ``check``, which raises ``ValueError`` with a sentence if it is unusable."""
        ...

    async def embed(self, texts: Sequence[str], *, model: str, labeller: str) -> list[Embedding]:
        """Return a vector for each text, or why it has none."""
        ...


class Engine:
    """Answers from the stored replies, and fetches missing ones through a transport. For one event loop.

    Nothing is sent for the labellers in ``replayed``. ``open_online`` opens the transport for embeddings when it is
    first needed; without it, only stored vectors are used. ``grace_s`` is how long closing waits for paid replies.
    """

    def __init__(
        self,
        store: ReplyStore,
        transport: Transport,
        *,
        replayed: frozenset[str] = frozenset(),
        open_online: Callable[[], ChatAndEmbeddingTransport] | None = None,
        grace_s: float = 0.0,
    ) -> None:
        self._store = store
        self._transport = transport
        self._replay, self._replayed = ReplayTransport(store), replayed
        self._in_flight: dict[str, asyncio.Task[FetchResult]] = {}
        self._lookups: dict[str, list[asyncio.Future[StoredReply | None]]] = {}
        self._fatal: CurateError | None = None
        self._usage: dict[str, UsageCounter] = {}
        self._open_online = open_online
        self._online: ChatAndEmbeddingTransport | None = None
        self._embedders: dict[str, Embedder] = {}
        self._grace_s = grace_s

    async def ask(self, request: Request, check: Callable[[str], V], *, labeller: str) -> Reply[V]:
        """Return a model's reply to a request, as parsed by ``check``.

        A reply that ``check`` rejects is shown to the model once, with the reason; one that was cut off is requested
        once more with twice the limit. Each of these is a request of its own, stored and paid for once. Raises
        ``ServiceRefused``, ``ServiceUnavailable``, ``Interrupted`` or ``StorageFailed`` if no other request can be
        answered either.
        """
        usage = self._usage_of(labeller)
        conversation = _Conversation(request)
        while True:
            result = await self._get(conversation.request, labeller, usage)
            reply = conversation.next_reply(result, check)
            if reply is not None:
                usage.outcomes[reply.outcome] += 1
                return reply

    async def embed(self, texts: Sequence[str], *, model: str, labeller: str) -> list[Embedding]:
        """Return a vector of length 1 for each text, or why it has none; each text is requested and paid for once.

        Raises what ``ask`` raises.
        """
        embedder = self._embedders.get(model)
        if embedder is None:
            if self._online is None and self._open_online is not None:
                self._online = self._open_online()
            embedder = self._embedders[model] = Embedder(model, self._store, self._online)
        usage = self._usage_of(labeller)
        return await asyncio.gather(*(embedder.embed(text, labeller=labeller, usage=usage) for text in texts))

    def usage(self) -> dict[str, UsageTotals]:
        """Return what each labeller has requested and paid through this engine so far."""
        return {name: counter.totals() for name, counter in list(self._usage.items())}  # called from another thread

    async def close(self) -> None:
        """Wait for requests in flight, so that what was paid for is stored, and close all connections."""
        self._fatal = self._fatal or Interrupted("the run is being stopped")
        transports = list(
            {
                id(transport): transport for transport in (self._transport, self._online) if transport is not None
            }.values()
        )
        await asyncio.gather(*(transport.drain(self._grace_s) for transport in transports))
        late = list(self._in_flight.values())
        for task in late:
            task.cancel()
        closing = (embedder.close() for embedder in self._embedders.values())
        await asyncio.gather(*late, *closing, return_exceptions=True)
        for transport in transports:
            await transport.close()

    def _usage_of(self, labeller: str) -> UsageCounter:
        return self._usage.get(labeller) or self._usage.setdefault(labeller, UsageCounter())

    async def _get(self, request: Request, labeller: str, usage: UsageCounter) -> FetchResult:
        key = request.key
        task = self._in_flight.get(key)
        if task is None and (stored := await self._find(key)) is not None:
            usage.from_cache += 1
            return FetchResult(stored, from_cache=True)
        task = task or self._in_flight.get(key)  # another caller may have sent it meanwhile
        is_shared = task is not None
        if task is None:
            if labeller in self._replayed:
                return await self._replay.fetch(request, labeller=labeller, usage=usage)
            if self._fatal is not None:
                raise copy_error(self._fatal)
            task = asyncio.create_task(self._transport.fetch(request, labeller=labeller, usage=usage))
            self._in_flight[key] = task
            task.add_done_callback(lambda done: self._finish(key, done))
        # The reply is paid for, so the request goes on if the caller is cancelled.
        result = await asyncio.shield(task)
        if is_shared:
            usage.from_cache += 1
            result = result._replace(from_cache=True, paid_usd=0.0, tries=0)
        return result

    def _find(self, key: str) -> "asyncio.Future[StoredReply | None]":
        """Look up a stored reply, in one query with all others requested in this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._lookups:
            loop.call_soon(self._look_up)
        # One future per caller: a caller that is cancelled cancels its own.
        lookup: asyncio.Future[StoredReply | None] = loop.create_future()
        self._lookups.setdefault(key, []).append(lookup)
        return lookup

    def _look_up(self) -> None:
        lookups, self._lookups = self._lookups, {}
        replies: dict[str, StoredReply] = {}
        failure: CurateError | None = None
        try:
            replies = self._store.find_many(list(lookups))
        except CurateError as error:
            failure = error
        for key, futures in lookups.items():
            for future in futures:
                if future.done():
                    continue
                if failure is not None:
                    future.set_exception(copy_error(failure))
                else:
                    future.set_result(replies.get(key))

    def _finish(self, key: str, task: asyncio.Task[FetchResult]) -> None:
        self._in_flight.pop(key, None)
        if not task.cancelled() and isinstance(error := task.exception(), CurateError) and self._fatal is None:
            self._fatal = error


class _Conversation:
    """One request and the follow-ups that its replies call for: at most one longer limit and one correction."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._first_key = request.key
        self._results: list[FetchResult] = []
        self._problem: str | None = None
        """Why ``check`` rejected a reply"""
        self._is_extended = False

    def next_reply(self, result: FetchResult, check: Callable[[str], V]) -> Reply[V] | None:
        """Return the final reply, or None after replacing ``request`` by the next one to send."""
        if result.reply is None:
            if self._results and result.outcome == "invalid":
                return self._last_reply()  # the service rejects the follow-up
            self._results.append(result)
            return self._final(result.outcome, None, None, result.detail, self._first_key)
        self._results.append(result)
        completion = _completion(result)
        if completion.outcome == "truncated" and self._extend(result):
            return None
        if completion.outcome != "ok":
            return self._last_reply()
        try:
            value = check(completion.text)
        except (ValueError, RecursionError) as error:  # the latter from JSON that is nested too deeply
            return self._correct(completion.text, _mask(str(error)))
        return self._final("ok", value, completion.text, "", self.request.key)

    def _extend(self, result: FetchResult) -> bool:
        """Double the limit on the reply, once; return whether it was possible.

        A stored reply that was cut off at a lower limit than the present one does not count.
        """
        tokens_out = result.reply.tokens_out if result.reply is not None else 0
        allowed = self.request.max_tokens_out or max(tokens_out, 256)
        had_less = result.from_cache and self.request.thinking_tokens > 0 and tokens_out <= allowed // 2
        limit = 2 * allowed
        if (self._is_extended and not had_less) or limit > _MAX_TOKENS_OUT:
            return False
        self._is_extended = not had_less
        self.request = self.request.with_limit(limit)
        return True

    def _correct(self, text: str, problem: str) -> Reply[V] | None:
        """Request a correction, once; otherwise return the unusable reply."""
        if self._problem is not None or len(text) > _MAX_CORRECTED_CHARS:
            return self._final("invalid", None, text, problem, self.request.key)
        self._problem = problem
        self.request = self.request.with_correction(text, problem)
        return None

    def _last_reply(self) -> Reply[V]:
        """Return the last stored reply as it is, without a value."""
        last = self._results[-1]
        completion = _completion(last)
        key = last.reply.key if last.reply is not None else self._first_key
        if completion.outcome == "ok":
            return self._final("invalid", None, completion.text, self._problem or "", key)
        detail = completion.detail
        if completion.outcome == "truncated" and (limit := self.request.max_tokens_out):
            detail = f"the answer was cut off at {limit:,} tokens, thinking included: raise `max_tokens`"
            detail += " or lower `reasoning_effort`" if self.request.thinking_tokens else ""
        return self._final(completion.outcome, None, completion.text, detail, key)

    def _final(self, outcome: ReplyOutcome, value: V | None, text: str | None, detail: str, key: str) -> Reply[V]:
        results = self._results
        stored = [result.reply for result in results if result.reply is not None]
        last = stored[-1] if stored else None
        costs = [reply.usd for reply in stored]
        return Reply(
            outcome,
            value,
            text,
            detail,
            key,
            model=last.answered_by if last else None,
            request_id=last.request_id if last else None,
            created_at=last.created if last else None,
            tokens_in=sum(reply.tokens_in for reply in stored),
            tokens_out=sum(reply.tokens_out for reply in stored),
            usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            paid_usd=sum(result.paid_usd for result in results),
            tries=sum(result.tries for result in results),
            from_cache=all(result.from_cache for result in results),
            replies=len(stored),
        )


def _completion(result: FetchResult) -> Completion:
    if result.completion is not None:
        return result.completion
    reply = result.reply
    if reply is None:
        raise RuntimeError("no stored reply")
    if reply.fault is not None:  # a refusal of the content, or without a body a reply that was too large
        return Completion("filtered" if reply.reply else "invalid", "", reply.answered_by, None, reply.fault)
    try:
        return read_completion(reply.reply)
    except ValueError as error:  # only readable replies are stored, so the parser has changed since
        return Completion("ok", "", None, None, str(error))
