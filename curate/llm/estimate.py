"""The cost of requests, estimated from a sample without sending any."""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from curate.llm.completion import TokenUsage
from curate.llm.money.prices import Prices, estimate_text_tokens, estimate_tokens_in
from curate.llm.reasoning import typical_thinking
from curate.llm.replies import ReplyStore, StoredReply
from curate.llm.request import Request
from curate.llm.transport.embeddings import EmbeddingRequest, embedded_text

_TYPICAL_TOKENS_OUT = 300


class Estimate(NamedTuple):
    """All requests, and those already stored or in progress; tokens and US dollars are for the remaining ones.

    ``usd`` is None if a model has no price.
    """

    requests: int
    cached: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    under_way: int = 0
    """Those of ``cached`` that are in an unfinished batch"""
    spare_usd: float = 0.0
    """Largest gap between a reservation and its expected cost; the budget must cover it for the last request"""
    spare_tokens: int = 0


class _RequestCost(NamedTuple):
    """The expected cost of one request, and how much more is reserved for it."""

    tokens_in: float
    tokens_out: float
    usd: float | None
    spare_tokens: float
    spare_usd: float


def estimate(
    sample: Sequence[Request],
    total: int,
    prices: Prices,
    store: ReplyStore | None = None,
    *,
    batch: bool = False,
    under_way: Collection[str] = (),
) -> Estimate:
    """Return about what ``total`` requests like those of the sample cost; keys in ``under_way`` are paid for.

    The usage of stored replies corrects the token count of the input. Replies are expected to be as long as the newest
    of the same model, else 300 tokens and what thinking takes, and never longer than their limit. Corrections of
    unusable replies are extra.
    """
    if not sample or total <= 0:
        return Estimate(max(total, 0), 0, 0, 0, 0.0)
    stored = {} if store is None else store.find_many([request.key for request in sample])
    waiting = [request for request in sample if request.key not in stored and request.key in under_way]
    remaining = [request for request in sample if request.key not in stored and request.key not in under_way]
    correction = _input_correction(sample, stored, prices)
    means = {
        model: store.mean_tokens_out(model) if store else None for model in {request.model for request in remaining}
    }
    costs = [
        _cost_of(request, prices, correction, means[request.model] or _typical_out(request), batch=batch)
        for request in remaining
    ]
    scale = total / len(sample)
    dollars = [cost.usd for cost in costs if cost.usd is not None]
    return Estimate(
        total,
        round((len(sample) - len(remaining)) * scale),
        round(sum(cost.tokens_in for cost in costs) * scale),
        round(sum(cost.tokens_out for cost in costs) * scale),
        sum(dollars) * scale if len(dollars) == len(costs) else None,
        round(len(waiting) * scale),
        max((cost.spare_usd for cost in costs), default=0.0),
        round(max((cost.spare_tokens for cost in costs), default=0.0)),
    )


def _typical_out(request: Request) -> int:
    return _TYPICAL_TOKENS_OUT + typical_thinking(request.thinking_tokens)


def _input_correction(sample: Sequence[Request], stored: dict[str, StoredReply], prices: Prices) -> float:
    """Return the ratio of reported to counted input tokens over the stored replies; 1 without any."""
    counted = reported = 0
    for request in sample:
        reply = stored.get(request.key)
        if reply is not None and not reply.estimated and reply.tokens_in:
            counted += estimate_tokens_in(request, prices.of(request.model))
            reported += reply.tokens_in
    return reported / counted if counted else 1.0


def _cost_of(request: Request, prices: Prices, correction: float, mean_out: float, *, batch: bool) -> _RequestCost:
    price = prices.of(request.model)
    counted_in = estimate_tokens_in(request, price)
    tokens_in = counted_in * correction
    tokens_out = min(mean_out, request.max_tokens_out or math.inf)
    reserved = TokenUsage(counted_in, request.max_tokens_out or round(tokens_out))
    usd = None if price is None else price.usd(TokenUsage(round(tokens_in), round(tokens_out)), batch=batch)
    return _RequestCost(
        tokens_in,
        tokens_out,
        usd,
        spare_tokens=max(0.0, reserved.tokens_in + reserved.tokens_out - tokens_in - tokens_out),
        spare_usd=0.0 if price is None or usd is None else max(0.0, price.usd(reserved, batch=batch) - usd),
    )


def estimate_embeddings(
    model: str, pool: Sequence[str], sample: Sequence[str], total: int, prices: Prices, store: ReplyStore | None = None
) -> Estimate:
    """Return about what embedding a pool and ``total`` texts like the sample costs; ``requests`` counts texts."""
    price = prices.of(model)
    requests = cached = tokens = 0.0
    for texts, scale in ((pool, 1.0), (sample, total / max(1, len(sample)))):
        request = EmbeddingRequest(model, tuple(cut for text in texts if (cut := embedded_text(text))))
        stored = {} if store is None else store.find_many(request.keys)
        remaining = [text for key, text in zip(request.keys, request.texts, strict=True) if key not in stored]
        requests += len(request.texts) * scale
        cached += (len(request.texts) - len(remaining)) * scale
        tokens += estimate_text_tokens(remaining) * scale
    usd = None if price is None else price.usd(TokenUsage(round(tokens), 0))
    return Estimate(round(requests), round(cached), round(tokens), 0, usd)
