"""Asking chat models: every reply is kept before it is used, asked for once, checked, and mended once."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from curate.errors import CurateError, Interrupted
from curate.llm.completion import Completion, read_completion
from curate.llm.money.account import UsageCounter, UsageTotals
from curate.llm.replies import ReplyStore, StoredReply
from curate.llm.request import Request
from curate.llm.transport.embeddings import Embedder, Embedding
from curate.llm.transport.faults import copy_error, make_mask
from curate.llm.transport.protocol import ChatAndEmbeddingTransport, FetchResult, Transport
from curate.llm.transport.replay import ReplayTransport

V = TypeVar("V")
ReplyOutcome = Literal["ok", "refused", "filtered", "truncated", "invalid", "error"]

_MOST_MENDED_CHARS = 20_000
_MOST_TOKENS_OUT = 128_000
_GRACE_S = 10.0
_mask = make_mask()


class Reply(NamedTuple, Generic[V]):
    """What asking came to. ``value`` is what the check made of ``text``; ``detail`` says why there is none.

    ``tokens_in``, ``tokens_out`` and ``usd`` (None where no price is known) are of the stored replies behind it, mended
    ones included, whenever they were paid; ``paid_usd`` is what was paid now. ``key`` names the request whose reply it
    is.
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
    """How many stored replies are behind it"""


class ModelClient(Protocol):
    """What a stage asks; ``Engine`` is the only one outside of tests."""

    async def ask(self, request: Request, check: Callable[[str], V], *, labeller: str) -> Reply[V]:
        """What a model replies, as ``check`` reads it; ``check`` raises ``ValueError`` with a sentence."""
        ...

    async def embed(self, texts: Sequence[str], *, model: str, labeller: str) -> list[Embedding]:
        """A vector for each text, or why it has none."""
        ...


