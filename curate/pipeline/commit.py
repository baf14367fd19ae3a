"""Gather the outcomes of a stage, and commit them every few seconds."""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.ledger import Batch, Ledger
from curate.corpus.masking import mask_rows
from curate.corpus.spec import parent_column, table_spec
from curate.corpus.stored import all_blob_names
from curate.corpus.tombstones import Tombstones
from curate.executors import WorkerDied
from curate.files import digest
from curate.labels import LabelSchema
from curate.memory import drop_mapped_pages
from curate.pipeline.record import RunRecord, StageResult
from curate.pipeline.walk import BatchWork
from curate.stages.capabilities import Summarised
from curate.stages.contract import Outcome, Rows
from curate.storage.columns import fill_columns

_EVERY_S = 2.0
_EVERY_ROWS = 50_000

Done = tuple[Sequence[int], Outcome | WorkerDied]
"""The indices of some inputs and their outcome."""


class Commits:
    """The outcomes of one stage on their way to its tables: the only place that commits them."""

    def __init__(
        self, work: BatchWork, ledger: Ledger, labels: LabelSchema, result: StageResult, record: RunRecord
    ) -> None:
        self._work, self._ledger, self._labels, self._result, self._record = work, ledger, labels, result, record
        self._summary = work.stage.make_summary() if isinstance(work.stage, Summarised) else None
        self._waiting: list[Done] = []
        self._inputs = 0
        self._last = time.monotonic()
        self.retried = 0
        """Inputs that the next run tries again."""
        self._tombstones = Tombstones.read(ledger.workspace)
        self.forgotten_blobs: set[str] = set()
        """Media that workers made of what is forgotten; other rows may use them, too"""

    def add(self, indices: Sequence[int], outcome: Outcome | WorkerDied) -> None:
        """Take over the outcome of the inputs at these indices."""
        self._result.left -= len(indices)
        self._inputs += len(indices)
        self._waiting.append((indices, outcome))

    def commit_if_due(self) -> None:
        """Commit if much is waiting, or if the last commit was a while ago."""
        if self._inputs >= _EVERY_ROWS or time.monotonic() - self._last >= _EVERY_S:
            self.commit()

    def commit(self) -> None:
        """Commit what is waiting."""
        if not self._waiting:
            return
        batch = batch_of(self._work, self._waiting, self._labels)
        if self._tombstones:
            batch, blobs = without_forgotten(batch, self._work.stage.writes[0], self._tombstones)
            self.forgotten_blobs |= blobs
        self._waiting, self._inputs, self._last = [], 0, time.monotonic()
        result = self._result
        fingerprint = digest(sorted(batch.works.to_pylist()))
        metadata = {"run_id": self._record.run_id, "stage": result.stage, "fingerprint": fingerprint}
        counts = self._ledger.commit(batch, metadata=metadata)
        drop_mapped_pages()
        result.rows += counts.rows
        result.rejected += counts.rejected
        result.changed = True
        self.retried += counts.retried
        result.crashed += len({parent for parent, _, reason, _ in batch.rejected if reason == "crashed"})
        unavailable = {
            parent for parent, subject, reason, _ in batch.rejected if (parent, "unavailable") == (subject, reason)
        }
        result.unavailable += len(unavailable)
        if self._summary is not None:
            self._summary.add(batch.rows[self._work.stage.writes[0]])
            result.counts, result.reason = dict(self._summary.counts), self._summary.reason
            result.failed = self._summary.failed
        figures = {"inputs": len(batch.works), "rows": counts.rows, "rejected": counts.rejected}
        self._record.log("commit", stage=result.stage, **figures, fingerprint=fingerprint)


