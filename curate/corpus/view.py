"""The rows of a workspace that belong to a recipe as it stands now."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.labels import LabelSchema
from curate.storage.workspace import Workspace


class Corpus:
    """A view of a workspace without what earlier settings, removed files and replaced inputs left behind.

    ``live`` holds, for each table written by batch stages, the identities of the work that the recipe asks for today.
    Tables without a column ``work`` are those of people and of driver stages: they show the rows of the current items.
    """

    def __init__(self, workspace: Workspace, labels: LabelSchema, live: Mapping[str, frozenset[str]]) -> None:
        self.workspace = workspace
        self.labels = labels
        self.live = dict(live)

    def read(self, table: str, columns: Sequence[str] | None = None, *, with_repeats: bool = False) -> pa.Table:
        """The current rows of a table, sorted by key; items that repeat others only ``with_repeats``."""
        stored = self.workspace.table(table, self.labels)
        by = "work" if "work" in stored.spec.schema.names else "item_id"
        marks = ["repeats"] if table == "items" and not with_repeats else []
        wanted = list(dict.fromkeys([*columns, by, stored.spec.key, *marks])) if columns else None
        rows = stored.read(wanted)
        if by == "item_id":
            works = frozenset(self.read("items", ["item_id"])["item_id"].to_pylist())
        elif table == "rejections":
            works = frozenset().union(*self.live.values())
        else:
            works = self.live.get(table, frozenset())
        rows = rows.filter(pc.is_in(rows[by], value_set=pa.array(list(works), pa.string())))
        for mark in marks:
            rows = rows.filter(pc.is_null(rows[mark]))
        rows = rows.sort_by(stored.spec.key)
        return rows.select(list(columns)) if columns else rows

    def amend(
        self, table: str, column: str, values: Mapping[str, Any], *, metadata: Mapping[str, str] | None = None
    ) -> int:
        """Set one column of the current rows with these keys, in one transaction; gives the number that differed."""
        stored = self.workspace.table(table, self.labels)
        schema = pa.schema([stored.spec.schema.field(name) for name in (stored.spec.key, column, "work")])
        rows = self.read(table, schema.names, with_repeats=True).to_pylist()
        changed = [
            row | {column: values[row[stored.spec.key]]}
            for row in rows
            if row[stored.spec.key] in values and row[column] != values[row[stored.spec.key]]
        ]
        stored.update(pa.Table.from_pylist(changed, schema=schema), metadata=metadata or {})
        return len(changed)

    def append(self, table: str, rows: Sequence[Mapping[str, Any]], *, metadata: Mapping[str, str]) -> int:
        """Append rows whose key is not there yet, in one transaction; gives the number that were new."""
        stored = self.workspace.table(table, self.labels)
        key = stored.spec.key
        known = set(stored.read([key])[key].to_pylist())
        fresh: dict[str, Mapping[str, Any]] = {}
        for row in rows:
            if row[key] not in known:
                fresh.setdefault(row[key], row)
        stored.commit(list(fresh.values()), metadata=metadata)
        return len(fresh)
