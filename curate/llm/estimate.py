"""What asking would cost, told from a sample of the requests without sending any."""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from curate.llm.completion import TokenUsage
from curate.llm.money.prices import Prices, estimate_text_tokens, estimate_tokens_in
from curate.llm.replies import ReplyStore
from curate.llm.request import Request
from curate.llm.transport.embeddings import EmbeddingRequest, embedded_text

_TYPICAL_TOKENS_OUT = 300


class Estimate(NamedTuple):
    """Requests in all and how many of them are stored or under way already; tokens and US dollars are for the rest.

    ``usd`` is None where a model has no price.
    """

    requests: int
    cached: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    under_way: int = 0
    """How many of the ``cached`` are in a batch that has not ended"""
    spare_usd: float = 0.0
    """How much more than it costs is set aside for a request, at most: without that much the last one is not sent"""
    spare_tokens: int = 0


def estimate(
    sample: Sequence[Request],
    total: int,
    prices: Prices,
    answers: ReplyStore | None = None,
    *,
    batch: bool = False,
    under_way: Collection[str] = (),
) -> Estimate:
    """About what ``total`` requests like those of the sample would cost; those with keys ``under_way`` are paid for.

    Where some of the sample are stored already, what they really took corrects the counting of the input. Replies are
    taken to be as long as the newest of the same model, else 300 tokens, and never longer than their limit. Repairs of
    unusable answers come on top.
    """
    if not sample or total <= 0:
        return Estimate(max(total, 0), 0, 0, 0, 0.0)
    counted, used, cached, sent = 0, 0, 0, 0
    rest: list[tuple[Request, int]] = []
    for request in sample:
        tokens = estimate_tokens_in(request, prices.of(request.model))
        answer = answers.find(request.key) if answers is not None else None
        if answer is None and request.key not in under_way:
            rest.append((request, tokens))
            continue
        cached += 1
        if answer is None:
            sent += 1
        elif not answer.estimated and answer.tokens_in:
            counted, used = counted + tokens, used + answer.tokens_in
    share = used / counted if counted else 1.0
    usual = {
        model: answers.mean_tokens_out(model) if answers is not None else None for model in {r.model for r in sample}
    }
    all_in = all_out = 0.0
    usd: float | None = 0.0
    spare_usd = spare_tokens = 0.0
    for request, tokens in rest:
        replies = min(usual[request.model] or _TYPICAL_TOKENS_OUT, request.max_tokens_out or math.inf)
        most = TokenUsage(tokens, request.max_tokens_out or round(replies))
        price = prices.of(request.model)
        all_in += tokens * share
        all_out += replies
        one = None if price is None else price.usd(TokenUsage(round(tokens * share), round(replies)), batch=batch)
        usd = None if usd is None or one is None else usd + one
        spare_tokens = max(spare_tokens, most.tokens_in + most.tokens_out - tokens * share - replies)
        if price is not None and one is not None:
            spare_usd = max(spare_usd, price.usd(most, batch=batch) - one)
    scale = total / len(sample)
    return Estimate(
        total,
        round(cached * scale),
        round(all_in * scale),
        round(all_out * scale),
        None if usd is None else usd * scale,
        round(sent * scale),
        spare_usd,
        round(spare_tokens),
    )


def estimate_embeddings(
    model: str,
    pool: Sequence[str],
    sample: Sequence[str],
    total: int,
    prices: Prices,
    answers: ReplyStore | None = None,
) -> Estimate:
    """About what it costs to embed a pool and ``total`` texts like those of the sample; ``requests`` counts texts."""
    price = prices.of(model)
    requests = cached = tokens = 0.0
    for texts, scale in ((pool, 1.0), (sample, total / max(1, len(sample)))):
        asked = EmbeddingRequest(model, tuple(cut for text in texts if (cut := embedded_text(text))))
        known = [answers is not None and answers.find(key) is not None for key in asked.keys]
        rest = [text for text, is_known in zip(asked.texts, known, strict=True) if not is_known]
        requests += len(known) * scale
        cached += sum(known) * scale
        tokens += estimate_text_tokens(rest) * scale
    usd = None if price is None else price.usd(TokenUsage(round(tokens), 0))
    return Estimate(round(requests), round(cached), round(tokens), 0, usd)
