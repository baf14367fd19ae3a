"""Asking chat models: every reply is kept before it is used, asked for once, checked, and mended once."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from curate.errors import CurateError, Interrupted
from curate.llm.completion import Completion, read_completion
from curate.llm.model import Spent
from curate.llm.money.account import Tally
from curate.llm.money.budget import Budget
from curate.llm.replies import Answer, Answers
from curate.llm.request import Request
from curate.llm.transport.embeddings import Embedder, Embedding, EmbeddingCourier
from curate.llm.transport.faults import masker, repeated

V = TypeVar("V")
Outcome = Literal["ok", "refused", "filtered", "truncated", "invalid", "error"]

_MOST_MENDED_CHARS = 20_000
_MOST_TOKENS_OUT = 128_000
_GRACE_S = 10.0
_ANY_MODEL = ("", "replay")
_mask = masker()


@dataclass(frozen=True)
class EngineSettings:
    """How models are asked. None of it decides what they reply."""

    mode: Literal["online", "batch", "replay"] = "online"
    in_flight: int = 64
    """So many requests to chat models, and beside them so many for embeddings"""
    requests_per_minute: float | None = None
    """For chat and embeddings each, like tokens; None takes the limits that the headers of each model's replies name"""
    tokens_per_minute: float | None = None
    request_timeout_s: float = 60.0
    deadline_s: float | None = None
    """For the whole run, from the opening of the engine"""
    tries: int = 5
    budget_usd: float | None = None
    budget_tokens: int | None = None
    prices: Path | None = None
    """The folder whose ``prices.yaml`` comes before the shipped one"""
    base_url: str | None = None
    """None reads ``OPENAI_BASE_URL``"""
    pot: str = "prelabel"
    """Budgets are kept by pot: every run that names the same one draws from it"""
    run: str = ""
    replayed: frozenset[str] = frozenset()
    """Labellers that only stored replies serve, in every mode"""
    backoff_s: float = 0.5
    """The first wait after a failure is up to this long, each further one up to twice the one before"""
    breaker: int = 10
    """So many requests in a row that fail for good end the stage"""
    batch_idle_s: float = 1.0
    """A batch is sent once no request has come for so long"""
    batch_poll_s: float = 30.0
    tokens_out: int = 4096
    """What is reserved for the reply to a request that sets no limit of its own"""


class Reply(NamedTuple, Generic[V]):
    """What asking came to. ``value`` is what the check made of ``text``; ``detail`` says why there is none.

    ``tokens_in``, ``tokens_out`` and ``usd`` (None where no price is known) are of the stored replies behind it, mended
    ones included, whenever they were paid; ``paid_usd`` is what was paid now. ``key`` names the request whose reply it
    is.
    """

    outcome: Outcome
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


class Fetched(NamedTuple):
    """A stored reply, or why there is none: ``error`` is worth another run, ``invalid`` is not.

    ``completion`` is the reply as read, None where it was not read yet; ``paid_usd`` includes tries without a reply.
    """

    answer: Answer | None
    outcome: Literal["invalid", "error"] = "error"
    detail: str = ""
    tries: int = 0
    paid_usd: float = 0.0
    completion: Completion | None = None
    from_cache: bool = False


