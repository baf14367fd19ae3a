"""What a line of a batch's output comes to: a stored reply with its cost, or a failure."""

from collections.abc import Callable
from typing import NamedTuple

from curate.llm.completion import Completion, TokenUsage, read_completion
from curate.llm.money.budget import BudgetAccount
from curate.llm.money.prices import Prices
from curate.llm.replies import BatchRecord, BudgetEntry, StoredReply, now, put_reply
from curate.llm.transport.batch.lines import BatchLine
from curate.llm.transport.faults import Failure, classify_status, judge_unreadable
from curate.llm.transport.protocol import FetchResult
from curate.storage.sqlite import Statement


class LineResult(NamedTuple):
    """The result for the caller, and the statements that store it."""

    result: FetchResult | Failure
    statements: list[Statement]


class LineReader:
    """Turns lines of replies into results, and settles their reservations."""

    def __init__(self, prices: Prices, budget: BudgetAccount, mask: Callable[[str], str]) -> None:
        self._prices, self._budget, self._mask = prices, budget, mask

    def read(self, batch: BatchRecord, line: BatchLine, content_key: str, entry: BudgetEntry | None) -> LineResult:
        """Return what a line comes to; ``entry`` is what is reserved for its request."""
        content = self._parse(line)
        if isinstance(content, Failure) and content.action != "filtered":
            return LineResult(content, [] if entry is None else [self._close(batch, content, entry)])
        completion = content if isinstance(content, Completion) else None
        usage = TokenUsage(0, 0) if completion is None else completion.usage
        if usage is None:
            text = completion.text if completion else ""
            usage = TokenUsage(entry.tokens_in if entry else 0, max(1, len(text.encode("utf-8", "replace")) // 3))
        price = self._prices.of(batch.model)
        usd = None if price is None else price.usd(usage, batch=True)
        reply = StoredReply(
            key=line.key,
            content_key=content_key,
            endpoint=batch.endpoint,
            model=batch.model,
            answered_by=completion.model if completion else None,
            request_id=line.request_id,
            created_at=now(),
            status=line.status,
            fault=content.detail if isinstance(content, Failure) else None,
            reply=line.body.decode("utf-8", "replace"),
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            tokens_cached=usage.cached,
            estimated=completion is not None and completion.usage is None,
            usd=usd,
            batch=batch.id,
        )
        statements: list[Statement] = [put_reply(reply)]
        if entry is not None:
            settled = self._budget.settle(entry, usd=usd, tokens_in=usage.tokens_in, tokens_out=usage.tokens_out)
            statements.append(settled)
        return LineResult(FetchResult(reply, paid_usd=usd or 0.0, completion=completion), statements)

    def _close(self, batch: BatchRecord, failure: Failure, entry: BudgetEntry) -> Statement:
        if not failure.charged:
            return self._budget.release(entry)
        if (used := failure.usage) is None:
            return self._budget.write_off(entry)
        price = self._prices.of(batch.model)
        usd = None if price is None else price.usd(used, batch=True)
        return self._budget.settle(entry, usd=usd, tokens_in=used.tokens_in, tokens_out=used.tokens_out)

    def _parse(self, line: BatchLine) -> Completion | Failure:
        if line.unsent is not None:
            return Failure("retry", self._mask(line.unsent))
        if line.status != 200:
            return classify_status(line.status, {}, line.body, self._mask)
        try:
            return read_completion(line.body)
        except ValueError as error:
            return judge_unreadable({}, line.body, error, self._mask)
