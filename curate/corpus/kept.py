"""Columns of other people's tables that are kept with the sources."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.view import Corpus


def kept_names(corpus: Corpus) -> tuple[str, ...]:
    """Return the names of the columns that any source keeps."""
    entries = _entries(corpus.read("sources", ["columns"])["columns"])
    return tuple(entries.field("name").unique().to_pylist())


def kept_column(corpus: Corpus, name: str) -> pa.Table | None:
    """Return ``item_id`` and the values of a column that is kept (null: none); None if no source has it."""
    sources = corpus.read("sources", ["source_id", "columns"])
    columns = sources["columns"].combine_chunks()
    entries, of_source = _entries(columns), np.asarray(pc.list_parent_indices(columns))
    is_wanted = np.asarray(pc.fill_null(pc.equal(entries.field("name"), name), False))
    if not is_wanted.any():
        return None
    entry_of_source = np.full(sources.num_rows, -1)
    entry_of_source[of_source[is_wanted]] = np.flatnonzero(is_wanted)
    items = corpus.read("items", ["item_id", "source_id"])
    rows = np.asarray(pc.index_in(items["source_id"], value_set=sources["source_id"]).combine_chunks().fill_null(-1))
    chosen = np.append(entry_of_source, -1)[rows]
    values = entries.field("value").take(pa.array(chosen, mask=chosen < 0))
    return pa.table({"item_id": items["item_id"], name: values})


def _entries(columns: pa.ListArray | pa.ChunkedArray) -> pa.StructArray:
    array = columns.combine_chunks() if isinstance(columns, pa.ChunkedArray) else columns
    return array.flatten()
