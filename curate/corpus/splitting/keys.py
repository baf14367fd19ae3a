"""What items may share: their source, speaker, participant, or any column of an item, its source or its table."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.kept import KEPT_COLUMNS, kept_values, names_kept
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


def _source_column(items: pa.Table, sources: pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    if name in sources.column_names and name != KEPT_COLUMNS:
        return sources[name]
    values = kept_values(sources[KEPT_COLUMNS], name) if KEPT_COLUMNS in sources.column_names else None
    if values is None:
        kept_columns = names_kept(sources[KEPT_COLUMNS]) if KEPT_COLUMNS in sources.column_names else ()
        stored_columns = [column for column in (*items.column_names, *sources.column_names) if column != KEPT_COLUMNS]
        raise InvalidInput(
            f"no item has a column {name!r}{nearest(name, [*COLUMNS, *kept_columns, *stored_columns])}",
            hint="name a column of items or sources, or one that `ingest` keeps of its tables",
        )
    return values
