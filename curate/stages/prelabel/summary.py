"""What became of the items that a run made proposals for."""

from collections import Counter
from collections.abc import Iterable

from curate.corpus.ledger import Entry
from curate.llm.labellers.protocol import OUTCOMES

_MOST_REASONS = 1_000


class Proposals:
    """Outcomes of the rows that stand for their items, and why those without a proposal have none."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self.failed = 0
        """Items of which an answer is missing for no fault of theirs: the next run asks again"""

    def add(self, entries: Iterable[Entry]) -> None:
        """Count items whose rows are stored."""
        for entry in entries:
            rows = entry.rows.get("prelabels", ())
            self.failed += any(row["outcome"] == "error" for row in rows)
            for row in rows:
                if row["final"]:
                    self._outcomes[row["outcome"]] += 1
                    self._explain(row["outcome"], row["detail"] or "")

    @property
    def counts(self) -> dict[str, int]:
        """Items by outcome, without those outcomes that there are none of."""
        return {name: self._outcomes[name] for name in OUTCOMES if self._outcomes[name]}

    @property
    def reason(self) -> str:
        """The commonest reason for which an item has no proposal: ``refused (I cannot help)``."""
        for (outcome, detail), _ in self._reasons.most_common(1):
            return f"{outcome} ({detail})" if detail else outcome
        return ""

    def _explain(self, outcome: str, detail: str) -> None:
        reason = (outcome, detail)
        if outcome != "ok" and (reason in self._reasons or len(self._reasons) < _MOST_REASONS):
            self._reasons[reason] += 1
