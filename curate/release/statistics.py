"""Counts over released rows for the data card, collected in one pass."""

from collections import Counter, defaultdict
from typing import Any

from curate.labels import LabelSchema
from curate.release.rows import Row


class Statistics:
    """Counts of a release's rows, by split where that matters; ``add`` every row."""

    def __init__(self, labels: LabelSchema) -> None:
        self._schema = labels
        self.rows: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.label_sources: dict[str, Counter[str]] = defaultdict(Counter)
        self.units: Counter[str] = Counter()
        self.raters: Counter[int] = Counter()
        self.origins: dict[tuple[str, str], tuple[set[str], Counter[str]]] = {}
        self.models: Counter[str] = Counter()
        self.speakers: set[str] = set()
        self.annotators: set[str] = set()
        self.cannot_judge: Counter[str] = Counter()
        self.classes: dict[str, dict[str, Counter[str]]] = {
            name: defaultdict(Counter) for name, field in labels.fields.items() if field.labels
        }
        self.values: Counter[str] = Counter()
        self.numbers: dict[str, list[float]] = defaultdict(list)
        self.agreement: dict[str, list[float]] = defaultdict(list)

    def add(self, split: str, row: Row) -> None:
        """Count one row."""
        self.rows[split] += 1
        if row["start_s"] is not None and row["end_s"] is not None:
            self.seconds[split] += row["end_s"] - row["start_s"]
        self.label_sources[split][row["label_source"] or "none"] += 1
        self.units[row["unit"] or "item"] += 1
        if row["reviewed"]:
            self.raters[row["raters"] or 0] += 1
        origin = (row["collection"] or "not stated", row["licence"] or "not stated")
        sources, counts = self.origins.setdefault(origin, (set(), Counter()))
        sources.add(row["source_id"])
        counts["items"] += 1
        if row["speaker"] is not None:
            self.speakers.add(row["speaker"])
        self.annotators.update(act["annotator"] for act in row["judgements"] if act["annotator"] is not None)
        self.cannot_judge.update(act["cannot_judge"] for act in row["judgements"] if act["cannot_judge"])
        if row["prelabel"]:
            self.models[row["prelabel"]["model"] or row["prelabel"]["labeller"] or "not stated"] += 1
        for entry in row["agreement"] or ():
            if entry["value"] is not None:
                self.agreement[entry["field"]].append(entry["value"])
        for name in self._schema.fields:
            if row[name] is not None:
                self._count_value(split, name, row[name])

    def _count_value(self, split: str, name: str, value: Any) -> None:
        self.values[name] += 1
        field = self._schema.fields[name]
        stored = field.from_release(value)
        if field.labels:
            self.classes[name][split].update(field.labels_of(stored))
        elif (number := field.number_of(stored)) is not None:
            self.numbers[name].append(number)