class Engine:
    """Asks through a courier, with the stored replies before it. For one event loop.

    Nobody is asked for the labellers in ``replayed``. ``open_online`` gives the courier for embeddings; without it only
    stored ones are used.
    """

    def __init__(
        self,
        answers: ReplyStore,
        courier: Transport,
        *,
        replayed: frozenset[str] = frozenset(),
        open_online: Callable[[], ChatAndEmbeddingTransport] | None = None,
    ) -> None:
        self._answers = answers
        self._courier = courier
        self._replay, self._replayed = ReplayTransport(answers), replayed
        self._flying: dict[str, asyncio.Task[FetchResult]] = {}
        self._wanted: dict[str, list[asyncio.Future[StoredReply | None]]] = {}
        self._fatal: CurateError | None = None
        self._tallies: dict[str, UsageCounter] = {}
        self._open_online = open_online
        self._online: ChatAndEmbeddingTransport | None = None
        self._embedders: dict[str, Embedder] = {}

    async def ask(self, request: Request, check: Callable[[str], V], *, labeller: str) -> Reply[V]:
        """What a model replies to a request, as ``check`` reads it.

        An answer that ``check`` refuses is shown to the model once, with the reason; one that was cut off is asked for
        once more with twice the room. Each of these is a request of its own, stored and paid for once. Raises
        ``ServiceRefused``, ``ServiceUnavailable``, ``Interrupted`` and ``StorageFailed`` where nothing else can be
        asked either.
        """
        tally = self._tally(labeller)
        path: list[FetchResult] = []
        grown = mended = False
        asked = request
        while True:
            got = await self._get(asked, labeller, tally)
            if got.answer is None:
                if path and got.outcome == "invalid":
                    break  # the service does not take the second question: the first answer stands
                return _done(tally, got.outcome, None, None, got.detail, request.key, [*path, got])
            path.append(got)
            read = got.completion or _read(got.answer)
            if read.outcome == "truncated" and not grown:
                grown = True
                room = 2 * (asked.max_tokens_out or max(got.answer.tokens_out, 256))
                if room <= _MOST_TOKENS_OUT:
                    asked = asked.with_limit(room)
                    continue
            if read.outcome != "ok":
                break
            try:
                value = check(read.text)
            except (ValueError, RecursionError) as error:  # the latter of what is nested too deeply to be told
                problem = _mask(str(error))
                if mended or len(read.text) > _MOST_MENDED_CHARS:
                    return _done(tally, "invalid", None, read.text, problem, asked.key, path)
                mended = True
                asked = asked.corrected(read.text, problem)
                continue
            return _done(tally, "ok", value, read.text, "", asked.key, path)
        last = path[-1].completion or _read(_answer(path[-1]))
        if last.outcome == "ok":
            return _done(tally, "invalid", None, last.text, problem, _answer(path[-1]).key, path)
        return _done(tally, last.outcome, None, last.text, last.detail, _answer(path[-1]).key, path)

    async def embed(self, texts: Sequence[str], *, model: str, labeller: str) -> list[Embedding]:
        """A vector of length 1 for each text, or why it has none; each text is asked for and paid once.

        Raises what ``ask`` raises.
        """
        embedder = self._embedders.get(model)
        if embedder is None:
            if self._online is None and self._open_online is not None:
                self._online = self._open_online()
            embedder = self._embedders[model] = Embedder(model, self._answers, self._online)
        tally = self._tally(labeller)
        asks = (embedder.embed(text, labeller=labeller, tally=tally) for text in texts)
        return await asyncio.gather(*asks)

    def usage(self) -> dict[str, UsageTotals]:
        """What each labeller has asked and paid through this engine so far."""
        return {name: tally.totals() for name, tally in list(self._tallies.items())}  # asked for by another thread

    async def close(self) -> None:
        """Wait a little for what is under way, so that what was paid for is kept, and let go of everything."""
        self._fatal = self._fatal or Interrupted("the run is being stopped")
        couriers = {id(one): one for one in (self._courier, self._online) if one is not None}.values()
        await asyncio.gather(*(one.drain(_GRACE_S) for one in couriers))
        late = list(self._flying.values())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, *(one.close() for one in self._embedders.values()), return_exceptions=True)
        for one in couriers:
            await one.close()

    def _tally(self, labeller: str) -> UsageCounter:
        return self._tallies.get(labeller) or self._tallies.setdefault(labeller, UsageCounter())

    async def _get(self, request: Request, labeller: str, tally: UsageCounter) -> FetchResult:
        key = request.key
        task = self._flying.get(key)
        if task is None and (answer := await self._find(key)) is not None:
            tally.from_cache += 1
            return FetchResult(answer, from_cache=True)
        task = task or self._flying.get(key)  # another may have begun it meanwhile
        shared = task is not None
        if task is None:
            if labeller in self._replayed:
                return await self._replay.fetch(request, labeller=labeller, tally=tally)
            if self._fatal is not None:
                raise copy_error(self._fatal)
            task = asyncio.create_task(self._courier.fetch(request, labeller=labeller, tally=tally))
            self._flying[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        # The request goes on when whoever asked is cancelled: its reply is paid for.
        got = await asyncio.shield(task)
        if shared:
            tally.from_cache += 1
            got = got._replace(from_cache=True, paid_usd=0.0, tries=0)
        return got

    def _find(self, key: str) -> "asyncio.Future[StoredReply | None]":
        """A stored reply, looked up together with all that are wanted in this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._wanted:
            loop.call_soon(self._look_up)
        # One for each who asks: whoever is cancelled takes their own with them.
        found: asyncio.Future[StoredReply | None] = loop.create_future()
        self._wanted.setdefault(key, []).append(found)
        return found

    def _look_up(self) -> None:
        wanted, self._wanted = self._wanted, {}
        try:
            found = self._answers.find_many(list(wanted))
        except CurateError as error:
            for future in (each for futures in wanted.values() for each in futures):
                if not future.done():
                    future.set_exception(copy_error(error))
            return
        for key, futures in wanted.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(key))

    def _landed(self, key: str, task: asyncio.Task[FetchResult]) -> None:
        self._flying.pop(key, None)
        if not task.cancelled() and isinstance(error := task.exception(), CurateError) and self._fatal is None:
            self._fatal = error


def _read(answer: StoredReply) -> Completion:
    if answer.fault is not None:
        return Completion("filtered", "", answer.answered_by, None, answer.fault)
    try:
        return read_completion(answer.reply)
    except ValueError as error:  # only what was readable is stored, so the reading has changed since
        return Completion("ok", "", None, None, str(error))


def _answer(got: FetchResult) -> StoredReply:
    if got.answer is None:
        raise RuntimeError("no stored reply")
    return got.answer


def _done(
    tally: UsageCounter,
    outcome: ReplyOutcome,
    value: V | None,
    text: str | None,
    detail: str,
    key: str,
    path: list[FetchResult],
) -> Reply[V]:
    tally.outcomes[outcome] += 1
    answers = [got.answer for got in path if got.answer is not None]
    last = answers[-1] if answers else None
    usd = [answer.usd for answer in answers]
    return Reply(
        outcome,
        value,
        text,
        detail,
        key,
        model=last.answered_by if last else None,
        request_id=last.request_id if last else None,
        created_at=last.created if last else None,
        tokens_in=sum(answer.tokens_in for answer in answers),
        tokens_out=sum(answer.tokens_out for answer in answers),
        usd=None if None in usd else sum(one for one in usd if one is not None),
        paid_usd=sum(got.paid_usd for got in path),
        tries=sum(got.tries for got in path),
        from_cache=bool(path) and all(got.from_cache for got in path),
        replies=len(answers),
    )
