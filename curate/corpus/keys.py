"""What items may share: their source, speaker, participant, or any column of an item, its source or its table."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from curate.document import nearest
from curate.errors import InvalidInput

COLUMNS = {
    "source": "source_id",
    "speaker": "speaker",
    "participant": "participant",
    "identity": "face_identity",
    "group": "group",
    "near_duplicate": "near_duplicate",
}
"""The columns of keys with names of their own; any other key is the name of its column."""
KEPT = "columns"
"""The column of ``sources`` with what a recipe keeps of its tables, as names and values"""


def column_of(key: str) -> str:
    """Return the column that holds a key."""
    return COLUMNS.get(key, key)


def with_participants(items: pa.Table, sources: pa.Table) -> pa.Table:
    """Return the items with a column ``participant``, from the rows of ``sources``."""
    return with_columns(items, sources, ["participant"])


def speakers_of(items: pa.Table, sources: pa.Table) -> pa.Table:
    """Return the ``item_id`` of items, and as ``speaker`` who speaks: else their participant, else their source."""
    participants = with_participants(items, sources)["participant"]
    return pa.table(
        {"item_id": items["item_id"], "speaker": pc.coalesce(items["speaker"], participants, items["source_id"])}
    )


def with_columns(items: pa.Table, sources: pa.Table, names: Iterable[str]) -> pa.Table:
    """Return the items with these columns besides their own: of their sources, or kept of their sources' tables.

    Raises ``InvalidInput`` if there is no such column, or if its values are lists.
    """
    rows = pc.index_in(items["source_id"], value_set=sources["source_id"])
    for name in names:
        if name not in items.column_names:
            items = items.append_column(name, _source_column(items, sources, name).take(rows))
        if pa.types.is_nested(items.schema.field(name).type):
            raise InvalidInput(f"column {name} has lists as values", hint="name a column with one value an item")
    return items


def _source_column(items: pa.Table, sources: pa.Table, name: str) -> pa.ChunkedArray:
    if name in sources.column_names and name != KEPT:
        return sources[name]
    kept = sources[KEPT] if KEPT in sources.column_names else pa.chunked_array([], pa.list_(pa.struct([])))
    names = (
        pc.struct_field(pc.list_flatten(kept), "name") if KEPT in sources.column_names else pa.array([], pa.string())
    )
    if name not in (known := names.unique().to_pylist()):
        own = [column for column in (*items.column_names, *sources.column_names) if column != KEPT]
        raise InvalidInput(
            f"no item has a column {name!r}{nearest(name, [*COLUMNS, *known, *own])}",
            hint="name a column of items or sources, or one that `ingest` keeps of its tables",
        )
    is_wanted = pc.equal(names, name)
    owners = pc.list_parent_indices(kept).filter(is_wanted)
    values = pc.struct_field(pc.list_flatten(kept), "value").filter(is_wanted)
    positions = pc.index_in(pa.array(range(sources.num_rows), owners.type), value_set=owners)
    return values.take(positions)
