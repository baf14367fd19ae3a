"""Item counts of a run by outcome, and the most common reason for a missing proposal."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from curate.llm.labellers.protocol import OUTCOMES

_MAX_REASONS = 1_000


class PrelabelSummary:
    """Counts the final rows of items by outcome. See ``Summary``."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self.failed = 0
        """Items that lack an answer through no fault of theirs: the next run tries them again"""

    def add(self, rows: pa.Table) -> None:
        """Count items whose rows are stored."""
        self.failed += pc.count_distinct(rows.filter(pc.equal(rows["outcome"], "error"))["item_id"]).as_py()
        final = rows.filter(rows["final"])
        for group in final.group_by(["outcome", "detail"]).aggregate([([], "count_all")]).to_pylist():
            self._outcomes[group["outcome"]] += group["count_all"]
            self._count_reason(group["outcome"], group["detail"] or "", group["count_all"])

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

    def _count_reason(self, outcome: str, detail: str, count: int) -> None:
        reason = (outcome, detail)
        if outcome != "ok" and (reason in self._reasons or len(self._reasons) < _MAX_REASONS):
            self._reasons[reason] += count
