"""Take the outcomes of a stage apart by input, and commit them every few seconds."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from curate.corpus.ledger import Entry, Ledger
from curate.corpus.spec import parent_column
from curate.executors import WorkerDied
from curate.files import digest
from curate.pipeline.record import RunRecord, StageResult
from curate.pipeline.walk import BatchWork
from curate.stages.capabilities import Summarised
from curate.stages.contract import Outcome

_EVERY_S = 2.0
_EVERY_ROWS = 5_000


class Commits:
    """The outcomes of one stage on their way to its tables: the only place that commits them."""

    def __init__(self, work: BatchWork, ledger: Ledger, result: StageResult, record: RunRecord) -> None:
        self._work, self._ledger, self._result, self._record = work, ledger, result, record
        self._summary = work.stage.make_summary() if isinstance(work.stage, Summarised) else None
        self._waiting: list[Entry] = []
        self._last = time.monotonic()

    def add(self, indices: Sequence[int], outcome: Outcome | WorkerDied) -> None:
        """Take over the outcome of the inputs at these indices."""
        self._result.left -= len(indices)
        self._waiting += entries_of(self._work, indices, outcome)

    def commit_if_due(self) -> None:
        """Commit if much is waiting, or if the last commit was a while ago."""
        if len(self._waiting) >= _EVERY_ROWS or time.monotonic() - self._last >= _EVERY_S:
            self.commit()

    def commit(self) -> None:
        """Commit what is waiting."""
        if not self._waiting:
            return
        entries, self._waiting, self._last = self._waiting, [], time.monotonic()
        result = self._result
        fingerprint = digest(sorted(entry.work for entry in entries))
        metadata = {"run_id": self._record.run_id, "stage": result.stage, "fingerprint": fingerprint}
        rows, rejected = self._ledger.commit(entries, metadata=metadata)
        result.rows += rows
        result.rejected += rejected
        result.crashed += sum(any(reason == "crashed" for _, reason, _ in entry.rejected) for entry in entries)
        result.changed = True
        result.unavailable += sum((e.input_id, "unavailable") in {r[:2] for r in e.rejected} for e in entries)
        if self._summary is not None:
            self._summary.add(entries)
            result.counts, result.reason = dict(self._summary.counts), self._summary.reason
            result.failed = self._summary.failed
        counts = {"inputs": len(entries), "rows": rows, "rejected": rejected}
        self._record.log("commit", stage=result.stage, **counts, fingerprint=fingerprint)


def entries_of(work: BatchWork, indices: Sequence[int], outcome: Outcome | WorkerDied) -> list[Entry]:
    """Return the outcome of a batch by input. Raises ``RuntimeError`` if the stage broke its contract."""
    ids = [work.ids[index] for index in indices]
    works = [work.works[index] for index in indices]
    if isinstance(outcome, WorkerDied):
        return [Entry(i, w, {}, [(i, outcome.reason, outcome.detail)]) for i, w in zip(ids, works, strict=True)]
    rows: dict[str, dict[str, list[Mapping[str, Any]]]] = {input_id: {} for input_id in ids}
    rejected: dict[str, list[tuple[str, str, str]]] = {input_id: [] for input_id in ids}
    for table in work.stage.writes:
        parent = parent_column(table)
        for row in outcome.rows.get(table, []):
            rows[row[parent]].setdefault(table, []).append(row)
    for rejection in outcome.rejections:
        rejected[rejection.parent_id].append((rejection.subject, rejection.reason, rejection.detail))
    for input_id in ids:
        is_rejected = any(subject == input_id for subject, *_ in rejected[input_id])
        if not is_rejected and not rows[input_id].get(work.stage.writes[0]):
            raise RuntimeError(f"stage {work.stage.stage} neither kept nor rejected {input_id}")
    return [Entry(i, w, rows[i], rejected[i]) for i, w in zip(ids, works, strict=True)]
