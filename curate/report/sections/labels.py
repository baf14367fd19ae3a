"""How the labels of each field are distributed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.labels import Field, LabelSchema

_BINS = 10


class Bar(NamedTuple):
    """One row of a bar chart: lengths by CSS class, in order."""

    name: str
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        """The length of the bar."""
        return sum(self.parts.values())


def label_distributions(schema: LabelSchema, labels: pa.Table) -> dict[str, list[Bar]]:
    """Return the bars of each field that has values: counts by label, or a histogram of numbers."""
    bars = {}
    for name, field in schema.fields.items():
        rows = labels.select([name, "label_source"]).filter(pc.is_valid(labels[name]))
        bars[name] = _count_labels(field, name, rows) if field.labels else _count_numbers(field, name, rows)
    return {name: field_bars for name, field_bars in bars.items() if field_bars}


def histogram(values: Sequence[float]) -> list[Bar]:
    """Return counts of numbers: one bar for each whole number if there are few, else ten equal ranges."""
    least, greatest = min(values), max(values)
    if all(value.is_integer() for value in values) and greatest - least < _BINS:
        steps = range(int(least), int(greatest) + 1)
        return [Bar(str(step), {"count": sum(value == step for value in values)}) for step in steps]
    if least == greatest:
        return [Bar(f"{least:g}", {"count": len(values)})]
    width = (greatest - least) / _BINS
    counts = Counter(min(int((value - least) / width), _BINS - 1) for value in values)
    edges = [least + i * width for i in range(_BINS + 1)]
    return [Bar(f"{edges[i]:.2f} to {edges[i + 1]:.2f}", {"count": counts[i]}) for i in range(_BINS)]


def _count_labels(field: Field, name: str, rows: pa.Table) -> list[Bar]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for value, source in zip(rows[name].to_pylist(), rows["label_source"].to_pylist(), strict=True):
        for label in field.labels_of(value):
            counts[label]["human" if source == "human" else "model"] += 1
    order = sorted(counts, key=lambda label: -counts[label].total())
    return [Bar(label, {kind: counts[label][kind] for kind in ("human", "model")}) for label in order]


def _count_numbers(field: Field, name: str, rows: pa.Table) -> list[Bar]:
    numbers = [field.number_of(value) for value in rows[name].to_pylist()]
    defined = [number for number in numbers if number is not None]
    return histogram(defined) if defined else []
