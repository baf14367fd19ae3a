"""How many requests may be under way, and when the next one may start."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from curate.llm.faults import MOST_WAIT_S, reset_s

_CUT = 0.7
_ROUNDS_TO_RECOVER = 16
_BURST_S = 0.1


class Bucket:
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


class Gate:
    """Admits requests, first come first served.

    At most ``in_flight`` are under way: all of them from the start, fewer when the service is overloaded (times 0.7, at
    most once a round trip), and step by step more again as replies come in. Rates a minute are those given, else those
    that the service's headers name.
    """

    def __init__(self, in_flight: int, *, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self.most = in_flight
        self.capacity = float(in_flight)
        self.flying = 0
        self._step = max(1.0, in_flight / _ROUNDS_TO_RECOVER)
        self._given = (requests_per_minute is not None, tokens_per_minute is not None)
        self._requests = Bucket(requests_per_minute) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute) if tokens_per_minute else None
        self._paused_until = 0.0
        self._cut_at = 0.0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, tokens: int) -> None:
        """Wait for a turn; each one ends with ``leave``."""
        if not self._waiting and self._wait_s() == 0.0:
            self._admit(tokens)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, tokens))
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            else:
                with suppress(ValueError):
                    self._waiting.remove((turn, tokens))
            raise

    def leave(self) -> None:
        """One is no longer under way."""
        self.flying -= 1
        self._wake()

    def used(self, reserved: int, tokens: int) -> None:
        """Correct what was taken for a request by what it really used."""
        if self._tokens is not None:
            self._tokens.take(tokens - reserved)
            self._wake()

    def went_well(self) -> None:
        """A reply came: a little more may be under way."""
        if self.capacity < self.most:
            self.capacity = min(float(self.most), self.capacity + self._step / self.capacity)

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
        for at, what in enumerate(("requests", "tokens")):
            limit = reset_s(headers.get(f"x-ratelimit-limit-{what}"))
            if self._given[at] or not limit:
                continue
            bucket = self._tokens if at else self._requests
            if bucket is None:
                bucket = Bucket(limit)
                if at:
                    self._tokens = bucket
                else:
                    self._requests = bucket
            elif bucket.per_minute != limit:
                bucket.set_rate(limit)
            if headers.get(f"x-ratelimit-remaining-{what}") == "0":
                self.pause(reset_s(headers.get(f"x-ratelimit-reset-{what}")) or 0.0)

    def _wait_s(self) -> float | None:
        """Seconds until one more may start; None while it waits for another to end."""
        if self.flying >= max(1, int(self.capacity)):
            return None
        wait_s = max(0.0, self._paused_until - time.monotonic()) if self._paused_until else 0.0
        if self._requests is not None:
            wait_s = max(wait_s, self._requests.wait_s())
        if self._tokens is not None:
            wait_s = max(wait_s, self._tokens.wait_s())
        return wait_s

    def _admit(self, tokens: int) -> None:
        self.flying += 1
        if self._requests is not None:
            self._requests.take(1)
        if self._tokens is not None:
            self._tokens.take(tokens)

    def _wake(self) -> None:
        while self._waiting:
            turn, tokens = self._waiting[0]
            if turn.done():
                self._waiting.popleft()
                continue
            wait_s = self._wait_s()
            if wait_s is None:
                return
            if wait_s > 0:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(wait_s, self._ring)
                return
            self._waiting.popleft()
            self._admit(tokens)
            turn.set_result(None)

    def _ring(self) -> None:
        self._timer = None
        self._wake()
