"""How splits compare: items, those that people labelled, and the share of each label."""

from collections import Counter, defaultdict
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.labels import LabelSchema
from curate.report.sections.labels import distinct_values

_MAX_LABELS = 40


class FieldBalance(NamedTuple):
    """The share of each split's labelled items that have a label (0-1), by label; and how many are labelled."""

    field: str
    labelled: list[int]
    rows: list[tuple[str, list[float | None]]]


class SplitBalance(NamedTuple):
    """The splits in order, their items and those that people labelled, and the balance of each field."""

    names: list[str]
    items: list[int]
    by_people: list[int]
    fields: list[FieldBalance]
    withheld: int


def split_balance(schema: LabelSchema, labels: pa.Table, splits: pa.Table | None) -> SplitBalance | None:
    """Return how the next release's splits compare; None without splits."""
    if splits is None or not splits.num_rows:
        return None
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(splits["split"]).to_pylist()}
    withheld = counts.pop(None, 0)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    rows = pc.index_in(labels["item_id"], value_set=splits["item_id"])
    of_label = splits["split"].take(rows)
    parts = {name: labels.filter(pc.fill_null(pc.equal(of_label, name), False)) for name in names}
    by_people = [int(pc.sum(pc.equal(part["label_source"], "human")).as_py() or 0) for part in parts.values()]
    fields = [_field(schema, name, list(parts.values())) for name, field in schema.fields.items() if field.labels]
    return SplitBalance(names, [counts[name] for name in names], by_people, [f for f in fields if f.rows], withheld)


def _field(schema: LabelSchema, name: str, parts: list[pa.Table]) -> FieldBalance:
    field, by_label, labelled = schema.fields[name], defaultdict[str, Counter[int]](Counter), []
    for index, part in enumerate(parts):
        rows = part.select([name, "label_source"]).filter(pc.is_valid(part[name]))
        labelled.append(rows.num_rows)
        for value, _, times in distinct_values(rows, name):
            for label in set(field.labels_of(value)):
                by_label[label][index] += times
    order = sorted(filter(by_label.__contains__, field.labels), key=lambda label: -by_label[label].total())[
        :_MAX_LABELS
    ]
    shares = [
        (label, [by_label[label][i] / count if count else None for i, count in enumerate(labelled)]) for label in order
    ]
    return FieldBalance(name, labelled, shares)
