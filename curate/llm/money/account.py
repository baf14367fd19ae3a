"""Counts of what each labeller has requested, used and paid."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

_RATE_OVER_S = 10.0


@dataclass(frozen=True)
class UsageTotals:
    """What one labeller has requested so far, and its cost in US dollars (None if no price is known)."""

    requests: int = 0
    """Sent and answered, without those answered from the cache"""
    from_cache: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float | None = 0.0
    lost_usd: float = 0.0
    """The part of ``usd`` for requests without a reply, which may not be charged"""
    per_s: float = 0.0
    """Requests answered per second over the last few seconds"""
    outcomes: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "UsageTotals") -> "UsageTotals":
        return UsageTotals(
            requests=self.requests + other.requests,
            from_cache=self.from_cache + other.from_cache,
            retries=self.retries + other.retries,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            usd=None if self.usd is None or other.usd is None else self.usd + other.usd,
            lost_usd=self.lost_usd + other.lost_usd,
            per_s=self.per_s + other.per_s,
            outcomes={
                name: self.outcomes.get(name, 0) + other.outcomes.get(name, 0)
                for name in {**self.outcomes, **other.outcomes}
            },
        )


class UsageCounter:
    """Counts that are raised as things happen; ``totals`` takes a snapshot."""

    def __init__(self) -> None:
        self.from_cache = self.retries = 0
        self.outcomes: Counter[str] = Counter()
        self._requests = self._tokens_in = self._tokens_out = 0
        self._usd = self._lost_usd = 0.0
        self._is_unpriced = False
        self._started = time.monotonic()
        self._replied_at: deque[float] = deque()

    def add_reply(self, tokens_in: int, tokens_out: int, usd: float | None) -> None:
        """Count a request that was answered."""
        self._requests += 1
        now = time.monotonic()
        self._replied_at.append(now)
        self._forget_before(now - _RATE_OVER_S)
        self._add_cost(tokens_in, tokens_out, usd)

    def add_lost(self, tokens_in: int, tokens_out: int, usd: float | None) -> None:
        """Count a request without a reply, which may have been charged."""
        self._add_cost(tokens_in, tokens_out, usd)
        self._lost_usd += usd or 0.0

    def totals(self) -> UsageTotals:
        """Return the present counts."""
        now = time.monotonic()
        self._forget_before(now - _RATE_OVER_S)
        return UsageTotals(
            requests=self._requests,
            from_cache=self.from_cache,
            retries=self.retries,
            tokens_in=self._tokens_in,
            tokens_out=self._tokens_out,
            usd=None if self._is_unpriced else self._usd,
            lost_usd=self._lost_usd,
            per_s=len(self._replied_at) / min(_RATE_OVER_S, max(now - self._started, 0.1)),
            outcomes=dict(self.outcomes),
        )

    def _add_cost(self, tokens_in: int, tokens_out: int, usd: float | None) -> None:
        self._tokens_in += tokens_in
        self._tokens_out += tokens_out
        self._usd += usd or 0.0
        self._is_unpriced |= usd is None

    def _forget_before(self, start: float) -> None:
        while self._replied_at and self._replied_at[0] < start:
            self._replied_at.popleft()
