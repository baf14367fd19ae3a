"""Columns of other people's tables that are kept with the sources."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.view import Corpus

KEPT_COLUMNS = "columns"
"""The column of ``sources`` with what a recipe keeps of its tables, as names and values"""


def kept_names(corpus: Corpus) -> tuple[str, ...]:
    """Return the names of the columns that any source keeps."""
    return names_kept(corpus.read("sources", [KEPT_COLUMNS])[KEPT_COLUMNS])


def kept_column(corpus: Corpus, name: str) -> pa.Table | None:
    """Return ``item_id`` and the values of a column that is kept (null: none); None if no source has it."""
    sources = corpus.read("sources", ["source_id", KEPT_COLUMNS])
    values = kept_values(sources[KEPT_COLUMNS], name)
    if values is None:
        return None
    items = corpus.read("items", ["item_id", "source_id"])
    rows = pc.index_in(items["source_id"], value_set=sources["source_id"])
    return pa.table({"item_id": items["item_id"], name: values.take(rows)})


def names_kept(columns: pa.ChunkedArray) -> tuple[str, ...]:
    """Return the names in a column of kept columns."""
    return tuple(_entries(columns).field("name").unique().to_pylist())


def kept_values(columns: pa.ChunkedArray, name: str) -> pa.Array | None:
    """Return the value that each row keeps under a name (null: none); None if no row has it."""
    array = columns.combine_chunks()
    entries, of_row = _entries(columns), np.asarray(pc.list_parent_indices(array))
    is_wanted = np.asarray(pc.fill_null(pc.equal(entries.field("name"), name), False))
    if not is_wanted.any():
        return None
    entry_of_row = np.full(len(array), -1)
    entry_of_row[of_row[is_wanted]] = np.flatnonzero(is_wanted)
    return entries.field("value").take(pa.array(entry_of_row, mask=entry_of_row < 0))


def _entries(columns: pa.ListArray | pa.ChunkedArray) -> pa.StructArray:
    array = columns.combine_chunks() if isinstance(columns, pa.ChunkedArray) else columns
    return array.flatten()
