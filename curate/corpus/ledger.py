"""Which work of a stage is done, and the commits that store every row once.

The tables are the checkpoint: work is done when its identity is in the stage's first table, or in the rejections with
the input itself as the subject. The other tables are committed before the first one, so that a process killed at any
moment leaves at most rows that doing the work again replaces.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow.compute as pc

from curate.corpus.spec import open_table, parent_column
from curate.labels import LabelSchema
from curate.storage.delta import Table
from curate.storage.workspace import Workspace

RETRIED = frozenset({"crashed", "unavailable"})
"""Reasons that do not mark an input as done: the next run tries it again."""


class Entry(NamedTuple):
    """The outcome of one input: rows by table (without ``work``), and rejected ``(subject, reason, detail)``."""

    input_id: str
    work: str
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    rejected: Sequence[tuple[str, str, str]]


class CommitCounts(NamedTuple):
    """Rows stored in the first table, and inputs without any."""

    kept: int
    rejected: int


class Ledger:
    """The state of one stage's tables, kept in memory while the driver holds the workspace's lock.

    An input with any row in the first table counts as kept; ``dropped`` holds the work of inputs that have none and
    were rejected themselves. ``retried`` is a column and a value of the first table whose work is done again.
    """

    def __init__(
        self,
        workspace: Workspace,
        labels: LabelSchema,
        *,
        stage: str,
        writes: Sequence[str],
        live: frozenset[str],
        retried: tuple[str, str] | None = None,
    ) -> None:
        self.stage = stage
        self.live = live
        self.tables = {name: open_table(workspace, name, labels) for name in writes}
        self.first = writes[0]
        self.rejections = open_table(workspace, "rejections", labels)
        self.works = {name: _works_by_input(table) for name, table in self.tables.items()}
        first, parent = self.tables[self.first], parent_column(self.first)
        rows = first.read([first.spec.key, parent, "work"])
        keys, parents, works = (column.to_pylist() for column in rows.columns)
        self.owners = dict(zip(keys, zip(parents, works, strict=True), strict=True))
        self.finished = set(works)
        self.dropped: set[str] = set()
        rejected = self.rejections.read(["stage", "parent_id", "subject", "reason", "work"])
        rejected = rejected.filter(pc.equal(rejected["stage"], stage))
        self.works["rejections"] = _group_works(rejected["parent_id"].to_pylist(), rejected["work"].to_pylist())
        for row in rejected.to_pylist():
            is_whole_input = row["subject"] == row["parent_id"] and row["work"] not in self.finished
            if is_whole_input and row["reason"] not in RETRIED:
                self.dropped.add(row["work"])
        if retried is not None:
            column, value = retried
            outcomes = first.read(["work", column])
            self.finished -= set(outcomes.filter(pc.equal(outcomes[column], value))["work"].to_pylist())

    def is_done(self, work: str) -> bool:
        """Whether this work need not be done again."""
        return work in self.finished or work in self.dropped

    def commit(self, entries: Sequence[Entry], *, metadata: Mapping[str, str]) -> CommitCounts:
        """Store the outcomes of some inputs; each table changes in one transaction, the first table last."""
        entries = [self._without_duplicates(entry) for entry in entries]
        for name, table in self.tables.items():
            if name != self.first:
                self._store(name, table, entries, [self._rows(name, entry) for entry in entries], metadata)
        rejections = [self._rejections(entry) for entry in entries]
        self._store("rejections", self.rejections, entries, rejections, metadata)
        stored = [self._rows(self.first, entry) for entry in entries]
        self._store(self.first, self.tables[self.first], entries, stored, metadata)
        for entry, rows in zip(entries, stored, strict=True):
            (self.finished if rows else self.dropped).add(entry.work)
        return CommitCounts(sum(map(len, stored)), sum(not rows for rows in stored))

    def compact(self) -> None:
        """Merge the small files that the commits left."""
        for table in (*self.tables.values(), self.rejections):
            table.compact()

    def _without_duplicates(self, entry: Entry) -> Entry:
        """Return the entry without the rows whose key another live input has already; they become rejections.

        The rejected subject is the row if the input keeps others, else the input as a whole.
        """
        key = self.tables[self.first].spec.key
        new_rows: list[Mapping[str, Any]] = []
        duplicates: dict[str, str] = {}
        for row in entry.rows.get(self.first, ()):
            owner, work = self.owners.get(row[key], (entry.input_id, entry.work))
            if owner != entry.input_id:
                if work in self.live:
                    duplicates.setdefault(row[key], f"the same content as {owner}")
                    continue
                works = self.works[self.first]
                works[entry.input_id] = (*works.get(entry.input_id, ()), work)
            self.owners[row[key]] = (entry.input_id, entry.work)
            new_rows.append(row)
        if not new_rows:
            duplicates = dict.fromkeys([entry.input_id], next(iter(duplicates.values()))) if duplicates else {}
        rejected = [*entry.rejected, *((subject, "duplicate", detail) for subject, detail in duplicates.items())]
        return entry._replace(rows={**entry.rows, self.first: new_rows} if new_rows else {}, rejected=rejected)

    def _rows(self, name: str, entry: Entry) -> list[dict[str, Any]]:
        return [{**row, "work": entry.work} for row in entry.rows.get(name, ())]

    def _rejections(self, entry: Entry) -> list[dict[str, Any]]:
        return [
            {
                "rejection_id": f"{entry.work[:16]}-{subject}-{reason}",
                "stage": self.stage,
                "parent_id": entry.input_id,
                "subject": subject,
                "reason": reason,
                "detail": detail[:1000],
                "work": entry.work,
            }
            for subject, reason, detail in dict.fromkeys(entry.rejected)
        ]

    def _store(
        self,
        name: str,
        table: Table,
        entries: Iterable[Entry],
        rows_by_entry: Sequence[Sequence[Mapping[str, Any]]],
        metadata: Mapping[str, str],
    ) -> None:
        works = self.works[name]
        replacing: set[str] = set()
        for entry, rows in zip(entries, rows_by_entry, strict=True):
            stored = works.pop(entry.input_id, ())
            live = tuple(work for work in stored if work != entry.work and work in self.live)
            replacing.update(work for work in stored if work not in live)
            if rows or live:
                works[entry.input_id] = (*live, entry.work) if rows else live
        table.commit([row for rows in rows_by_entry for row in rows], replacing=replacing, metadata=metadata)


def _works_by_input(table: Table) -> dict[str, tuple[str, ...]]:
    rows = table.read([parent_column(table.spec.name), "work"])
    parents, works = (column.to_pylist() for column in rows.columns)
    return _group_works(parents, works)


def _group_works(parents: Iterable[str], works: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the distinct works of each input; most have one."""
    grouped: dict[str, tuple[str, ...]] = {}
    for parent, work in zip(parents, works, strict=True):
        if work not in grouped.get(parent, ()):
            grouped[parent] = (*grouped.get(parent, ()), work)
    return grouped