def batch_of(work: BatchWork, done: Sequence[Done], labels: LabelSchema) -> Batch:
    """Return outcomes for the ledger. Raises ``RuntimeError`` if the stage broke its contract."""
    indices = pa.array([index for part, _ in done for index in part], pa.int64())
    input_ids, works = (pa.concat_arrays(column.take(indices).chunks) for column in (work.ids, work.works))
    outcomes = [outcome for _, outcome in done if isinstance(outcome, Outcome)]
    rows = {
        table: _to_table([outcome.rows.get(table, []) for outcome in outcomes], table_spec(table, labels).schema)
        for table in work.stage.writes
    }
    rejected: list[tuple[str, str, str, str]] = [rejection for outcome in outcomes for rejection in outcome.rejections]
    for part, outcome in done:
        if isinstance(outcome, WorkerDied):
            ids = work.ids.take(pa.array(part, pa.int64())).to_pylist()
            rejected += [(input_id, input_id, outcome.reason, outcome.detail) for input_id in ids]
    _check(work.stage.stage, input_ids, rows, rejected, work.stage.writes[0])
    return Batch(input_ids, works, rows, rejected)


def without_forgotten(batch: Batch, first: str, tombstones: Tombstones) -> tuple[Batch, set[str]]:
    """Return the batch with rejections in place of the rows that are forgotten, and the blobs that these name."""
    parent, rows = parent_column(first), mask_rows(first, batch.rows[first], tombstones)
    is_forgotten = tombstones.forgotten_rows(rows)
    dropped, remaining = rows.filter(is_forgotten), rows.filter(pc.invert(is_forgotten))
    gone = set(dropped[parent].to_pylist()) - set(remaining[parent].to_pylist())
    # Nothing of a forgotten item gets into the workspace again, its id included.
    rejected = [
        (name, name if name in gone else f"{name}#part", "forgotten", "it was removed for good by `curate forget`")
        for name in dict.fromkeys(dropped[parent].to_pylist())
    ]
    named = {subject: subject.partition("#")[0] for _, subject, *_ in batch.rejected}
    hidden = tombstones.holds("item", set(named.values()))
    unaffected = [row for row in batch.rejected if row[0] == row[1] or named[row[1]] not in hidden]
    tables, blobs = {first: remaining}, all_blob_names(dropped)
    for name, table in batch.rows.items():
        if name != first:
            is_gone = pc.is_in(table[parent_column(name)], value_set=pa.array(sorted(gone), pa.string()))
            is_gone = pc.or_(is_gone, tombstones.forgotten_rows(table))
            blobs |= all_blob_names(table.filter(is_gone))
            visible = table.filter(pc.invert(is_gone))
            tables[name] = mask_rows(name, visible, tombstones)
            blobs |= all_blob_names(visible) - all_blob_names(tables[name])
    return batch._replace(rows=tables, rejected=[*unaffected, *rejected]), blobs


def _to_table(parts: Iterable[Rows], schema: pa.Schema) -> pa.Table:
    tables: list[pa.Table] = []
    for is_table, group in groupby(parts, lambda part: isinstance(part, pa.Table)):
        if is_table:
            tables += [fill_columns(part, schema) for part in group]
        elif dicts := [row for part in group for row in part]:
            tables.append(pa.Table.from_pylist(dicts, schema=schema))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _check(
    stage: str, input_ids: pa.Array, rows: Mapping[str, pa.Table], rejected: Sequence[tuple[Any, ...]], first: str
) -> None:
    parents = {name: table[parent_column(name)] for name, table in rows.items()}
    for ids in (*parents.values(), pa.array([parent for parent, *_ in rejected], pa.string())):
        unknown = ids.filter(pc.invert(pc.is_in(ids, value_set=input_ids)))
        if len(unknown):
            raise RuntimeError(f"stage {stage} returned something of {unknown[0]}, which it was not given")
    rejected_inputs = pa.array([parent for parent, subject, *_ in rejected if parent == subject], pa.string())
    is_settled = pc.or_(pc.is_in(input_ids, value_set=parents[first]), pc.is_in(input_ids, value_set=rejected_inputs))
    missing = input_ids.filter(pc.invert(is_settled))
    if len(missing):
        raise RuntimeError(f"stage {stage} neither kept nor rejected {missing[0]}")
