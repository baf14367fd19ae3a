"""Requests sent one by one, as many at once as the service bears, and tried again where that helps."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Literal, NamedTuple, NoReturn

from curate.errors import CurateError, Interrupted, ServiceRefused, ServiceUnavailable
from curate.llm.completion import TokenUsage, read_completion
from curate.llm.money.account import UsageCounter
from curate.llm.money.budget import BudgetAccount
from curate.llm.money.prices import check_priced, estimate_text_tokens, estimate_tokens_in, load_prices
from curate.llm.replies import BudgetEntry, ReplyStore, StoredReply, put_reply
from curate.llm.request import Request
from curate.llm.settings import EngineSettings
from curate.llm.transport.attempt import (
    ApiCall,
    Attempt,
    PaidReply,
    R,
    chat_answer,
    paid_for,
    used_tokens,
    vector_answers,
)
from curate.llm.transport.client import Endpoint
from curate.llm.transport.embeddings import EmbeddingRequest, EmbeddingResult, EmbeddingsReply, read_embeddings
from curate.llm.transport.faults import Failure, NoReply, backoff_s, copy_error, judge_error, judge_status
from curate.llm.transport.limits import EndpointLimiter, ModelLimiter
from curate.llm.transport.protocol import FetchResult
from curate.storage.blobs import BlobMissing

_WAITS_PER_TRY = 4
_PATIENCE_S = 900.0
_REFUSED_IN_A_ROW = 20
_LOOK_S = 0.05
_AHEAD = 8
_AGAIN_LATER = "run the same command again later: what is done is kept"

_CHAT, _EMBEDDINGS = "/chat/completions", "/embeddings"
_FINE = Failure("again", "")


class _Done(NamedTuple, Generic[R]):
    """What came of all tries: the answers are stored, none where there is no reply."""

    verdict: Failure
    tries: int
    paid_usd: float
    answers: tuple[StoredReply, ...] = ()
    read: R | None = None

    @property
    def outcome(self) -> Literal["invalid", "error"]:
        return "error" if self.verdict.then == "again" else "invalid"


class OnlineTransport:
    """A courier over HTTP; see ``Transport``, ``EmbeddingTransport`` and ``EngineSettings``."""

    def __init__(
        self,
        settings: EngineSettings,
        answers: ReplyStore,
        read: Callable[[str], bytes],
        budget: BudgetAccount,
        models: tuple[str, ...] = (),
    ) -> None:
        self._settings = settings
        self._answers = answers
        self._read = read
        self._prices = load_prices(settings.prices)
        if settings.budget_usd is not None:
            check_priced(self._prices, models)
        self._endpoint = Endpoint(settings.base_url, connections=settings.in_flight)
        self._budget = budget
        # Services limit chat and embeddings apart, and one that is slow says nothing of the other.
        self._gates = {
            path: EndpointLimiter(
                settings.in_flight,
                requests_per_minute=settings.requests_per_minute,
                tokens_per_minute=settings.tokens_per_minute,
            )
            for path in (_CHAT, _EMBEDDINGS)
        }
        self._until = None if settings.deadline_s is None else time.monotonic() + settings.deadline_s
        self._fatal: CurateError | None = None
        self._failed_in_a_row = self._refused_in_a_row = 0
        self._has_answered = False
        self._storing = 0
        # What is set aside is soon sent: it counts as paid where the process is killed.
        self._turns = {path: asyncio.Semaphore(settings.in_flight + _AHEAD) for path in self._gates}
        # Media are many bytes, and made only for requests whose turn is near; more threads at work on them than there
        # are cores would keep the loop waiting.
        self._room = asyncio.Semaphore(settings.in_flight + _AHEAD)
        self._encoders = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="encoding")

    async def fetch(self, request: Request, *, labeller: str, tally: UsageCounter) -> FetchResult:
        """See ``Transport.fetch``."""
        if not request.media:
            return await self._fetch(request, labeller, tally)
        async with self._room:
            return await self._fetch(request, labeller, tally)

    async def _fetch(self, request: Request, labeller: str, tally: UsageCounter) -> FetchResult:
        try:
            payload = await self._payload(request)
        except ValueError as error:
            return FetchResult(None, "invalid", str(error))
        except BlobMissing as error:
            return FetchResult(None, "error", error.message)
        most = TokenUsage(
            estimate_tokens_in(request, self._prices.of(request.model)),
            request.max_tokens_out or self._settings.tokens_out,
        )
        question = ApiCall(_CHAT, request.model, request.key, payload, most, read_completion)
        done = await self._bring(question, lambda paid: [chat_answer(request, paid)], labeller, tally)
        if not done.answers:
            return FetchResult(None, done.outcome, done.verdict.detail, tries=done.tries, paid_usd=done.paid_usd)
        return FetchResult(done.answers[0], tries=done.tries, paid_usd=done.paid_usd, completion=done.read)

    async def embed(self, request: EmbeddingRequest, *, labeller: str, tally: UsageCounter) -> EmbeddingResult:
        """See ``EmbeddingTransport.embed``."""
        most = TokenUsage(estimate_text_tokens(request.texts), 0)
        count = len(request.texts)

        def read(body: bytes) -> EmbeddingsReply:
            return read_embeddings(body, count)

        question = ApiCall(
            _EMBEDDINGS, request.model, request.key, request.payload(), most, read, is_divisible=count > 1
        )
        done = await self._bring(question, lambda paid: vector_answers(request, paid), labeller, tally)
        if done.read is None:
            return EmbeddingResult(None, done.outcome, done.verdict.detail)
        return EmbeddingResult(done.read.embeddings)

    async def _bring(
        self,
        question: ApiCall[R],
        keep: Callable[[PaidReply[R]], list[StoredReply]],
        labeller: str,
        tally: UsageCounter,
    ) -> _Done[R]:
        """Ask until there is a reply, or asking is no use; ``keep`` makes of a reply what is stored."""
        price, most = self._prices.of(question.model), question.most
        if price is None and self._settings.budget_usd is not None:
            check_priced(self._prices, [question.model])
        worst_usd = None if price is None else price.usd(most)
        tries = failures = waits = 0
        began = time.monotonic()
        paid_usd = 0.0
        while True:
            async with self._turns[question.path]:
                self._check_open()
                spend = await self._budget.reserve(
                    labeller, question.key, usd=worst_usd, tokens_in=most.tokens_in, tokens_out=most.tokens_out
                )
                tries += 1
                sent = await self._send(question, spend, tally)
                if sent.received is not None and (sent.read is not None or sent.verdict.then == "filtered"):
                    paid = paid_for(sent, sent.received, most, price)
                    answers = keep(paid)
                    await self._keep(answers, paid, spend)
                    tally.answered(paid.usage.tokens_in, paid.usage.tokens_out, paid.usd)
                    self._failed_in_a_row = self._refused_in_a_row = 0
                    self._has_answered = True
                    paid_usd += paid.usd or 0.0
                    return _Done(sent.verdict, tries, paid_usd, tuple(answers), sent.read)
            judged = sent.verdict
            if judged.charged:
                self._lose(spend, tally)
                paid_usd += spend.usd or 0.0
            else:
                self._answers.hand_in([self._budget.free(spend)])
            if judged.then == "again":
                waits += judged.limited
                failures += not judged.limited
                patient = waits < self._settings.tries * _WAITS_PER_TRY and time.monotonic() - began < _PATIENCE_S
                if failures < self._settings.tries and patient:
                    tally.retries += 1
                    await self._wait(backoff_s(failures + waits, self._settings.backoff_s, judged.wait_s))
                    continue
            if not (judged.then == "invalid" and question.is_divisible):
                self._give_up(judged)
            return _Done(judged, tries, paid_usd)

    async def drain(self, grace_s: float) -> None:
        """See ``Transport.drain``."""
        self._fatal = self._fatal or Interrupted("the run is being stopped")
        ends = time.monotonic() + grace_s
        while (self._storing or any(gates.flying for gates in self._gates.values())) and time.monotonic() < ends:
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Close the connections."""
        self._encoders.shutdown(wait=False, cancel_futures=True)
        await self._endpoint.close()

    async def _payload(self, request: Request) -> bytes:
        if not request.media:
            return request.payload(self._read)
        names = dict.fromkeys(media.blob for media in request.media)
        found = await asyncio.to_thread(lambda: {name: self._read(name) for name in names})
        return await asyncio.get_running_loop().run_in_executor(self._encoders, request.payload, found.__getitem__)

    async def _send(self, question: ApiCall[R], spend: BudgetEntry, tally: UsageCounter) -> Attempt[R]:
        """One try: a reply as it was read, or what to do without one."""
        gate = self._gates[question.path].of(question.model)
        reserved = question.most.tokens_in + question.most.tokens_out
        try:
            await gate.enter(reserved)
            try:
                self._check_open()  # much may have happened while it waited
            except CurateError:
                gate.leave(reserved)
                raise
        except (asyncio.CancelledError, CurateError):
            self._answers.hand_in([self._budget.free(spend)])
            raise
        started, used = time.monotonic(), 0
        try:
            sent = await self._post(question)
            used = used_tokens(sent, reserved)
            _heed(gate, sent, started)
        except asyncio.CancelledError:
            self._lose(spend, tally)
            raise
        finally:
            gate.leave(reserved - used)
        return sent

    async def _post(self, question: ApiCall[R]) -> Attempt[R]:
        try:
            async with asyncio.timeout(self._timeout_s()):
                received = await self._endpoint.post(question.path, question.payload)
        except TimeoutError:
            return Attempt(Failure("again", "the service does not answer in time", charged=True, slow=True))
        except NoReply as error:
            then: Literal["invalid", "again"] = "invalid" if error.final else "again"
            # A service that has answered and cannot be reached now is waited for, as one that is too busy.
            is_away = self._has_answered and not error.charged
            return Attempt(Failure(then, error.detail, charged=error.charged, slow=error.slow, limited=is_away))
        about = received.headers, received.body, self._endpoint.mask
        if received.status != 200:
            return Attempt(judge_status(received.status, *about), received)
        try:
            return Attempt(_FINE, received, question.read(received.body))
        except ValueError as error:
            # A page of a proxy or portal on the way comes from no model.
            comes_from_model = not received.body.lstrip().startswith(b"<")
            unread = Failure("again", str(error), charged=comes_from_model)
            return Attempt(judge_error(*about) or unread, received)

    def _lose(self, spend: BudgetEntry, tally: UsageCounter) -> None:
        """Count what may have been charged without a reply."""
        self._answers.hand_in([self._budget.lose(spend)])
        tally.lost(spend.tokens_in, spend.tokens_out, spend.usd)

    async def _keep(self, answers: list[StoredReply], paid: PaidReply[R], spend: BudgetEntry) -> None:
        """Store what a reply holds together with what it cost."""
        usage = paid.usage
        entry = self._budget.settle(spend, usd=paid.usd, tokens_in=usage.tokens_in, tokens_out=usage.tokens_out)
        self._storing += 1
        try:
            await self._answers.commit([*map(put_reply, answers), entry])
        except CurateError as error:
            self._stop(error)
        finally:
            self._storing -= 1

    def _give_up(self, verdict: Failure) -> None:
        """Count a request that failed for good; raises where the next ones will fail too."""
        detail = verdict.detail
        match verdict.then:
            case "key":
                said = f"{self._endpoint.url} refuses the key: {detail}"
                self._stop(ServiceRefused(said, hint="check OPENAI_API_KEY, and that OPENAI_BASE_URL is its service"))
            case "model":
                said = f"{self._endpoint.url} does not know the model or address: {detail}"
                models = "check the model's name in the recipe"
                self._stop(ServiceRefused(said, hint=f"{models}, and OPENAI_BASE_URL, which usually ends in /v1"))
            case "quota":
                self._stop(
                    ServiceRefused(
                        f"the account behind the key has no credit left: {detail}",
                        hint="add credit, then run again: what is done is kept",
                    )
                )
            case "invalid":
                self._refused_in_a_row += 1
                if self._refused_in_a_row >= _REFUSED_IN_A_ROW:
                    said = f"{self._endpoint.url} refuses every request, {_REFUSED_IN_A_ROW} in a row: {detail}"
                    self._stop(ServiceRefused(said, hint="mend the settings or choose another model"))
            case _:
                self._failed_in_a_row += 1
                if self._failed_in_a_row >= self._settings.breaker:
                    said = f"{self._endpoint.url} failed {self._failed_in_a_row} requests in a row: {detail}"
                    first = "" if self._has_answered else "check OPENAI_BASE_URL and that the service runs, then "
                    self._stop(ServiceUnavailable(said, hint=first + _AGAIN_LATER))

    def _stop(self, error: CurateError) -> NoReturn:
        self._fatal = self._fatal or error
        raise copy_error(self._fatal)

    def _check_open(self) -> None:
        if self._fatal is not None:
            raise copy_error(self._fatal)
        if self._until is not None and time.monotonic() >= self._until:
            said = f"the deadline of {self._settings.deadline_s:g} s has passed"
            self._stop(Interrupted(said, hint="run again to go on: what is done is kept"))

    def _timeout_s(self) -> float:
        if self._until is None:
            return self._settings.request_timeout_s
        return min(self._settings.request_timeout_s, max(0.0, self._until - time.monotonic()))

    async def _wait(self, seconds: float) -> None:
        left = seconds if self._until is None else self._until - time.monotonic()
        await asyncio.sleep(max(0.0, min(seconds, left)))


def _heed(gate: ModelLimiter, sent: Attempt[R], started: float) -> None:
    """Take over what a try tells of how many the service bears."""
    if sent.received is not None:
        gate.observe(sent.received.headers)
    if sent.read is not None:
        gate.went_well()
    if sent.verdict.slow:
        gate.overloaded(started)
    if sent.verdict.limited and sent.verdict.wait_s:
        gate.pause(sent.verdict.wait_s)
