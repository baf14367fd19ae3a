"""How many requests may be under way, and when the next one to each model may start."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from curate.llm.transport.faults import MOST_WAIT_S, reset_s

_CUT = 0.7
_ROUNDS_TO_RECOVER = 16
_BURST_S = 0.1
_SOON_S = 0.001


class RateBucket:
    """So many a minute, evenly: what is taken beyond the level is owed, and nothing more is given until it is paid."""

    def __init__(self, per_minute: float) -> None:
        self.set_rate(per_minute)
        self._level, self._at = self._most, time.monotonic()

    def set_rate(self, per_minute: float) -> None:
        """Change how many a minute there are."""
        self.per_minute = per_minute
        self._rate = per_minute / 60
        self._most = max(1.0, self._rate * _BURST_S)

    def wait_s(self) -> float:
        """Seconds until something may be taken, 0 for now."""
        now = time.monotonic()
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        # One whole unit: with less, requests would start a fraction of one too early each time.
        return 0.0 if self._level >= 1 else (1 - self._level) / self._rate

    def take(self, amount: float) -> None:
        """Take, or with a negative amount give back."""
        self._level -= amount


class WakeTimer:
    """Calls once, at the soonest of the times that were asked for since it last did."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def set(self, wait_s: float) -> None:
        """Ring in so many seconds, or before."""
        loop = asyncio.get_running_loop()
        when = loop.time() + wait_s
        if self._timer is not None:
            if self._timer.when() <= when + _SOON_S:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._call()


class EndpointLimiter:
    """Admits requests to the models at one address, to each through a gate of its own.

    All models share the ``in_flight`` places: no more requests are under way together. They share the rates a minute
    that are given, too, and take turns where they have to wait for either. How many a service bears for a model, the
    rates that its replies name and the pauses that they ask for hold for that model alone.
    """

    def __init__(self, in_flight: int, *, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self.most = in_flight
        self.flying = 0
        self.requests = RateBucket(requests_per_minute) if requests_per_minute else None
        self.tokens = RateBucket(tokens_per_minute) if tokens_per_minute else None
        self._gates: dict[str, ModelLimiter] = {}
        self._line: deque[ModelLimiter] = deque()
        self._alarm = WakeTimer(self.admit)

    def of(self, model: str) -> "ModelLimiter":
        """The gate for requests to a model."""
        return self._gates.get(model) or self._gates.setdefault(model, ModelLimiter(self))

    @property
    def is_open(self) -> bool:
        """Whether one more may start at once, and no gate is in line for it."""
        return not self._line and self._wait_s() == 0.0

    def join(self, gate: "ModelLimiter") -> None:
        """Put a gate at the end of the line."""
        self._line.append(gate)

    def admit(self) -> None:
        """Let the gates in line start as many as there is room for, one each in turn."""
        while self._line:
            wait_s = self._wait_s()
            if wait_s is None:
                return
            if wait_s > 0:
                self._alarm.set(wait_s)
                return
            gate = self._line.popleft()
            if gate.admit_next():
                self._line.append(gate)

    def _wait_s(self) -> float | None:
        return None if self.flying >= self.most else _longest_s(self.requests, self.tokens)


class ModelLimiter:
    """Admits requests to one model, first come first served.

    As many as there are places may be under way from the start, fewer when the service is overloaded (times 0.7, at
    most once a round trip), and step by step more again as replies come in.
    """

    def __init__(self, gates: EndpointLimiter) -> None:
        self.capacity = float(gates.most)
        self.flying = 0
        self._all = gates
        self._step = max(1.0, gates.most / _ROUNDS_TO_RECOVER)
        self._requests: RateBucket | None = None
        self._tokens: RateBucket | None = None
        self._paused_until = 0.0
        self._cut_at = 0.0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._is_in_line = False
        self._alarm = WakeTimer(self._wake)

    async def enter(self, tokens: int) -> None:
        """Wait for a turn, for a request that may use so many tokens; each one ends with ``leave``."""
        if not self._waiting and self._wait_s() == 0.0 and self._all.is_open:
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
        """One is no longer under way, and has left so many of its tokens; below zero, it took so many more."""
        self.flying -= 1
        self._all.flying -= 1
        bucket = self._all.tokens or self._tokens
        if unused and bucket is not None:
            bucket.take(-unused)
        self._wake()

    def went_well(self) -> None:
        """A reply came: a little more may be under way."""
        if self.capacity < self._all.most:
            self.capacity = min(float(self._all.most), self.capacity + self._step / self.capacity)

    def overloaded(self, started: float) -> None:
        """The service could not keep up with a request that was started then."""
        if started >= self._cut_at:
            self.capacity = max(1.0, self.capacity * _CUT)
            self._cut_at = time.monotonic()

    def pause(self, seconds: float) -> None:
        """Start nothing for so long."""
        self._paused_until = max(self._paused_until, time.monotonic() + min(seconds, MOST_WAIT_S))

    def observe(self, headers: Mapping[str, str]) -> None:
        """Take over the limits that a reply names, where none were given."""
        self._requests = self._observed("requests", self._all.requests, self._requests, headers)
        self._tokens = self._observed("tokens", self._all.tokens, self._tokens, headers)

    def admit_next(self) -> bool:
        """Let the first in if nothing of this model holds it; whether another could start as well."""
        if self._is_ready():
            turn, tokens = self._waiting.popleft()
            self._admit(tokens)
            turn.set_result(None)
        self._is_in_line = self._is_ready()
        return self._is_in_line

    def _observed(
        self, what: str, given: RateBucket | None, bucket: RateBucket | None, headers: Mapping[str, str]
    ) -> RateBucket | None:
        if given is not None or not (limit := reset_s(headers.get(f"x-ratelimit-limit-{what}"))):
            return bucket
        if headers.get(f"x-ratelimit-remaining-{what}") == "0":
            self.pause(reset_s(headers.get(f"x-ratelimit-reset-{what}")) or 0.0)
        if bucket is None:
            return RateBucket(limit)
        if bucket.per_minute != limit:
            bucket.set_rate(limit)
        return bucket

    def _wait_s(self) -> float | None:
        """Seconds until this model may be asked once more; None while it waits for another to end."""
        if self.flying >= max(1, int(self.capacity)):
            return None
        paused_s = max(0.0, self._paused_until - time.monotonic()) if self._paused_until else 0.0
        return max(paused_s, _longest_s(self._requests, self._tokens))

    def _is_ready(self) -> bool:
        while self._waiting and self._waiting[0][0].done():
            self._waiting.popleft()
        if not self._waiting:
            return False
        wait_s = self._wait_s()
        if wait_s:
            self._alarm.set(wait_s)
        return wait_s == 0.0

    def _admit(self, tokens: int) -> None:
        self.flying += 1
        self._all.flying += 1
        if (requests := self._all.requests or self._requests) is not None:
            requests.take(1)
        if (bucket := self._all.tokens or self._tokens) is not None:
            bucket.take(tokens)

    def _wake(self) -> None:
        if not self._is_in_line and self._is_ready():
            self._is_in_line = True
            self._all.join(self)
        self._all.admit()


def _longest_s(first: RateBucket | None, second: RateBucket | None) -> float:
    wait_s = 0.0 if first is None else first.wait_s()
    return wait_s if second is None else max(wait_s, second.wait_s())
