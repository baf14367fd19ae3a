"""Counts over released rows for the data card, collected in one pass."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.labels import Field, LabelSchema
from curate.release.columns import Column, Indices, combined

_UNCHANGED = "prediction"
"""The origin of an answer that is the pre-label's, left as it was"""

_DATASET = "^hf://datasets/([^@]+@[0-9a-f]{40})/(?s:.*)"
"""A file of the Hub; see ``HubFile.name``"""


class Statistics:
    """Counts of a release's rows, by split where that matters; ``add`` every row."""

    def __init__(self, labels: LabelSchema, hidden: Collection[str] = ()) -> None:
        """``hidden`` are the splits whose labels are left out: their items count as ``hidden``, not as unlabelled."""
        self._schema = labels
        self._hidden = frozenset(hidden)
        self.rows: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.label_sources: dict[str, Counter[str]] = defaultdict(Counter)
        self.units: Counter[str] = Counter()
        self.raters: Counter[int] = Counter()
        self.origins: Counter[tuple[str, str]] = Counter()
        """Items by collection and licence"""
        self.datasets: Counter[str] = Counter()
        """Items by data set of the Hugging Face Hub, as ``owner/name@commit``"""
        self._sources: dict[tuple[str, str], list[Indices]] = defaultdict(list)
        self.proposals: dict[str, Counter[str]] = defaultdict(Counter)
        """Items by model and outcome"""
        self.modalities: Counter[str] = Counter()
        """Items that have a text, audio, image or video"""
        self.answers: Counter[str] = Counter()
        """Answers of people by field"""
        self.copied: Counter[str] = Counter()
        """Those that are the pre-label's, left as it was"""
        self.judged_on: set[str] = set()
        """Days (UTC) of judgements"""
        self.speakers: set[str] = set()
        self.annotators: set[str] = set()
        self.cannot_judge: Counter[str] = Counter()
        self.arms: Counter[str] = Counter()
        """Judgements by what the rater was shown, where that is stated"""
        self.faces = 0
        """Items with a face"""
        self.classes: dict[str, dict[str, Counter[str]]] = {
            name: defaultdict(Counter) for name, field in labels.fields.items() if field.labels
        }
        self.values: Counter[str] = Counter()
        self.numbers: dict[str, Counter[float]] = defaultdict(Counter)
        """Items by field and number"""
        self.agreement: dict[str, list[float]] = defaultdict(list)

    @property
    def sources(self) -> dict[tuple[str, str], int]:
        """The number of sources by collection and licence."""
        return {origin: len(np.unique(np.concatenate(parts))) for origin, parts in self._sources.items()}

    def add(self, split: str, columns: Mapping[str, Column], sources: Indices) -> None:
        """Count some rows; ``sources`` holds a number for the source of each."""
        rows = pa.table({name: column.values for name, column in columns.items()})
        self.rows[split] += rows.num_rows
        timed = rows.filter(pc.and_(rows["start_s"].is_valid(), rows["end_s"].is_valid()))
        for length_s in pc.subtract(timed["end_s"], timed["start_s"]).to_pylist():
            self.seconds[split] += length_s
        _count(self.label_sources[split], rows["label_source"], "hidden" if split in self._hidden else "none")
        _count(self.units, rows["unit"], "item")
        _count(self.raters, rows.filter(rows["reviewed"])["raters"], 0)
        origins = rows.select(["collection", "licence"]).append_column("source", pa.array(sources))
        for group in origins.group_by(["collection", "licence"]).aggregate([("source", "list")]).to_batches():
            for collection, licence, numbers in zip(
                group["collection"], group["licence"], group["source_list"], strict=True
            ):
                origin = (collection.as_py() or "not stated", licence.as_py() or "not stated")
                self.origins[origin] += len(numbers)
                self._sources[origin].append(np.unique(numbers.values.to_numpy()))
        self._count_datasets(rows["file"])
        self.speakers.update(rows["speaker"].drop_null().unique().to_pylist())
        acts = combined(pc.list_flatten(rows["judgements"]))
        self.annotators.update(acts.field("annotator").drop_null().unique().to_pylist())
        self._count_answers(acts)
        prelabels = combined(rows["prelabel"].drop_null())
        names = (
            pc.if_else(pc.equal(prelabels.field(name), ""), None, prelabels.field(name))
            for name in ("model", "labeller")
        )
        proposals = pa.table(
            {"model": pc.fill_null(pc.coalesce(*names), "not stated"), "outcome": prelabels.field("outcome")}
        )
        for entry in proposals.group_by(["model", "outcome"]).aggregate([([], "count_all")]).to_pylist():
            self.proposals[entry["model"]][entry["outcome"] or "not stated"] += entry["count_all"]
        self.faces += rows.num_rows - rows["face"].null_count
        for medium in ("text", "audio", "image", "video"):
            self.modalities[medium] += rows.num_rows - rows[medium].null_count
        self.modalities["text"] += pc.sum(pc.and_(rows["text"].is_null(), rows["dialogue"].is_valid())).as_py() or 0
        for entry in pc.list_flatten(rows["agreement"]).drop_null().to_pylist():
            if entry["value"] is not None:
                self.agreement[entry["field"]].append(entry["value"])
        for name, field in self._schema.fields.items():
            self._count_values(split, name, field, columns[name])

    def _count_datasets(self, files: pa.ChunkedArray) -> None:
        names = pc.replace_substring_regex(files.filter(pc.match_substring_regex(files, _DATASET)), _DATASET, r"\1")
        for dataset in pc.value_counts(names).to_pylist():
            self.datasets[dataset["values"]] += dataset["counts"]

    def _count_answers(self, acts: pa.StructArray) -> None:
        self.judged_on.update(str(day) for day in acts.field("acted_at").drop_null().cast(pa.date32()).unique())
        self.arms.update(acts.field("arm").drop_null().to_pylist())
        self.cannot_judge.update(acts.field("cannot_judge").drop_null().to_pylist())
        origins = pc.list_flatten(acts.field("origins"))
        entries = pa.table({"field": origins.field("field"), "origin": origins.field("origin")})
        for entry in entries.group_by(["field", "origin"]).aggregate([([], "count_all")]).to_pylist():
            self.answers[entry["field"]] += entry["count_all"]
            self.copied[entry["field"]] += entry["count_all"] if entry["origin"] == _UNCHANGED else 0

    def _count_values(self, split: str, name: str, field: Field, column: Column) -> None:
        for text, count in Counter(column.json).items():
            if text == "null":
                continue
            self.values[name] += count
            stored = field.from_release(json.loads(text))
            if field.labels:
                for label in field.labels_of(stored):
                    self.classes[name][split][label] += count
            elif (number := field.number_of(stored)) is not None:
                self.numbers[name][number] += count


def _count(counter: Counter[Any], values: pa.ChunkedArray | pa.Array, missing: Any) -> None:
    for entry in pc.value_counts(values).to_pylist():
        counter[entry["values"] or missing] += entry["counts"]