class Courier(Protocol):
    """Brings the reply to a request that has none yet, one by one or in batches."""

    async def fetch(self, request: Request, *, labeller: str, tally: Tally) -> Fetched:
        """A reply that is stored by now. Raises a ``CurateError`` where nothing else can be answered either."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Begin nothing new, and wait so long for replies that are on their way."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class OnlineCourier(Courier, EmbeddingCourier, Protocol):
    """One that brings vectors too: there are no batches of these."""


class Asker(Protocol):
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
        answers: Answers,
        courier: Courier,
        *,
        replayed: frozenset[str] = frozenset(),
        open_online: Callable[[], OnlineCourier] | None = None,
    ) -> None:
        self._answers = answers
        self._courier = courier
        self._replay, self._replayed = Replay(answers), replayed
        self._flying: dict[str, asyncio.Task[Fetched]] = {}
        self._wanted: dict[str, list[asyncio.Future[Answer | None]]] = {}
        self._fatal: CurateError | None = None
        self._tallies: dict[str, Tally] = {}
        self._open_online = open_online
        self._online: OnlineCourier | None = None
        self._embedders: dict[str, Embedder] = {}

    async def ask(self, request: Request, check: Callable[[str], V], *, labeller: str) -> Reply[V]:
        """What a model replies to a request, as ``check`` reads it.

        An answer that ``check`` refuses is shown to the model once, with the reason; one that was cut off is asked for
        once more with twice the room. Each of these is a request of its own, stored and paid for once. Raises
        ``ServiceRefused``, ``ServiceUnavailable``, ``Interrupted`` and ``StorageFailed`` where nothing else can be
        asked either.
        """
        tally = self._tally(labeller)
        path: list[Fetched] = []
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
                room = 2 * (asked.most_tokens_out or max(got.answer.tokens_out, 256))
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

    def spent(self) -> dict[str, Spent]:
        """What each labeller has asked and paid through this engine so far."""
        return {name: tally.spent() for name, tally in list(self._tallies.items())}  # asked for by another thread

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

    def _tally(self, labeller: str) -> Tally:
        return self._tallies.get(labeller) or self._tallies.setdefault(labeller, Tally())

    async def _get(self, request: Request, labeller: str, tally: Tally) -> Fetched:
        key = request.key
        task = self._flying.get(key)
        if task is None and (answer := await self._find(key)) is not None:
            tally.from_cache += 1
            return Fetched(answer, from_cache=True)
        task = task or self._flying.get(key)  # another may have begun it meanwhile
        shared = task is not None
        if task is None:
            if labeller in self._replayed:
                return await self._replay.fetch(request, labeller=labeller, tally=tally)
            if self._fatal is not None:
                raise repeated(self._fatal)
            task = asyncio.create_task(self._courier.fetch(request, labeller=labeller, tally=tally))
            self._flying[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        # The request goes on when whoever asked is cancelled: its reply is paid for.
        got = await asyncio.shield(task)
        if shared:
            tally.from_cache += 1
            got = got._replace(from_cache=True, paid_usd=0.0, tries=0)
        return got

    def _find(self, key: str) -> "asyncio.Future[Answer | None]":
        """A stored reply, looked up together with all that are wanted in this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._wanted:
            loop.call_soon(self._look_up)
        # One for each who asks: whoever is cancelled takes their own with them.
        found: asyncio.Future[Answer | None] = loop.create_future()
        self._wanted.setdefault(key, []).append(found)
        return found

    def _look_up(self) -> None:
        wanted, self._wanted = self._wanted, {}
        try:
            found = self._answers.find_many(list(wanted))
        except CurateError as error:
            for future in (each for futures in wanted.values() for each in futures):
                if not future.done():
                    future.set_exception(repeated(error))
            return
        for key, futures in wanted.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(key))

    def _landed(self, key: str, task: asyncio.Task[Fetched]) -> None:
        self._flying.pop(key, None)
        if not task.cancelled() and isinstance(error := task.exception(), CurateError) and self._fatal is None:
            self._fatal = error


def _read(answer: Answer) -> Completion:
    if answer.fault is not None:
        return Completion("filtered", "", answer.answered_by, None, answer.fault)
    try:
        return read_completion(answer.reply)
    except ValueError as error:  # only what was readable is stored, so the reading has changed since
        return Completion("ok", "", None, None, str(error))


def _answer(got: Fetched) -> Answer:
    if got.answer is None:
        raise RuntimeError("no stored reply")
    return got.answer


def _done(
    tally: Tally, outcome: Outcome, value: V | None, text: str | None, detail: str, key: str, path: list[Fetched]
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


class Replay:
    """A courier without a service: what the same model once replied, or any where the request names none."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def fetch(self, request: Request, *, labeller: str, tally: Tally) -> Fetched:
        """See ``Courier.fetch``; a request that was never answered is an error."""
        answer = self._answers.find(request.key)
        if answer is None and request.model in _ANY_MODEL:
            answer = self._answers.find_content(request.content_key)
        if answer is None:
            return Fetched(None, "error", "no reply to this request is stored, and replay asks nobody")
        tally.from_cache += 1
        return Fetched(answer, from_cache=True)

    async def drain(self, grace_s: float) -> None:
        """Nothing is ever on its way."""

    async def close(self) -> None:
        """Nothing to let go of."""


def open_engine(
    settings: EngineSettings, answers: Answers, read: Callable[[str], bytes], *, models: tuple[str, ...] = ()
) -> Engine:
    """An engine in the mode that the settings name. ``read`` gives a blob's bytes; ``models`` are those to ask.

    Raises ``InvalidInput`` where a budget in dollars meets a model without a price or the address is none, and
    ``MissingDependency`` without a key.
    """
    if settings.mode == "replay":
        return Engine(answers, Replay(answers))
    # One account, whichever way is asked.
    budget = Budget(answers, pot=settings.pot, run=settings.run, usd=settings.budget_usd, tokens=settings.budget_tokens)
    about: Mapping[str, Any] = {
        "settings": settings, "answers": answers, "read": read, "models": models, "budget": budget,
    }  # fmt: skip
    from curate.llm.transport.batch.courier import BatchCourier
    from curate.llm.transport.online import Online

    if settings.mode == "batch":
        courier = BatchCourier(**about)
        return Engine(answers, courier, replayed=settings.replayed, open_online=lambda: Online(**about))
    online = Online(**about)
    # What earlier runs sent as batches is paid for: it is waited for, and not asked a second time.
    first = BatchCourier(**about, instead=online) if answers.open_batches() else online
    return Engine(answers, first, replayed=settings.replayed, open_online=lambda: online)
