"""How the labels of each field are distributed."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.identity import json_values
from curate.labels import Field, LabelSchema

_BINS = 10
_ROWS = 50_000


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
    for value, is_human, times in distinct_values(rows, name):
        for label in field.labels_of(value):
            counts[label]["human" if is_human else "model"] += times
    order = sorted(counts, key=lambda label: -counts[label].total())
    return [Bar(label, {kind: counts[label][kind] for kind in ("human", "model")}) for label in order]


def _count_numbers(field: Field, name: str, rows: pa.Table) -> list[Bar]:
    numbers: Counter[float] = Counter()
    for value, _, times in distinct_values(rows, name):
        if (number := field.number_of(value)) is not None:
            numbers[number] += times
    return histogram(list(numbers.elements())) if numbers else []


def distinct_values(rows: pa.Table, name: str) -> Iterator[tuple[Any, bool, int]]:
    """Yield each value of a column by whether a person gave it, and how often, in the order of the rows."""
    is_human = pc.equal(rows["label_source"], "human").to_pylist()
    for start in range(0, rows.num_rows, _ROWS):
        values = json_values(rows[name].slice(start, _ROWS))
        for (text, human), times in Counter(zip(values, is_human[start : start + _ROWS], strict=True)).items():
            yield json.loads(text), human, times
