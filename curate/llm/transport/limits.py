"""How many requests may be in flight, and when the next one to each model may start."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from curate.llm.transport.faults import MAX_WAIT_S, reset_s

_CUT = 0.7
_ROUNDS_TO_RECOVER = 16
_BURST_S = 0.1
_TIMER_SLACK_S = 0.001
Clock = Callable[[], float]


class RateBucket:
    """A rate per minute, spread evenly. Taking more than there is leaves a debt that delays the next turn."""

    def __init__(self, per_minute: float, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self.set_rate(per_minute)
        self._level, self._updated = self._capacity, clock()

    def set_rate(self, per_minute: float) -> None:
        """Change the rate."""
        self.per_minute = per_minute
        self._per_s = per_minute / 60
        self._capacity = max(1.0, self._per_s * _BURST_S)

    def wait_s(self) -> float:
        """Return the seconds until something may be taken, 0 for now."""
        now = self._clock()
        self._level = min(self._capacity, self._level + (now - self._updated) * self._per_s)
        self._updated = now
        # One whole unit: with less, requests would start a fraction of one too early each time.
        return 0.0 if self._level >= 1 else (1 - self._level) / self._per_s

    def take(self, amount: float) -> None:
        """Take an amount, or return it if negative."""
        self._level -= amount


class WakeTimer:
    """Calls a function once, at the earliest of the times set since its last call."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def set(self, wait_s: float) -> None:
        """Call in ``wait_s`` seconds at the latest."""
        loop = asyncio.get_running_loop()
        due_time = loop.time() + wait_s
        if self._timer is not None:
            if self._timer.when() <= due_time + _TIMER_SLACK_S:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due_time, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._call()


