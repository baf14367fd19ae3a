"""Which work of a stage is done, and the commits that keep every row single.

The tables are the checkpoint: a piece of work is done when its identity stands in the stage's first table, or in the
rejections with the input itself as the subject. The other tables are committed before the first one, so that whatever
moment a process is killed at, work that is not done leaves at most rows that doing it again replaces.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow.compute as pc

from curate.labels import LabelSchema
from curate.storage.delta import Table
from curate.storage.workspace import Workspace

RETRIED = frozenset({"crashed"})
"""Reasons that do not mark an input as done: the next run tries it again."""


class Entry(NamedTuple):
    """What came of one input: rows by table (without ``work``), and rejected ``(subject, reason, detail)``."""

    input_id: str
    work: str
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    rejected: Sequence[tuple[str, str, str]]


class Counts(NamedTuple):
    """Rows kept in the first table, and inputs of which nothing was kept."""

    kept: int
    rejected: int


class Ledger:
    """The state of one stage's tables, kept in memory while the driver holds the workspace's lock."""

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
        self.tables = {name: workspace.table(name, labels) for name in writes}
        self.first = writes[0]
        self.rejections = workspace.table("rejections", labels)
        self.works: dict[str, dict[str, tuple[str, ...]]] = {}
        self.owners: dict[str, tuple[str, str]] = {}
        for name, table in self.tables.items():
            rows = table.read([table.spec.parent, "work"])
            self.works[name] = _by_parent(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        first = self.tables[self.first]
        rows = first.read([first.spec.key, first.spec.parent, "work"])
        for key, parent, work in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            self.owners[key] = (parent, work)
        self.finished = {work for _, work in self.owners.values()}
        if retried is not None:
            column, again = retried
            rows = first.read(["work", column])
            self.finished -= set(rows.filter(pc.equal(rows[column], again))["work"].to_pylist())
        self.dropped: set[str] = set()
        rejected = self.rejections.read(["stage", "parent_id", "subject", "reason", "work"])
        own = rejected.filter(pc.equal(rejected["stage"], stage)).to_pylist()
        for row in own:
            if row["subject"] == row["parent_id"] and row["reason"] not in RETRIED:
                self.dropped.add(row["work"])
        self.works["rejections"] = _by_parent((row["parent_id"], row["work"]) for row in own)

    def is_done(self, work: str) -> bool:
        """Whether this work needs no doing."""
        return work in self.finished or work in self.dropped

    def commit(self, entries: Sequence[Entry], *, metadata: Mapping[str, str]) -> Counts:
        """Store what came of some inputs; each table changes in one transaction, the first table last."""
        entries = [self._without_duplicates(entry) for entry in entries]
        order = [name for name in self.tables if name != self.first]
        for name in order:
            self._store(name, self.tables[name], entries, [self._rows(name, entry) for entry in entries], metadata)
        rejections = [self._rejections(entry) for entry in entries]
        self._store("rejections", self.rejections, entries, rejections, metadata)
        kept = [self._rows(self.first, entry) for entry in entries]
        self._store(self.first, self.tables[self.first], entries, kept, metadata)
        for entry, rows in zip(entries, kept, strict=True):
            (self.finished if rows else self.dropped).add(entry.work)
        return Counts(sum(map(len, kept)), sum(not rows for rows in kept))

    def compact(self) -> None:
        """Merge the small files that the commits left."""
        for table in (*self.tables.values(), self.rejections):
            table.compact()

    def _without_duplicates(self, entry: Entry) -> Entry:
        """The entry without rows whose key another live input already has; they become rejections."""
        key = self.tables[self.first].spec.key
        kept, rejected = [], list(entry.rejected)
        own = (entry.input_id, entry.work)
        for row in entry.rows.get(self.first, ()):
            owner, work = self.owners.get(row[key], own)
            if owner != entry.input_id:
                if work in self.live:
                    rejected.append((entry.input_id, "duplicate", f"the same content as {owner}"))
                    continue
                self.works[self.first][entry.input_id] = (*self.works[self.first].get(entry.input_id, ()), work)
            self.owners[row[key]] = own
            kept.append(row)
        rows = {**entry.rows, self.first: kept} if kept else {}
        return Entry(*own, rows, list(dict.fromkeys(rejected)) if rejected else rejected)

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
            for subject, reason, detail in entry.rejected
        ]

    def _store(
        self,
        name: str,
        table: Table,
        entries: Iterable[Entry],
        rows: Sequence[Sequence[Mapping[str, Any]]],
        metadata: Mapping[str, str],
    ) -> None:
        index = self.works[name]
        replacing: set[str] = set()
        for entry, own in zip(entries, rows, strict=True):
            stored = index.pop(entry.input_id, ())
            stays = tuple(work for work in stored if work != entry.work and work in self.live)
            replacing.update(work for work in stored if work not in stays)
            if own or stays:
                index[entry.input_id] = (*stays, entry.work) if own else stays
        table.commit([row for own in rows for row in own], replacing=replacing, metadata=metadata)


def _by_parent(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """The works by the input that they are about; most have one."""
    found: dict[str, tuple[str, ...]] = {}
    for parent, work in pairs:
        before = found.get(parent, ())
        if work not in before:
            found[parent] = (*before, work)
    return found
