"""Budget accounts that no run can overdraw: an amount is reserved before sending and settled by the usage."""

import asyncio
import itertools
import secrets
from collections.abc import Collection, Mapping, Sequence

from curate.errors import Interrupted
from curate.llm.replies import BudgetEntry, ReplyStore, delete_entry, now, put_entry
from curate.llm.settings import BudgetSettings
from curate.storage.sqlite import Statement

_ROUNDING_USD = 1e-9


class BudgetAccount:
    """An account in the reply store, with the limits of ``budget``; what earlier runs paid, or may have to, counts.

    For one event loop.
    """

    def __init__(self, store: ReplyStore, name: str, budget: BudgetSettings) -> None:
        self._store = store
        self._name, self._budget = name, budget
        store.write_off_reservations(name)
        paid = store.total(name)
        self._usd, self._tokens = paid.usd, paid.tokens
        self._open: dict[str, BudgetEntry] = {}
        self._held: dict[str, tuple[float, int]] = {}
        """Dollars and tokens of the open reservations, by labeller"""
        self._overruns: dict[str, float] = {}
        """By labeller that has paid or failed: the most that a reply cost, as a multiple of what was reserved"""
        self._changed: asyncio.Event | None = None
        self._serial = itertools.count()
        self._prefix = secrets.token_hex(8)

    async def reserve(
        self, labeller: str, key: str, *, usd: float | None, tokens_in: int, tokens_out: int
    ) -> BudgetEntry:
        """Reserve the most that a request may cost; with a limit, the entry is on disk before this returns.

        Waits while requests in flight hold the missing amount. Raises ``Interrupted`` if the budget is too small.
        """
        while (
            self._is_unknown(labeller)
            or (entry := self.try_reserve(labeller, key, usd=usd, tokens_in=tokens_in, tokens_out=tokens_out)) is None
        ):
            if not self.has_reservations:
                raise self.exhausted()
            self._changed = self._changed or asyncio.Event()
            self._changed.clear()
            await self._changed.wait()
        if self._budget.usd is None and self._budget.tokens is None:
            self._store.commit_later([put_entry(entry)])
            return entry
        try:
            await self._store.commit([put_entry(entry)])
        except BaseException:
            self._store.commit_later([self.release(entry)])
            raise
        return entry

    def try_reserve(
        self, labeller: str, key: str, *, usd: float | None, tokens_in: int, tokens_out: int, batch: str | None = None
    ) -> BudgetEntry | None:
        """Return a reservation for the caller to commit, or None if it does not fit at present."""
        if not self._fits(labeller, usd or 0.0, tokens_in + tokens_out):
            return None
        entry_id = f"{self._prefix}-{next(self._serial)}"
        entry = BudgetEntry(
            entry_id, self._name, "", labeller, key, "reserved", usd, tokens_in, tokens_out, now(), batch
        )
        self._hold(entry)
        return entry

    @property
    def has_reservations(self) -> bool:
        """Whether requests in flight may still free a part of what is reserved."""
        return bool(self._open)

    def exhausted(self) -> Interrupted:
        """Return the error for a request that does not fit when nothing is left to wait for."""
        parts = []
        if self._budget.usd is not None:
            parts.append(f"${self._usd:.4f} of ${self._budget.usd:g}")
        if self._budget.tokens is not None:
            parts.append(f"{self._tokens:,} of {self._budget.tokens:,} tokens")
        message = f"the budget is spent: {' and '.join(parts)}, and the next request may cost more than is left"
        return Interrupted(message, hint="raise the budget and run again: what is done is kept")

    def adopt(self, entry: BudgetEntry) -> None:
        """Take over a reservation that an earlier run left open, to be settled by this run."""
        if entry.id not in self._open and entry.account == self._name:
            self._usd -= entry.usd or 0.0
            self._tokens -= entry.tokens_in + entry.tokens_out
            self._hold(entry)

    def settle(self, entry: BudgetEntry, *, usd: float | None, tokens_in: int, tokens_out: int) -> Statement:
        """Replace a reservation by the usage; commit the statement together with the reply."""
        settled = entry._replace(state="settled", usd=usd, tokens_in=tokens_in, tokens_out=tokens_out)
        self._close(entry, settled)
        return put_entry(settled)

    def write_off(self, entry: BudgetEntry) -> Statement:
        """Count a reservation in full: it may have been charged without a reply."""
        lost = entry._replace(state="lost")
        self._close(entry, lost)
        return put_entry(lost)

    def release(self, entry: BudgetEntry) -> Statement:
        """Cancel a reservation that cannot have been charged."""
        self._close(entry, None)
        return delete_entry(entry.id)

    def _hold(self, entry: BudgetEntry) -> None:
        self._open[entry.id] = entry
        usd, tokens = self._held.get(entry.labeller, (0.0, 0))
        self._held[entry.labeller] = (usd + (entry.usd or 0.0), tokens + entry.tokens_in + entry.tokens_out)

    def _close(self, entry: BudgetEntry, final: BudgetEntry | None) -> None:
        if self._open.pop(entry.id, None) is not None:
            usd, tokens = self._held.pop(entry.labeller)
            if self._open:  # sums of fractions drift
                self._held[entry.labeller] = (
                    usd - (entry.usd or 0.0),
                    tokens - entry.tokens_in - entry.tokens_out,
                )
            if final is not None:
                self._usd += final.usd or 0.0
                self._tokens += final.tokens_in + final.tokens_out
            overrun = 1.0 if final is None else _cost(final) / max(_cost(entry), 1e-12)
            self._overruns[entry.labeller] = max(1.0, overrun, self._overruns.get(entry.labeller, 1.0))
        if self._changed is not None:
            self._changed.set()

    def _is_unknown(self, labeller: str) -> bool:
        """Whether a labeller's first reply, which shows what one may cost, is on its way and the budget limited."""
        is_limited = self._budget.usd is not None or self._budget.tokens is not None
        return is_limited and labeller not in self._overruns and labeller in self._held

    def _fits(self, labeller: str, usd: float, tokens: int) -> bool:
        total_usd, total_tokens = self._usd, float(self._tokens)
        for name, (held_usd, held_tokens) in (*self._held.items(), (labeller, (usd, tokens))):
            overrun = self._overruns.get(name, 1.0)
            total_usd += held_usd * overrun
            total_tokens += held_tokens * overrun
        limit = self._budget
        if limit.usd is not None and total_usd > limit.usd + _ROUNDING_USD:
            return False
        return limit.tokens is None or total_tokens <= limit.tokens


