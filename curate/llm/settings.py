"""Settings of requests to models: what a recipe may set, and what the stage adds."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class BudgetSettings(BaseModel):
    """The most that a stage may spend over all runs in a workspace; None for no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: Annotated[float, Field(gt=0)] | None = None
    """Dollars, by the price table."""
    tokens: Annotated[int, Field(gt=0)] | None = None
    """Tokens sent and received."""


class RequestSettings(BaseModel):
    """Limits on requests and spending. None of them changes what a model replies.

    A stage inherits these as settings of its own, so that a new one is added here and nowhere else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    budget: BudgetSettings = BudgetSettings()
    """The most that may be spent on requests, over all runs."""
    in_flight: Annotated[int, Field(ge=1, le=2_000)] = 64
    """Concurrent requests to chat models; as many again for embeddings"""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """For chat models and for embeddings each; by default, what the service reports for each model"""
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None
    """For chat models and for embeddings each; by default, what the service reports for each model"""
    request_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    """A request without a reply after this time has failed."""
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    """The stage ends after this time and keeps what is done"""
    tries: Annotated[int, Field(ge=1, le=20)] = 5
    """How often a request is sent before it counts as failed."""


class EngineSettings(RequestSettings):
    """Everything that an engine needs besides the store of replies and the blobs."""

    mode: Literal["online", "batch", "replay"] = "online"
    account: str = "prelabel"
    """The budget account to spend from; every run that names it shares it"""
    prices: Path | None = None
    """The folder whose ``prices.yaml`` replaces the shipped one"""
    base_url: str | None = None
    """None reads ``OPENAI_BASE_URL``"""
    replayed: frozenset[str] = frozenset()
    """Labellers that are answered from stored replies only, in every mode"""
    backoff_s: float = 0.5
    """Upper bound of the first wait after a failure; it doubles with every further failure"""
    breaker: int = 10
    """This many requests in a row that fail for good end the stage"""
    batch_idle_s: float = 1.0
    """A batch is sent once no request has arrived for this long"""
    batch_poll_s: float = 30.0
    grace_s: float = 10.0
    """How long closing waits for requests in flight, whose replies are paid for"""
    tokens_out: int = 4096
    """Reserved for the reply to a request that sets no limit itself"""
