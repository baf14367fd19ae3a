"""What sections on items share: usable proposals, and labels in words."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.labels import LabelSchema

Row = dict[str, Any]


def final_proposals(prelabels: pa.Table) -> pa.Table:
    """Return the usable proposals that count for their items."""
    return prelabels.filter(pc.and_(pc.fill_null(prelabels["final"], False), pc.equal(prelabels["outcome"], "ok")))


def rows_with(table: pa.Table, column: str, values: Iterable[str]) -> pa.Table:
    """Return the rows whose column has one of the values."""
    return table.filter(pc.is_in(table[column], value_set=pa.array(list(values), pa.string())))


def label_entries(label: Row, proposal: Row, schema: LabelSchema) -> list[Row]:
    """Return the fields with a label or a proposal, both as words; a proposal that equals the label is left out."""
    entries = []
    for name, field in schema.fields.items():
        final, proposed = label.get(name), proposal.get(name)
        if final is not None or proposed is not None:
            entries.append(
                {
                    "name": name,
                    "label": field.show(final) if final is not None else [],
                    "proposal": field.show(proposed) if proposed not in (None, final) else [],
                }
            )
    return entries