def _cost(entry: BudgetEntry) -> float:
    return entry.usd or float(entry.tokens_in + entry.tokens_out)


def assign_accounts(stages: Sequence[Collection[str]], spenders: Mapping[str, Collection[str]], kind: str) -> list[str]:
    """Return the budget account of each stage of one kind, in recipe order.

    ``stages`` holds the labellers of each stage, ``spenders`` those that have spent from each account. A stage keeps
    the account that shares the most labellers with it, so adding, removing or moving other stages moves no money. A
    stage that shares none, for example because its model was replaced, continues the first account that no other stage
    claims; only when all are claimed does it open a new one: ``kind``, ``kind-2``, ...
    """
    existing = sorted((name for name in spenders if _is_of(kind, name)), key=lambda name: (len(name), name))
    overlaps = [
        (-len(set(labellers) & set(spenders[name])), stage, number)
        for stage, labellers in enumerate(stages)
        for number, name in enumerate(existing)
    ]
    accounts: dict[int, str] = {}
    for overlap, stage, number in sorted(overlaps):
        if overlap and stage not in accounts and existing[number] not in accounts.values():
            accounts[stage] = existing[number]
    unclaimed = [name for name in existing if name not in accounts.values()]
    numbered = (kind if number == 1 else f"{kind}-{number}" for number in itertools.count(1))
    candidates = itertools.chain(unclaimed, (name for name in numbered if name not in existing))
    return [accounts[stage] if stage in accounts else next(candidates) for stage in range(len(stages))]


def _is_of(kind: str, account: str) -> bool:
    stem, _, number = account.rpartition("-")
    return account == kind or (stem == kind and number.isdecimal())
