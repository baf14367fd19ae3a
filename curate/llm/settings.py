"""How models are asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


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
