"""What asking models will cost, in the words of a plan."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from curate.corpus.view import Corpus
from curate.errors import InvalidInput, MissingDependency
from curate.llm.dry_run import DryRun, PlannedRequest
from curate.llm.estimate import Estimate, estimate, estimate_embeddings
from curate.llm.money.prices import load_prices
from curate.llm.replies import ReplyStore
from curate.llm.settings import EngineSettings
from curate.llm.stream import stream
from curate.llm.transport.client import Endpoint
from curate.stages.contract import Tools
from curate.stages.prelabel.chat import Chat
from curate.stages.prelabel.settings import REPLAY, BudgetSettings, LabellerSettings

if TYPE_CHECKING:
    from curate.stages.prelabel.stage import Prelabel

_AT_ONCE = 200


def tell_cost(
    stage: "Prelabel",
    labellers: Sequence[LabellerSettings],
    sample: Sequence[dict[str, Any]],
    total: int,
    corpus: Corpus,
    tools: Tools,
) -> str:
    """Requests, tokens and dollars, and whether the budget holds them, told from a sample of ``total`` items.

    ``labellers`` are those that do not answer by themselves. Nobody is asked.
    """
    chat = Chat(stage, corpus, tools)
    share = total / len(sample)
    with _stored(tools) as answers:
        dry_run = DryRun(answers)
        deque(stream(iter(sample), partial(chat.rehearse, dry_run), window=_AT_ONCE), maxlen=0)
        by_replay = {one.label for one in labellers if one.model == REPLAY}
        replayed = [planned for planned in dry_run.requests if planned.labeller in by_replay]
        asked = [planned for planned in dry_run.requests if planned.labeller not in by_replay]
        is_guessed = any(map(chat.is_guessed, sample))
        told = [_replayed(replayed, share, is_guessed=is_guessed)] if replayed else []
        if len(by_replay) == len(labellers):
            return "".join(told)
        prices = load_prices(tools.folder)
        requests = [planned.request for planned in asked]
        is_batch = stage.mode == "batch"
        sent = _under_way(answers) if is_batch else frozenset()
        cost = estimate(requests, round(len(asked) * share), prices, answers, batch=is_batch, under_way=sent)
        reviews = sum(stage.review is not None and planned.labeller == stage.review.label for planned in asked)
        told.insert(0, _requested(cost, reviews=round(reviews * share)))
        costs = [cost]
        if chat.examples is not None and stage.examples is not None and stage.examples.embeds is not None:
            pool, texts = chat.examples.texts(sample)
            costs.append(estimate_embeddings(stage.examples.embeds, pool, texts, total, prices, answers))
            told.append(_embedded(costs[-1]))
        told.append(_left(stage.budget, costs, answers))
    return "; ".join(filter(None, told))


@contextmanager
def _stored(tools: Tools) -> Iterator[ReplyStore]:
    """What models replied so far; nothing where none was asked yet."""
    with (
        TemporaryDirectory(prefix="curate-plan-") as empty,
        ReplyStore(tools.answers or Path(empty, "none")) as answers,
    ):
        yield answers


def _under_way(answers: ReplyStore) -> frozenset[str]:
    """The requests in batches that have not ended at the address, by key; none where it cannot be asked either."""
    try:
        url = Endpoint().url
    except (MissingDependency, InvalidInput):
        return frozenset()
    submitted = (batch.id for batch in answers.open_batches(url) if batch.remote_id is not None)
    return frozenset(key for batch in submitted for key in answers.batch_keys(batch))


def _requested(cost: Estimate, *, reviews: int) -> str:
    """``about 18 requests, 6 of them reviews (5 answered before), 12,000 tokens in, 5,400 out, 0.42 USD``."""
    among = f", {reviews:,} of them reviews" if reviews else ""
    before = [(cost.cached - cost.under_way, "answered before"), (cost.under_way, "under way in batches")]
    parts = [f"{count:,} {words}" for count, words in before if count]
    known = f" ({', '.join(parts)})" if parts else ""
    return (
        f"about {cost.requests:,} requests{among}{known}, {cost.tokens_in:,} tokens in, {cost.tokens_out:,} out, "
        f"{_dollars(cost)}"
    )


def _replayed(heard: Sequence[PlannedRequest], share: float, *, is_guessed: bool) -> str:
    """``about 18 replies to replay, 12 of them stored: the other 6 will be errors``."""
    replies, missing = round(len(heard) * share), round(sum(each.outcome == "error" for each in heard) * share)
    told = f"about {replies:,} replies to replay"
    if not missing:
        return f"{told}, all stored"
    if is_guessed:
        return f"{told}: which are stored shows in the run, where pictures, sounds and examples are chosen"
    if missing == replies:
        return f"{told}, none stored: all will be errors"
    return f"{told}, {replies - missing:,} of them stored: the other {missing:,} will be errors"


def _embedded(cost: Estimate) -> str:
    """``about 40 texts to embed (20 embedded before), 300 tokens, 0.00 USD``; empty where there are none."""
    known = f" ({cost.cached:,} embedded before)" if cost.cached else ""
    told = f"about {cost.requests:,} texts to embed{known}, {cost.tokens_in:,} tokens, {_dollars(cost)}"
    return told if cost.requests else ""


def _left(budget: BudgetSettings, costs: Sequence[Estimate], answers: ReplyStore) -> str:
    """``the budget has 0.0032 of 0.03 USD left: the run will stop early``; empty where nothing is limited."""
    used = answers.total(EngineSettings.pot)
    tokens = sum(cost.tokens_in + cost.tokens_out + cost.spare_tokens for cost in costs)
    usd = sum((cost.usd or 0.0) + cost.spare_usd for cost in costs)
    left: list[str] = []
    short = False
    if budget.usd is not None:
        left.append(f"{max(0.0, budget.usd - used.usd):.4f} of {budget.usd:g} USD")
        short |= used.usd + usd > budget.usd
    if budget.tokens is not None:
        left.append(f"{max(0, budget.tokens - used.tokens):,} of {budget.tokens:,} tokens")
        short |= used.tokens + tokens > budget.tokens
    if not left:
        return ""
    return f"the budget has {' and '.join(left)} left{': the run will stop early' if short else ', which is enough'}"


def _dollars(cost: Estimate) -> str:
    if cost.usd is None:
        return "price unknown"
    return f"{cost.usd:.4f} USD" if 0.00005 <= cost.usd < 0.1 else f"{cost.usd:,.2f} USD"
