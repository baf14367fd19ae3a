"""The rows of a table at one moment, whose columns can be read one after another."""

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.storage.columns import fill_columns

_READ_AHEAD = {"batch_readahead": 2, "fragment_readahead": 1}


class Snapshot:
    """The rows of a table at one moment."""

    def __init__(self, schema: pa.Schema, live: Any) -> None:
        """Take the columns that the table should have, and the data set of its files; None for no rows."""
        self._schema, self._live = schema, live

    def count(self) -> int:
        """Return the number of rows, without reading them."""
        return 0 if self._live is None else int(self._live.count_rows())

    def read(self, columns: Sequence[str], *, matching: tuple[str, Collection[str]] | None = None) -> pa.Table:
        """Return the rows, or those with certain values of a column, always in the same order."""
        schema = pa.schema([self._schema.field(name) for name in columns])
        if self._live is None:
            return schema.empty_table()
        stored_columns = [name for name in columns if name in self._live.schema.names]
        if matching is not None:
            return fill_columns(_select(self._live, stored_columns, *matching), schema)
        return fill_columns(self._live.to_table(columns=stored_columns, **_READ_AHEAD), schema)


def _select(live: Any, columns: Sequence[str], column: str, values: Collection[str]) -> pa.Table:
    """Return the rows with certain values of a column, batch by batch.

    Arrow's own filter fails on files that Delta's merge has written, with statistics of another type.
    """
    wanted = pa.array(list(values), pa.string())
    batches = live.to_batches(columns=list(dict.fromkeys([*columns, column])), **_READ_AHEAD)
    parts = [batch.filter(pc.is_in(batch[column], value_set=wanted)) for batch in batches]
    schema = pa.schema([live.schema.field(name) for name in dict.fromkeys([*columns, column])])
    return pa.Table.from_batches([part for part in parts if part.num_rows], schema)
