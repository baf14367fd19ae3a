"""Requests sent one by one, as many at once as the service bears, and tried again where that helps."""

import asyncio
import time
from collections.abc import Callable
from typing import Literal, NamedTuple, NoReturn

from curate.errors import CurateError, Interrupted, ServiceRefused, ServiceUnavailable
from curate.llm.budget import Budget
from curate.llm.completion import Completion, Usage, read_completion
from curate.llm.engine import EngineSettings, Fetched
from curate.llm.faults import Unanswered, Verdict, backoff_s, judge_status, repeated
from curate.llm.limits import Gate
from curate.llm.openai_client import HINT, Endpoint, Received
from curate.llm.prices import Price, check_priced, load_prices, tokens_in
from curate.llm.request import Request
from curate.llm.tally import Tally
from curate.storage.answers import Answer, Answers, Spend, kept_headers, now, put_answer

_WAITS_PER_TRY = 4
_PATIENCE_S = 900.0
_REFUSED_IN_A_ROW = 20
_LOOK_S = 0.05
_AGAIN_LATER = "run the same command again later: what is done is kept"


_FINE = Verdict("again", "")


class _Sent(NamedTuple):
    """What came of one try: the verdict counts where there is no completion."""

    verdict: Verdict
    received: Received | None = None
    completion: Completion | None = None


