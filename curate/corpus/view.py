"""The rows of a workspace that belong to a recipe as it is now."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.live import LiveWork
from curate.corpus.spec import open_table, repeats_column
from curate.files import digest
from curate.labels import LabelSchema
from curate.storage.delta import Table
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

        With ``matching``, only those with certain values of a column.
        """
        stored = self.table(table)
        owner = "work" if "work" in stored.spec.schema.names else "item_id"
        repeats = None if with_repeats else repeats_column(table)
        hidden = [owner, stored.spec.key, *([repeats] if repeats else [])]
        names = list(columns) if columns else stored.spec.schema.names
        rows = stored.read(list(dict.fromkeys([*names, *hidden])), matching=matching)
        is_wanted = self._is_current(table, rows[owner], owner)
        if repeats:
            is_wanted = pc.and_(is_wanted, pc.is_null(rows[repeats]))
        indices = pc.indices_nonzero(is_wanted)
        order = indices.take(pc.sort_indices(rows[stored.spec.key].take(indices)))
        unsorted = {name: rows[name] for name in names}
        del rows
        # Column by column, so that only one is in memory twice.
        taken = pa.table({name: unsorted.pop(name).take(order) for name in names})
        pa.default_memory_pool().release_unused()
        return taken

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
