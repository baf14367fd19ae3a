"""Soft labels: what share of raters gave each label, and how divided they are."""

from collections import Counter, defaultdict
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.labels import LabelSchema
from curate.report.sections.labels import Bar, distinct_values, histogram


class SoftLabels(NamedTuple):
    """The soft labels of a field over the items that people labelled."""

    items: int
    shares: list[tuple[str, float, float]]
    """For each label its mean share of raters, and the share of items that have it as label (0-1)"""
    entropy: list[Bar]
    """Items by the entropy of their soft label in bits; empty unless several raters judged an item"""


def soft_labels(schema: LabelSchema, labels: pa.Table) -> dict[str, SoftLabels]:
    """Return the soft labels of each field that has some; ``labels`` needs ``soft``, ``decisions`` and the fields."""
    people = labels.filter(pc.equal(labels["label_source"], "human"))
    if not people.num_rows:
        return {}
    sums, hard = _sums(people), _hard(schema, people)
    entropies = _entropies(people)
    result = {}
    for name, field in schema.fields.items():
        by_label = sums.get(name)
        if not field.labels or not by_label:
            continue
        answered = people.num_rows - people[name].null_count
        decided = max(answered, _decided(people, name))
        shares = [(label, by_label[label] / decided, hard[name][label] / decided) for label in field.labels]
        ranked = sorted((entry for entry in shares if entry[1] or entry[2]), key=lambda entry: -entry[1])
        bars = histogram(entropies[name]) if len(set(entropies[name])) > 1 else []
        result[name] = SoftLabels(decided, ranked, bars)
    return result


def _sums(people: pa.Table) -> dict[str, dict[str, float]]:
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    entries = pc.list_flatten(people["soft"])
    if not len(entries):
        return sums
    table = pa.table({name: pc.struct_field(entries, name) for name in ("field", "label", "share")})
    for row in table.group_by(["field", "label"]).aggregate([("share", "sum")]).to_pylist():
        sums[row["field"]][row["label"]] = row["share_sum"] or 0.0
    return sums


def _hard(schema: LabelSchema, people: pa.Table) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, field in schema.fields.items():
        if field.labels:
            rows = people.select([name, "label_source"]).filter(pc.is_valid(people[name]))
            for value, _, times in distinct_values(rows, name):
                for label in set(field.labels_of(value)):
                    counts[name][label] += times
    return counts


def _decided(people: pa.Table, name: str) -> int:
    """Return the number of items for which raters answered a field, decided or not."""
    entries = pc.list_flatten(people["decisions"])
    if not len(entries):
        return 0
    answered = pc.and_(
        pc.equal(pc.struct_field(entries, "field"), name), pc.greater(pc.struct_field(entries, "raters"), 0)
    )
    return int(pc.sum(answered).as_py() or 0)


def _entropies(people: pa.Table) -> dict[str, list[float]]:
    entropies: dict[str, list[float]] = defaultdict(list)
    entries = pc.list_flatten(people["decisions"])
    if len(entries):
        table = pa.table({name: pc.struct_field(entries, name) for name in ("field", "raters", "entropy")})
        several = table.filter(pc.and_(pc.greater(table["raters"], 1), pc.is_valid(table["entropy"])))
        for name, value in zip(several["field"].to_pylist(), several["entropy"].to_pylist(), strict=True):
            entropies[name].append(round(value, 4))
    return entropies