class Online:
    """A courier over HTTP; see ``Courier`` and ``EngineSettings``."""

    def __init__(
        self, settings: EngineSettings, answers: Answers, read: Callable[[str], bytes], models: tuple[str, ...] = ()
    ) -> None:
        self._settings = settings
        self._answers = answers
        self._read = read
        self._prices = load_prices(settings.prices)
        if settings.budget_usd is not None:
            check_priced(self._prices, models)
        self._endpoint = Endpoint(settings.base_url, connections=settings.in_flight)
        self._budget = Budget(
            answers, pot=settings.pot, run=settings.run, usd=settings.budget_usd, tokens=settings.budget_tokens
        )
        self._gate = Gate(
            settings.in_flight,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )
        self._until = None if settings.deadline_s is None else time.monotonic() + settings.deadline_s
        self._fatal: CurateError | None = None
        self._failed_in_a_row = self._refused_in_a_row = 0
        self._busy = 0

    async def fetch(self, request: Request, *, labeller: str, tally: Tally) -> Fetched:
        """See ``Courier.fetch``."""
        try:
            payload = await self._payload(request)
        except ValueError as error:
            return Fetched(None, "invalid", str(error))
        price = self._prices.of(request.model)
        if price is None and self._settings.budget_usd is not None:
            check_priced(self._prices, [request.model])
        most = Usage(tokens_in(request, price), request.most_tokens_out or self._settings.tokens_out)
        worst_usd = None if price is None else price.usd(most)
        tries = failures = waits = 0
        began = time.monotonic()
        paid_usd = 0.0
        while True:
            self._check_open()
            spend = await self._budget.reserve(
                labeller, request.key, usd=worst_usd, tokens_in=most.tokens_in, tokens_out=most.tokens_out
            )
            tries += 1
            self._busy += 1
            try:
                sent = await self._send(payload, spend, most)
                if sent.received is not None and (sent.completion or sent.verdict.then == "filtered"):
                    answer = await self._keep(request, sent, spend, most, price)
                    tally.answered(answer.tokens_in, answer.tokens_out, answer.usd)
                    self._failed_in_a_row = self._refused_in_a_row = 0
                    paid_usd += answer.usd or 0.0
                    return Fetched(answer, tries=tries, paid_usd=paid_usd, completion=sent.completion)
            finally:
                self._busy -= 1
            judged = sent.verdict
            if judged.charged:
                self._answers.hand_in([self._budget.lose(spend)])
                tally.paid(spend.tokens_in, spend.tokens_out, spend.usd)
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
            self._give_up(judged)
            outcome: Literal["invalid", "error"] = "invalid" if judged.then == "invalid" else "error"
            return Fetched(None, outcome, judged.detail, tries=tries, paid_usd=paid_usd)

    async def drain(self, grace_s: float) -> None:
        """See ``Courier.drain``."""
        self._fatal = self._fatal or Interrupted("the run is being stopped")
        ends = time.monotonic() + grace_s
        while self._busy and time.monotonic() < ends:
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    async def _payload(self, request: Request) -> bytes:
        if request.media:
            return await asyncio.to_thread(request.payload, self._read)
        return request.payload(self._read)

    async def _send(self, payload: bytes, spend: Spend, most: Usage) -> "_Sent":
        """One try: a reply as it was read, or what to do without one."""
        reserved = most.tokens_in + most.tokens_out
        try:
            await self._gate.enter(reserved)
            try:
                self._check_open()  # much may have happened while it waited
            except CurateError:
                self._gate.leave()
                raise
        except (asyncio.CancelledError, CurateError):
            self._answers.hand_in([self._budget.free(spend)])
            raise
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s()):
                received = await self._endpoint.post("/chat/completions", payload)
        except asyncio.CancelledError:
            self._answers.hand_in([self._budget.lose(spend)])
            raise
        except TimeoutError:
            self._gate.overloaded(started)
            return _Sent(Verdict("again", "the service does not answer in time", charged=True))
        except Unanswered as error:
            if error.slow:
                self._gate.overloaded(started)
            return _Sent(Verdict("invalid" if error.final else "again", error.detail, charged=error.charged))
        finally:
            self._gate.leave()
        self._gate.observe(received.headers)
        if received.status != 200:
            verdict = judge_status(received.status, received.headers, received.body, self._endpoint.mask)
            if verdict.slow:
                self._gate.overloaded(started)
            if verdict.limited and verdict.wait_s:
                self._gate.pause(verdict.wait_s)
            return _Sent(verdict, received)
        try:
            completion = read_completion(received.body)
        except ValueError as error:
            # A page of a proxy or portal on the way comes from no model.
            return _Sent(Verdict("again", str(error), charged=not received.body.lstrip().startswith(b"<")), received)
        self._gate.went_well()
        if completion.usage is not None:
            self._gate.used(reserved, completion.usage.tokens_in + completion.usage.tokens_out)
        return _Sent(_FINE, received, completion)

    async def _keep(self, request: Request, sent: "_Sent", spend: Spend, most: Usage, price: Price | None) -> Answer:
        """Store a reply together with what it cost."""
        usage = _usage(sent.completion, most)
        usd = None if price is None else price.usd(usage)
        answer = _answer(request, self._endpoint.url, sent, usage, usd)
        paid = self._budget.settle(spend, usd=usd, tokens_in=usage.tokens_in, tokens_out=usage.tokens_out)
        try:
            await self._answers.commit([put_answer(answer), paid])
        except CurateError as error:
            self._stop(error)
        return answer

    def _give_up(self, verdict: Verdict) -> None:
        """Count a request that failed for good; raises where the next ones will fail too."""
        detail = verdict.detail
        match verdict.then:
            case "key":
                self._stop(ServiceRefused(f"{self._endpoint.url} refuses the key: {detail}", hint=HINT))
            case "model":
                self._stop(
                    ServiceRefused(f"{self._endpoint.url} does not know the model or address: {detail}", hint=HINT)
                )
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
                    self._stop(ServiceUnavailable(said, hint=_AGAIN_LATER))

    def _stop(self, error: CurateError) -> NoReturn:
        self._fatal = self._fatal or error
        raise repeated(self._fatal)

    def _check_open(self) -> None:
        if self._fatal is not None:
            raise repeated(self._fatal)
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


def _usage(completion: Completion | None, most: Usage) -> Usage:
    """What the service says it used; where it does not, all of the input and as much output as there is."""
    if completion is None:
        return Usage(0, 0)
    if completion.usage is not None:
        return completion.usage
    return Usage(most.tokens_in, max(1, len(completion.text.encode("utf-8", "replace")) // 3))


def _answer(request: Request, url: str, sent: _Sent, usage: Usage, usd: float | None) -> Answer:
    completion, received = sent.completion, sent.received
    if received is None:
        raise RuntimeError("no reply to store")
    request_id = received.headers.get("x-request-id")
    return Answer(
        key=request.key,
        content_key=request.content_key,
        endpoint=url,
        model=request.model,
        answered_by=completion.model if completion else None,
        request_id=request_id[:200] if request_id else None,
        created_at=now(),
        seconds=received.seconds,
        status=received.status,
        fault=None if completion else sent.verdict.detail,
        reply=received.body.decode("utf-8", "replace"),
        headers=kept_headers(received.headers),
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        tokens_cached=usage.cached,
        estimated=completion is not None and completion.usage is None,
        usd=usd,
    )
