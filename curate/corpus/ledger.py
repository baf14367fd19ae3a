"""Which work of a stage is done, and the commits that store every row once.

The tables are the checkpoint: work is done when its identity is in the stage's first table, or in the rejections with
the input itself as the subject. The other tables are committed before the first one, so that a process killed at any
moment leaves at most rows that doing the work again replaces.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.live import LiveWork
from curate.corpus.spec import open_table, parent_column
from curate.labels import LabelSchema
from curate.storage.delta import Table
from curate.storage.workspace import Workspace

RETRIED = frozenset({"crashed", "unavailable"})
"""Reasons that do not mark an input as done: the next run tries it again."""

_PARTS_BEFORE_JOINING = 16


class Batch(NamedTuple):
    """The outcomes of some inputs: rows by table (without ``work``), and rejected things with reason and detail."""

    input_ids: pa.Array
    works: pa.Array
    rows: Mapping[str, pa.Table]
    rejected: Sequence[tuple[str, str, str, str]] = ()
    """``(input_id, subject, reason, detail)``"""


class Progress(NamedTuple):
    """The indices of the work to be done, and how much work is done without any row to show."""

    todo: list[int]
    dropped: int


class CommitCounts(NamedTuple):
    """Rows stored in the first table, inputs without any, and inputs that the next run tries again."""

    rows: int
    rejected: int
    retried: int = 0


class Ledger:
    """The state of one stage's tables, kept in memory while the driver holds the workspace's lock.

    Each input is committed at most once while a ledger is open. An input with any row in the first table counts as
    kept. ``retried`` is a column and a value of the first table whose work is done again.
    """

    def __init__(
        self,
        workspace: Workspace,
        labels: LabelSchema,
        *,
        stage: str,
        writes: Sequence[str],
        live: LiveWork,
        retried: tuple[str, str] | None = None,
    ) -> None:
        self.stage = stage
        self.workspace = workspace
        self.live = live
        self.tables = {name: open_table(workspace, name, labels) for name in writes}
        self.first = writes[0]
        self.rejections = open_table(workspace, "rejections", labels)
        self._retried = retried
        key, parent = self.tables[self.first].spec.key, parent_column(self.first)
        columns = [key, parent, "work", *([retried[0]] if retried else [])]
        first = self.tables[self.first].read(columns)
        rejected = self.rejections.read(["parent_id", "subject", "reason", "work", "stage"])
        rejected = rejected.filter(pc.equal(rejected["stage"], stage))
        self._stored = {"rejections": _named(rejected["parent_id"], rejected["work"])}
        for name, table in self.tables.items():
            pair = first if name == self.first else table.read([parent_column(name), "work"])
            self._stored[name] = _named(pair[parent_column(name)], pair["work"])
        self._owners = [_named(first[parent], first["work"]).append_column("key", first[key])]
        is_whole_input = pc.equal(rejected["subject"], rejected["parent_id"])
        is_final = pc.invert(pc.is_in(rejected["reason"], value_set=pa.array(sorted(RETRIED))))
        works = rejected.filter(pc.and_(is_whole_input, is_final))["work"]
        self._dropped = works.filter(pc.invert(pc.is_in(works, value_set=first["work"])))
        self._finished = first["work"]
        if retried is not None:
            again = first.filter(pc.fill_null(pc.equal(first[retried[0]], retried[1]), False))["work"]
            self._finished = self._finished.filter(pc.invert(pc.is_in(self._finished, value_set=again)))

    def progress(self, works: pa.ChunkedArray) -> Progress:
        """Return what of this work was not done when the ledger was opened."""
        is_dropped = pc.is_in(works, value_set=self._dropped)
        is_done = pc.or_(is_dropped, pc.is_in(works, value_set=self._finished))
        todo = pc.indices_nonzero(pc.invert(is_done)).to_pylist()
        return Progress(todo, int(pc.sum(is_dropped).as_py() or 0))

    def commit(self, batch: Batch, *, metadata: Mapping[str, str]) -> CommitCounts:
        """Store the outcomes of some inputs; each table changes in one transaction, the first table last."""
        batch, superseded = self._without_duplicates(batch)
        first = batch.rows[self.first]
        for name, table in self.tables.items():
            if name != self.first:
                self._store(name, table, batch, batch.rows.get(name, table.spec.schema.empty_table()), metadata)
        self._store("rejections", self.rejections, batch, self._rejections(batch), metadata)
        self._store(self.first, self.tables[self.first], batch, first, metadata, superseded)
        parents = first[parent_column(self.first)]
        rejected = len(batch.input_ids) - pc.count_distinct(parents).as_py()
        return CommitCounts(first.num_rows, rejected, self._count_retried(batch))

    def compact(self) -> None:
        """Merge the small files that the commits left."""
        for table in (*self.tables.values(), self.rejections):
            table.compact()

    def _without_duplicates(self, batch: Batch) -> tuple[Batch, set[str]]:
        """Return the batch without rows whose key another live input has already; they become rejections.

        The rejected subject is the row if the input keeps others, else the input as a whole. Also returns the work
        that is no longer asked for and whose rows are replaced by rows with their keys.
        """
        parent, key = parent_column(self.first), self.tables[self.first].spec.key
        rows = batch.rows.get(self.first)
        if rows is None or not rows.num_rows:
            return batch._replace(rows={self.first: self.tables[self.first].spec.schema.empty_table()}), set()
        owners = self._owners_of(rows[key])
        superseded: set[str] = set()
        rejected: list[tuple[str, str, str, str]] = []
        if owners or pc.count_distinct(rows[key]).as_py() < rows.num_rows:
            rows, rejected, superseded = self._drop_duplicates(rows, owners)
        parents = rows[parent]
        derived_tables = {
            name: _with_parents(table, parent_column(name), parents) for name, table in batch.rows.items()
        }
        self._owners.append(_named(parents, pa.nulls(len(parents), pa.string())).append_column("key", rows[key]))
        if len(self._owners) > _PARTS_BEFORE_JOINING:
            self._owners = [pa.concat_tables(self._owners).combine_chunks()]
        batch = batch._replace(rows={**derived_tables, self.first: rows}, rejected=[*batch.rejected, *rejected])
        return batch, superseded

    def _owners_of(self, keys: pa.ChunkedArray) -> dict[str, tuple[str, str | None]]:
        """Return the input that has a row with each key, and its work; None for work of this run."""
        earlier = [owners.filter(pc.is_in(owners["key"], value_set=keys)) for owners in self._owners]
        return {row["key"]: (row["parent"], row["work"]) for rows in earlier for row in rows.to_pylist()}

    def _drop_duplicates(
        self, rows: pa.Table, owners: dict[str, tuple[str, str | None]]
    ) -> tuple[pa.Table, list[tuple[str, str, str, str]], set[str]]:
        live = self.live.among({work for _, work in owners.values() if work is not None})
        positions: list[int] = []
        keepers: set[str] = set()
        superseded: set[str] = set()
        duplicates: dict[str, dict[str, str]] = {}
        keys, parents = rows[self.tables[self.first].spec.key], rows[parent_column(self.first)]
        for index, (key, parent) in enumerate(zip(keys.to_pylist(), parents.to_pylist(), strict=True)):
            owner, work = owners.get(key, (parent, None))
            if owner != parent:
                if work is None or work in live:
                    duplicates.setdefault(parent, {}).setdefault(key, f"the same content as {owner}")
                    continue
                superseded.add(work)
            owners[key] = (parent, None)
            keepers.add(parent)
            positions.append(index)
        rejected = [
            (parent, subject if parent in keepers else parent, "duplicate", detail)
            for parent, details in duplicates.items()
            for subject, detail in (details.items() if parent in keepers else list(details.items())[:1])
        ]
        return rows.take(pa.array(positions, pa.int64())), rejected, superseded

    def _rejections(self, batch: Batch) -> pa.Table:
        works = _by_input(batch) if batch.rejected else {}
        rows = [
            {
                "rejection_id": f"{works[parent][:16]}-{subject}-{reason}",
                "stage": self.stage,
                "parent_id": parent,
                "subject": subject,
                "reason": reason,
                "detail": detail[:1000],
            }
            for parent, subject, reason, detail in dict.fromkeys(batch.rejected)
        ]
        return pa.Table.from_pylist(rows, schema=self.rejections.spec.schema)

    def _store(
        self,
        name: str,
        table: Table,
        batch: Batch,
        rows: pa.Table,
        metadata: Mapping[str, str],
        superseded: Iterable[str] = (),
    ) -> None:
        stored = self._stored[name]
        replacing = set(superseded)
        if stored.num_rows:
            works = _by_input(batch)
            pairs = _with_parents(stored, "parent", batch.input_ids).to_pylist()
            live = self.live.among({pair["work"] for pair in pairs})
            replacing |= {p["work"] for p in pairs if p["work"] == works[p["parent"]] or p["work"] not in live}
        works_of_rows = batch.works.take(pc.index_in(rows[parent_column(name)], value_set=batch.input_ids))
        data_columns = [column for column in rows.column_names if column != "work"]
        rows = rows.select(data_columns).append_column("work", works_of_rows)
        table.commit(rows, replacing=replacing, metadata=metadata)

    def _count_retried(self, batch: Batch) -> int:
        first = batch.rows[self.first]
        again = {parent for parent, subject, reason, _ in batch.rejected if subject == parent and reason in RETRIED}
        if self._retried is not None and self._retried[0] in first.column_names:
            column, value = self._retried
            failed = first.filter(pc.fill_null(pc.equal(first[column], value), False))
            again.update(failed[parent_column(self.first)].to_pylist())
        return len(again)


def _named(parents: pa.ChunkedArray, works: pa.ChunkedArray) -> pa.Table:
    return pa.table({"parent": parents, "work": works})


def _with_parents(table: pa.Table, column: str, parents: pa.ChunkedArray | pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table[column], value_set=parents))


def _by_input(batch: Batch) -> dict[str, str]:
    return dict(zip(batch.input_ids.to_pylist(), batch.works.to_pylist(), strict=True))
