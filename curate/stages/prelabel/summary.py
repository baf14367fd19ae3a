"""Item counts of a run by outcome, and the most common reason for a missing proposal."""

from collections import Counter
from collections.abc import Iterable

from curate.corpus.ledger import Entry
from curate.llm.labellers.protocol import OUTCOMES

_MAX_REASONS = 1_000


class PrelabelSummary:
    """Counts the final rows of items by outcome. See ``Summary``."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self.failed = 0
        """Items that lack an answer through no fault of theirs: the next run tries them again"""

    def add(self, entries: Iterable[Entry]) -> None:
        """Count items whose rows are stored."""
        for entry in entries:
            rows = entry.rows.get("prelabels", ())
            self.failed += any(row["outcome"] == "error" for row in rows)
            for row in rows:
                if row["final"]:
                    self._outcomes[row["outcome"]] += 1
                    self._count_reason(row["outcome"], row["detail"] or "")

    @property
    def counts(self) -> dict[str, int]:
        """Item counts by outcome, omitting zeros."""
        return {name: self._outcomes[name] for name in OUTCOMES if self._outcomes[name]}

    @property
    def reason(self) -> str:
        """The most common reason why an item has no proposal: ``refused (I cannot help)``."""
        for (outcome, detail), _ in self._reasons.most_common(1):
            return f"{outcome} ({detail})" if detail else outcome
        return ""

    def _count_reason(self, outcome: str, detail: str) -> None:
        reason = (outcome, detail)
        if outcome != "ok" and (reason in self._reasons or len(self._reasons) < _MAX_REASONS):
            self._reasons[reason] += 1