class EndpointLimiter:
    """Admits requests to the models of one endpoint, each through its own ``ModelLimiter``.

    All models share the ``in_flight`` slots and the configured rates per minute, and take turns if they have to wait
    for either. Overload, the rates that replies report and the pauses that they ask for apply to one model alone.
    """

    def __init__(
        self,
        in_flight: int,
        *,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.in_flight = in_flight
        self.flying = 0
        self.clock = clock
        self.requests = RateBucket(requests_per_minute, clock) if requests_per_minute else None
        self.tokens = RateBucket(tokens_per_minute, clock) if tokens_per_minute else None
        self._limiters: dict[str, ModelLimiter] = {}
        self._line: deque[ModelLimiter] = deque()
        self._timer = WakeTimer(self.admit)

    def of(self, model: str) -> "ModelLimiter":
        """Return the limiter of a model."""
        return self._limiters.get(model) or self._limiters.setdefault(model, ModelLimiter(self))

    @property
    def is_open(self) -> bool:
        """Whether a request may start at once, with no model in line for it."""
        return not self._line and self._wait_s() == 0.0

    def join(self, limiter: "ModelLimiter") -> None:
        """Put a model at the end of the line."""
        self._line.append(limiter)

    def admit(self) -> None:
        """Let the models in line start as many requests as there is room for, one each in turn."""
        while self._line:
            wait_s = self._wait_s()
            if wait_s is None:
                return
            if wait_s > 0:
                self._timer.set(wait_s)
                return
            limiter = self._line.popleft()
            if limiter.admit_next():
                self._line.append(limiter)

    def _wait_s(self) -> float | None:
        """Return the seconds until a request may start; None until one in flight ends."""
        return None if self.flying >= self.in_flight else _longest_wait_s(self.requests, self.tokens)


class ModelLimiter:
    """Admits requests to one model in order of arrival.

    All slots may be used from the start. Overload reduces them by the factor 0.7, at most once per round trip, and
    replies restore them step by step (additive increase, multiplicative decrease, as in TCP congestion control).
    """

    def __init__(self, endpoint: EndpointLimiter) -> None:
        self.capacity = float(endpoint.in_flight)
        self.flying = 0
        self._endpoint = endpoint
        self._clock = endpoint.clock
        self._step = max(1.0, endpoint.in_flight / _ROUNDS_TO_RECOVER)
        self._requests: RateBucket | None = None
        self._tokens: RateBucket | None = None
        self._paused_until = 0.0
        self._reduced_at = 0.0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._is_in_line = False
        self._timer = WakeTimer(self._wake)

    @property
    def rates(self) -> tuple[float | None, float | None]:
        """Requests and tokens per minute that the service has reported for the model."""
        return _rate_of(self._requests), _rate_of(self._tokens)

    async def enter(self, tokens: int) -> None:
        """Wait for the turn of a request that may use ``tokens``; every request that enters must ``leave``."""
        if not self._waiting and self._wait_s() == 0.0 and self._endpoint.is_open:
            self._admit(tokens)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, tokens))
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(tokens)
            else:
                with suppress(ValueError):
                    self._waiting.remove((turn, tokens))
            raise

    def leave(self, unused: int = 0) -> None:
        """Release a slot and refund ``unused`` tokens (negative if the request used more than it reserved)."""
        self.flying -= 1
        self._endpoint.flying -= 1
        bucket = self._endpoint.tokens or self._tokens
        if unused and bucket is not None:
            bucket.take(-unused)
        self._wake()

    def record_success(self) -> None:
        """Count a reply: a few more requests may be in flight."""
        if self.capacity < self._endpoint.in_flight:
            self.capacity = min(float(self._endpoint.in_flight), self.capacity + self._step / self.capacity)

    def record_overload(self, started: float) -> None:
        """Reduce the slots: the service could not keep up with a request started at this time."""
        if started >= self._reduced_at:
            self.capacity = max(1.0, self.capacity * _CUT)
            self._reduced_at = self._clock()

    def pause(self, seconds: float) -> None:
        """Start nothing for a while."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, MAX_WAIT_S))

    def observe(self, headers: Mapping[str, str]) -> None:
        """Adopt the rate limits that a reply reports, unless the settings give others."""
        self._requests = self._observed("requests", self._endpoint.requests, self._requests, headers)
        self._tokens = self._observed("tokens", self._endpoint.tokens, self._tokens, headers)

    def admit_next(self) -> bool:
        """Let the first request start if its model allows it; return whether another could start as well."""
        if self._is_ready():
            turn, tokens = self._waiting.popleft()
            self._admit(tokens)
            turn.set_result(None)
        self._is_in_line = self._is_ready()
        return self._is_in_line

    def _observed(
        self, unit: str, configured: RateBucket | None, bucket: RateBucket | None, headers: Mapping[str, str]
    ) -> RateBucket | None:
        if configured is not None or not (limit := reset_s(headers.get(f"x-ratelimit-limit-{unit}"))):
            return bucket
        if headers.get(f"x-ratelimit-remaining-{unit}") == "0":
            self.pause(reset_s(headers.get(f"x-ratelimit-reset-{unit}")) or 0.0)
        if bucket is None:
            return RateBucket(limit, self._clock)
        if bucket.per_minute != limit:
            bucket.set_rate(limit)
        return bucket

    def _wait_s(self) -> float | None:
        """Return the seconds until a request to this model may start; None until one in flight ends."""
        if self.flying >= max(1, int(self.capacity)):
            return None
        paused_s = max(0.0, self._paused_until - self._clock()) if self._paused_until else 0.0
        return max(paused_s, _longest_wait_s(self._requests, self._tokens))

    def _is_ready(self) -> bool:
        while self._waiting and self._waiting[0][0].done():
            self._waiting.popleft()
        if not self._waiting:
            return False
        wait_s = self._wait_s()
        if wait_s:
            self._timer.set(wait_s)
        return wait_s == 0.0

    def _admit(self, tokens: int) -> None:
        self.flying += 1
        self._endpoint.flying += 1
        if (requests := self._endpoint.requests or self._requests) is not None:
            requests.take(1)
        if (bucket := self._endpoint.tokens or self._tokens) is not None:
            bucket.take(tokens)

    def _wake(self) -> None:
        if not self._is_in_line and self._is_ready():
            self._is_in_line = True
            self._endpoint.join(self)
        self._endpoint.admit()


def _rate_of(bucket: RateBucket | None) -> float | None:
    return None if bucket is None else bucket.per_minute


def _longest_wait_s(first: RateBucket | None, second: RateBucket | None) -> float:
    wait_s = 0.0 if first is None else first.wait_s()
    return wait_s if second is None else max(wait_s, second.wait_s())
