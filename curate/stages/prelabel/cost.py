"""The cost of asking models, in the words of ``curate plan``."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from curate.corpus.view import Corpus
from curate.errors import InvalidInput, MissingDependency
from curate.llm.dry_run import DryRun, PlannedRequest
from curate.llm.estimate import Estimate, estimate, estimate_embeddings
from curate.llm.money.prices import load_prices
from curate.llm.replies import AccountTotal, ReplyStore
from curate.llm.settings import BudgetSettings
from curate.llm.stream import stream
from curate.llm.transport.client import Endpoint
from curate.stages.contract import Tools
from curate.stages.prelabel.account import budget_account
from curate.stages.prelabel.proposer import Proposer
from curate.stages.prelabel.settings import PrelabelSettings

_WINDOW = 200


def describe_cost(
    settings: PrelabelSettings, sample: Sequence[dict[str, Any]], total: int, corpus: Corpus, tools: Tools
) -> str:
    """Return requests, tokens and dollars for ``total`` items, scaled up from a sample, and what the budget allows.

    Sends nothing.
    """
    proposer = Proposer(settings, corpus, tools)
    scale = total / len(sample)
    with _open_replies(tools) as replies:
        dry_run = DryRun(replies)
        deque(stream(iter(sample), partial(proposer.plan_requests, dry_run), window=_WINDOW), maxlen=0)
        replayed = [planned for planned in dry_run.requests if planned.labeller in settings.replayed]
        is_estimated = any(map(proposer.is_estimated, sample))
        replay_phrase = _describe_replay(replayed, scale, is_estimated=is_estimated) if replayed else ""
        if not settings.paid_models:
            return replay_phrase
        requests = [planned for planned in dry_run.requests if planned.labeller not in settings.replayed]
        prices = load_prices(tools.folder)
        is_batch = settings.mode == "batch"
        cost = estimate(
            [planned.request for planned in requests],
            round(len(requests) * scale),
            prices,
            replies,
            batch=is_batch,
            under_way=_keys_in_batches(replies) if is_batch else frozenset(),
        )
        reviewers = {settings.review.labeller_name} if settings.review else set()
        kinds = {"reviews": reviewers, "for clues": {clue.labeller_name for clue in settings.clues}}
        counts = {
            kind: round(sum(planned.labeller in names for planned in requests) * scale) for kind, names in kinds.items()
        }
        phrases = [_describe_requests(cost, counts), replay_phrase]
        costs = [cost]
        if proposer.examples is not None and settings.examples and settings.examples.embedding_model:
            pool, texts = proposer.examples.texts_to_embed(sample)
            costs.append(estimate_embeddings(settings.examples.embedding_model, pool, texts, total, prices, replies))
            phrases.append(_describe_embeddings(costs[-1]))
        spent = replies.total(budget_account(settings, tools, replies))
        phrases.append(_describe_budget(settings.budget, costs, spent))
    return "; ".join(filter(None, phrases))


@contextmanager
def _open_replies(tools: Tools) -> Iterator[ReplyStore]:
    """Yield the stored replies, or an empty store if the workspace has none."""
    with (
        TemporaryDirectory(prefix="curate-plan-") as empty,
        ReplyStore(tools.answers or Path(empty, "none")) as replies,
    ):
        yield replies


def _keys_in_batches(replies: ReplyStore) -> frozenset[str]:
    """Return the keys of requests in open batches at the endpoint; empty without a usable endpoint."""
    try:
        url = Endpoint().url
    except (MissingDependency, InvalidInput):
        return frozenset()
    submitted = (batch.id for batch in replies.open_batches(url) if batch.remote_id is not None)
    return frozenset(key for batch in submitted for key in replies.batch_keys(batch))


def _describe_requests(cost: Estimate, kinds: Mapping[str, int]) -> str:
    """Return ``about 18 requests, 6 of them reviews (5 answered before), 12,000 tokens in, 5,400 out, 0.42 USD``."""
    of_which = "".join(f", {count:,} of them {kind}" for kind, count in kinds.items() if count)
    counts = [(cost.cached - cost.under_way, "answered before"), (cost.under_way, "under way in batches")]
    answered = ", ".join(f"{count:,} {words}" for count, words in counts if count)
    in_parentheses = f" ({answered})" if answered else ""
    return (
        f"about {cost.requests:,} requests{of_which}{in_parentheses}, {cost.tokens_in:,} tokens in, "
        f"{cost.tokens_out:,} out, {_dollars(cost)}"
    )


def _describe_replay(requests: Sequence[PlannedRequest], scale: float, *, is_estimated: bool) -> str:
    """Return ``about 18 replies to replay, 12 of them stored: the other 6 will be errors``."""
    replies = round(len(requests) * scale)
    missing = round(sum(planned.outcome == "error" for planned in requests) * scale)
    phrase = f"about {replies:,} replies to replay"
    if not missing:
        return f"{phrase}, all stored"
    if is_estimated:
        return f"{phrase}: the run shows how many are stored, once pictures, sounds and examples are chosen"
    if missing == replies:
        return f"{phrase}, none stored: all will be errors"
    return f"{phrase}, {replies - missing:,} of them stored: the other {missing:,} will be errors"


def _describe_embeddings(cost: Estimate) -> str:
    """Return ``about 40 texts to embed (20 embedded before), 300 tokens, 0.00 USD``, or nothing for no texts."""
    stored = f" ({cost.cached:,} embedded before)" if cost.cached else ""
    phrase = f"about {cost.requests:,} texts to embed{stored}, {cost.tokens_in:,} tokens, {_dollars(cost)}"
    return phrase if cost.requests else ""


def _describe_budget(budget: BudgetSettings, costs: Sequence[Estimate], spent: AccountTotal) -> str:
    """Return ``the budget has 0.0032 of 0.03 USD left: the run will stop early``, or nothing without a budget."""
    tokens = sum(cost.tokens_in + cost.tokens_out + cost.spare_tokens for cost in costs)
    usd = sum((cost.usd or 0.0) + cost.spare_usd for cost in costs)
    remaining: list[str] = []
    is_short = False
    if budget.usd is not None:
        remaining.append(f"{max(0.0, budget.usd - spent.usd):.4f} of {budget.usd:g} USD")
        is_short |= spent.usd + usd > budget.usd
    if budget.tokens is not None:
        remaining.append(f"{max(0, budget.tokens - spent.tokens):,} of {budget.tokens:,} tokens")
        is_short |= spent.tokens + tokens > budget.tokens
    if not remaining:
        return ""
    verdict = ": the run will stop early" if is_short else ", which is enough"
    return f"the budget has {' and '.join(remaining)} left{verdict}"


def _dollars(cost: Estimate) -> str:
    if cost.usd is None:
        return "price unknown"
    return f"{cost.usd:.4f} USD" if 0.00005 <= cost.usd < 0.1 else f"{cost.usd:,.2f} USD"
