"""The rows of a workspace that belong to a recipe as it is now."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.live import LiveWork
from curate.corpus.spec import open_table, repeats_column
from curate.files import digest
from curate.labels import LabelSchema
from curate.memory import release_memory
from curate.storage.delta import Table
from curate.storage.spool import LARGE_ROWS, spool_columns
from curate.storage.workspace import Workspace


class Corpus:
    """A view of a workspace without the rows of earlier settings, removed files and replaced inputs.

    ``live`` holds, for each table written by batch stages, the work that the recipe now asks for.
    Tables without a column ``work`` are those of people and of driver stages: the view has their rows of current items.
    """

    def __init__(self, workspace: Workspace, labels: LabelSchema, live: Mapping[str, LiveWork]) -> None:
        self.workspace = workspace
        self.labels = labels
        self.live = dict(live)

    def fingerprint(self) -> str:
        """Return a hash of all work that the recipe now asks for."""
        return digest({table: live.fingerprint for table, live in self.live.items()})

    def table(self, name: str) -> Table:
        """Open a table with all its rows, current or not."""
        return open_table(self.workspace, name, self.labels)

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        with_repeats: bool = False,
        matching: tuple[str, Collection[str]] | None = None,
    ) -> pa.Table:
        """Read the current rows of a table, sorted by key; rows that repeat others only ``with_repeats``.

        With ``matching``, only those with certain values of a column. The columns of a large table are on disk, and
        are in memory while they are used: see ``spool_columns``.
        """
        stored = self.table(table)
        owner = "work" if "work" in stored.spec.schema.names else "item_id"
        repeats = None if with_repeats else repeats_column(table)
        deciding = [owner, stored.spec.key, *([repeats] if repeats else [])]
        names = list(dict.fromkeys(columns or stored.spec.schema.names))
        with stored.snapshot() as rows:
            if matching is None and rows.count() >= LARGE_ROWS:
                order = self._order(table, rows.read(list(dict.fromkeys(deciding))), *deciding)
                release_memory()
                return spool_columns(names, lambda name: _take(rows.read([name])[name], order), self.workspace.local)
            unsorted = rows.read(list(dict.fromkeys([*names, *deciding])), matching=matching)
        return unsorted.select(names).take(self._order(table, unsorted, *deciding))

    def _order(self, table: str, rows: pa.Table, owner: str, key: str, repeats: str | None = None) -> pa.Array:
        """Return the indices of the current rows, in the order of their keys."""
        is_wanted = self._is_current(table, rows[owner], owner)
        if repeats:
            is_wanted = pc.and_(is_wanted, pc.is_null(rows[repeats]))
        indices = pc.indices_nonzero(is_wanted)
        return indices.take(pc.sort_indices(rows[key].take(indices)))

    def update_column(
        self, table: str, column: str, values: Mapping[str, Any], *, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Set a column of the current rows with these keys, in one transaction; returns how many rows differed."""
        stored = self.table(table)
        key = stored.spec.key
        schema = pa.schema([stored.spec.schema.field(name) for name in (key, column, "work")])
        rows = self.read(table, schema.names, with_repeats=True).to_pylist()
        changed = [
            row | {column: values[row[key]]} for row in rows if row[key] in values and row[column] != values[row[key]]
        ]
        stored.update(pa.Table.from_pylist(changed, schema=schema), metadata=metadata or {})
        return len(changed)

    def append(self, table: str, rows: Sequence[Mapping[str, Any]], *, metadata: Mapping[str, str]) -> int:
        """Append the rows whose key is new, in one transaction; returns how many were new."""
        stored = self.table(table)
        key = stored.spec.key
        stored_keys = set(stored.read([key])[key].to_pylist())
        new_rows: dict[str, Mapping[str, Any]] = {}
        for row in rows:
            if row[key] not in stored_keys:
                new_rows.setdefault(row[key], row)
        stored.commit(list(new_rows.values()), metadata=metadata)
        return len(new_rows)

    def _is_current(self, table: str, values: pa.ChunkedArray, owner: str) -> pa.ChunkedArray:
        if owner == "item_id":
            return pc.is_in(values, value_set=self.read("items", ["item_id"])["item_id"])
        if table == "rejections":
            wanted = {id(live): live for live in self.live.values()}.values()
            return LiveWork(lambda: [live.works for live in wanted]).contains(values)
        return self.live[table].contains(values) if table in self.live else pa.array([False] * len(values), pa.bool_())


def _take(values: pa.ChunkedArray, order: pa.Array) -> pa.ChunkedArray:
    taken = values.take(order)
    return taken if isinstance(taken, pa.ChunkedArray) else pa.chunked_array([taken])
