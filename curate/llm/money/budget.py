"""A pot of money and tokens that no run can overdraw: reserved before sending, settled by what was used."""

import asyncio
import itertools
import secrets

from curate.errors import Interrupted
from curate.llm.replies import BudgetEntry, ReplyStore, delete_entry, now, put_entry
from curate.storage.sqlite import Statement


class BudgetAccount:
    """The account of one pot, kept in ``answers``; what earlier runs paid, or may have to, counts too.

    ``usd`` and ``tokens`` are the most that the pot may ever cost, None for no limit.
    """

    def __init__(self, answers: ReplyStore, *, pot: str, run: str, usd: float | None, tokens: int | None) -> None:
        self._answers = answers
        self._pot, self._run = pot, run
        self._most_usd, self._most_tokens = usd, tokens
        answers.write_off_reservations(pot)
        paid = answers.total(pot)
        self._usd, self._tokens = paid.usd, paid.tokens
        self._open: dict[str, BudgetEntry] = {}
        self._open_usd, self._open_tokens = 0.0, 0
        self._changed: asyncio.Event | None = None
        self._names = itertools.count()
        self._prefix = secrets.token_hex(8)

    @property
    def limited(self) -> bool:
        """Whether anything is limited."""
        return self._most_usd is not None or self._most_tokens is not None

    @property
    def spent_usd(self) -> float:
        """What the pot has cost so far, in all runs, without what is only reserved."""
        return self._usd

    @property
    def spent_tokens(self) -> int:
        """The tokens that the pot has used so far, in all runs, without what is only reserved."""
        return self._tokens

    async def reserve(
        self, labeller: str, key: str, *, usd: float | None, tokens_in: int, tokens_out: int
    ) -> BudgetEntry:
        """Set aside the most that a request may cost, on the disk before it returns.

        While requests under way hold what is missing, it waits for them. Raises ``Interrupted`` where the pot cannot
        hold it.
        """
        while (spend := self.hold(labeller, key, usd=usd, tokens_in=tokens_in, tokens_out=tokens_out)) is None:
            if not self.is_waiting:
                raise self.refusal()
            self._changed = self._changed or asyncio.Event()
            self._changed.clear()
            await self._changed.wait()
        if self.limited:
            try:
                await self._answers.commit([put_entry(spend)])
            except BaseException:
                self._answers.hand_in([self.free(spend)])
                raise
        else:
            self._answers.hand_in([put_entry(spend)])
        return spend

    def hold(
        self, labeller: str, key: str, *, usd: float | None, tokens_in: int, tokens_out: int, batch: str | None = None
    ) -> BudgetEntry | None:
        """Set aside the most that a request may cost, for the caller to commit; None where it does not fit now."""
        if not self._fits(usd or 0.0, tokens_in + tokens_out):
            return None
        name = f"{self._prefix}-{next(self._names)}"
        spend = BudgetEntry(
            name, self._pot, self._run, labeller, key, "reserved", usd, tokens_in, tokens_out, now(), batch
        )
        self._hold(spend)
        return spend

    @property
    def is_waiting(self) -> bool:
        """Whether requests under way may still give back a part of what is reserved."""
        return bool(self._open)

    def refusal(self) -> Interrupted:
        """The error for a request that does not fit, with nothing left to wait for."""
        return Interrupted(self._sentence(), hint="raise the budget and run again: what is done is kept")

    def take_over(self, spend: BudgetEntry) -> None:
        """Count a reservation that an earlier run left open, to be settled by this one."""
        if spend.id not in self._open and spend.pot == self._pot:
            self._usd -= spend.usd or 0.0
            self._tokens -= spend.tokens_in + spend.tokens_out
            self._hold(spend)

    def settle(self, spend: BudgetEntry, *, usd: float | None, tokens_in: int, tokens_out: int) -> Statement:
        """The entry that puts what was used in the place of a reservation; commit it together with the reply."""
        return self._close(spend, spend._replace(state="settled", usd=usd, tokens_in=tokens_in, tokens_out=tokens_out))

    def lose(self, spend: BudgetEntry) -> Statement:
        """The entry for what may have been charged without a reply: it counts as it was reserved."""
        return self._close(spend, spend._replace(state="lost"))

    def free(self, spend: BudgetEntry) -> Statement:
        """The entry that takes a reservation back."""
        self._close(spend, None)
        return delete_entry(spend.id)

    def _hold(self, spend: BudgetEntry) -> None:
        self._open[spend.id] = spend
        self._open_usd += spend.usd or 0.0
        self._open_tokens += spend.tokens_in + spend.tokens_out

    def _close(self, spend: BudgetEntry, final: BudgetEntry | None) -> Statement:
        if self._open.pop(spend.id, None) is not None:
            self._open_usd -= spend.usd or 0.0
            self._open_tokens -= spend.tokens_in + spend.tokens_out
            if final is not None:
                self._usd += final.usd or 0.0
                self._tokens += final.tokens_in + final.tokens_out
        if not self._open:
            self._open_usd = 0.0  # sums of fractions drift
        if self._changed is not None:
            self._changed.set()
        return put_entry(final or spend)

    def _fits(self, usd: float, tokens: int) -> bool:
        if self._most_usd is not None and self._usd + self._open_usd + usd > self._most_usd + 1e-9:
            return False
        return self._most_tokens is None or self._tokens + self._open_tokens + tokens <= self._most_tokens

    def _sentence(self) -> str:
        parts = []
        if self._most_usd is not None:
            parts.append(f"${self._usd:.4f} of ${self._most_usd:g}")
        if self._most_tokens is not None:
            parts.append(f"{self._tokens:,} of {self._most_tokens:,} tokens")
        return f"the budget is spent: {' and '.join(parts)}, and the next request may cost more than is left"
