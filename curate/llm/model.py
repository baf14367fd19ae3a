"""What a labeller was asked, and what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spent:
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

    def __add__(self, more: "Spent") -> "Spent":
        return Spent(
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
