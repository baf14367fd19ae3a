"""The running count of what one labeller asks."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

_RATE_OVER_S = 10.0


@dataclass(frozen=True)
class UsageTotals:
    """What one labeller has been asked so far, and what it cost in US dollars (None where no price is known)."""

    requests: int = 0
    """Sent and answered, without those that the cache answered."""
    from_cache: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float | None = 0.0
    lost_usd: float = 0.0
    """The part of ``usd`` for requests without a reply, which may not be charged"""
    per_s: float = 0.0
    """Requests answered a second over the last few seconds"""
    outcomes: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, more: "UsageTotals") -> "UsageTotals":
        return UsageTotals(
            requests=self.requests + more.requests,
            from_cache=self.from_cache + more.from_cache,
            retries=self.retries + more.retries,
            tokens_in=self.tokens_in + more.tokens_in,
            tokens_out=self.tokens_out + more.tokens_out,
            usd=None if self.usd is None or more.usd is None else self.usd + more.usd,
            lost_usd=self.lost_usd + more.lost_usd,
            per_s=self.per_s + more.per_s,
            outcomes={
                name: self.outcomes.get(name, 0) + more.outcomes.get(name, 0)
                for name in {**self.outcomes, **more.outcomes}
            },
        )


class UsageCounter:
    """Counts to be raised as things happen; ``totals`` gives them as they stand."""

    def __init__(self) -> None:
        self.requests = self.from_cache = self.retries = 0
        self.tokens_in = self.tokens_out = 0
        self.usd: float = 0.0
        self.lost_usd: float = 0.0
        self.unpriced = False
        self.outcomes: Counter[str] = Counter()
        self._started = time.monotonic()
        self._times: deque[float] = deque()

    def answered(self, tokens_in: int, tokens_out: int, usd: float | None) -> None:
        """A request was answered."""
        self.requests += 1
        now = time.monotonic()
        self._times.append(now)
        self._forget(now)
        self.paid(tokens_in, tokens_out, usd)

    def paid(self, tokens_in: int, tokens_out: int, usd: float | None) -> None:
        """Something was paid for, or may have been."""
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.usd += usd or 0.0
        self.unpriced |= usd is None

    def lost(self, tokens_in: int, tokens_out: int, usd: float | None) -> None:
        """A request without a reply may have been charged."""
        self.paid(tokens_in, tokens_out, usd)
        self.lost_usd += usd or 0.0

    def totals(self) -> UsageTotals:
        """The counts as they stand."""
        now = time.monotonic()
        self._forget(now)
        return UsageTotals(
            requests=self.requests,
            from_cache=self.from_cache,
            retries=self.retries,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            usd=None if self.unpriced else self.usd,
            lost_usd=self.lost_usd,
            per_s=len(self._times) / min(_RATE_OVER_S, max(now - self._started, 0.1)),
            outcomes=dict(self.outcomes),
        )

    def _forget(self, now: float) -> None:
        while self._times and self._times[0] < now - _RATE_OVER_S:
            self._times.popleft()
