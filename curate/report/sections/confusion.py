"""Where a model's proposals differ from what people decided."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.identity import json_values
from curate.corpus.judgements import is_prefilled
from curate.labels import Field, LabelSchema
from curate.report.sections.items import final_proposals

_MAX_LABELS = 24


class Confusion(NamedTuple):
    """The labels of a field by people (rows) and by the model (columns), over items for which each gave one label."""

    field: str
    items: int
    """Items with an answer of both"""
    counted: int
    """Those for which both gave exactly one label: the cells of all labels add up to it"""
    labels: list[str]
    """Those of the matrix: the first ``_MAX_LABELS`` of ``per_label``"""
    cells: list[tuple[str, list[tuple[int, float]]]]
    """By people's label: counts by the model's, and their share of the row (0-1)"""
    per_label: list[tuple[str, int, int, int, float | None, float | None]]
    """Label, items of people, of the model, of both, precision, recall; over all items"""


class NumberError(NamedTuple):
    """How far the model's numbers are from people's: mean difference (model minus people) and mean distance."""

    field: str
    items: int
    bias: float
    distance: float


class ModelAgainstPeople(NamedTuple):
    """All comparisons, and how many of the compared items people judged with a proposal in the form."""

    confusions: list[Confusion]
    numbers: list[NumberError]
    items: int
    prefilled: int


def compare_with_people(schema: LabelSchema, tables: dict[str, pa.Table]) -> ModelAgainstPeople | None:
    """Return how the final proposals differ from labels that people decided; None if no item has both."""
    labels = tables["labels"]
    people = labels.filter(pc.equal(labels["label_source"], "human"))
    proposals = final_proposals(tables["prelabels"])
    rows = pc.index_in(people["item_id"], value_set=proposals["item_id"])
    people = people.filter(rows.is_valid())
    if not people.num_rows:
        return None
    proposals = proposals.take(rows.drop_null())
    confusions, numbers = [], []
    for name, field in schema.fields.items():
        pairs = _pairs(people[name], proposals[name])
        if not pairs:
            continue
        if field.labels and field.scored_taxonomy is not None:
            confusions.append(_confusion(field, pairs))
        elif field.comparison in ("ordinal", "interval"):
            numbers.append(_number_error(field, pairs))
    acts = tables["annotations"]
    prefilled_ids = acts.filter(pa.array(is_prefilled(acts)))["item_id"].unique()
    prefilled = pc.sum(pc.is_in(people["item_id"], value_set=prefilled_ids)).as_py() or 0
    return ModelAgainstPeople(confusions, numbers, people.num_rows, prefilled)


def _pairs(people: pa.ChunkedArray, model: pa.ChunkedArray) -> list[tuple[Any, Any, int]]:
    """Return each pair of values with its number of items."""
    counts = Counter(zip(json_values(people), json_values(model), strict=True))
    return [(json.loads(a), json.loads(b), n) for (a, b), n in counts.items() if "null" not in (a, b)]


def _confusion(field: Field, pairs: Iterable[tuple[Any, Any, int]]) -> Confusion:
    cells: Counter[tuple[str, str]] = Counter()
    of_people, of_model, of_both = Counter[str](), Counter[str](), Counter[str]()
    items = 0
    for people, model, times in pairs:
        judged, proposed = set(field.labels_of(people)), set(field.labels_of(model))
        items += times
        for counter, labels in ((of_people, judged), (of_model, proposed), (of_both, judged & proposed)):
            counter.update(dict.fromkeys(labels, times))
        if len(judged) == len(proposed) == 1:
            cells[judged.copy().pop(), proposed.copy().pop()] += times
    used_labels = [label for label in field.labels if of_people[label] or of_model[label]]
    per_label = [
        (
            label,
            of_people[label],
            of_model[label],
            of_both[label],
            *_shares(of_both[label], of_model[label], of_people[label]),
        )
        for label in used_labels
    ]
    matrix_labels = used_labels[:_MAX_LABELS]
    totals = {row: sum(cells[row, column] for column in used_labels) for row in matrix_labels}
    matrix = [
        (
            row,
            [
                (cells[row, column], cells[row, column] / totals[row] if totals[row] else 0.0)
                for column in matrix_labels
            ],
        )
        for row in matrix_labels
    ]
    return Confusion(field.name, items, cells.total(), matrix_labels, matrix, per_label)


def _shares(both: int, model: int, people: int) -> tuple[float | None, float | None]:
    return both / model if model else None, both / people if people else None


def _number_error(field: Field, pairs: Iterable[tuple[Any, Any, int]]) -> NumberError:
    items, total, distance = 0, 0.0, 0.0
    for people, model, times in pairs:
        judged, proposed = field.number_of(people), field.number_of(model)
        if judged is not None and proposed is not None:
            items, total = items + times, total + times * (proposed - judged)
            distance += times * abs(proposed - judged)
    return NumberError(field.name, items, total / max(items, 1), distance / max(items, 1))
