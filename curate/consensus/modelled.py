"""Labels from methods that estimate how good each rater is."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.consensus.agreement.ratings import Floats, Integers, Ratings
from curate.consensus.agreement.traces import Trace, rater_lags, shift
from curate.consensus.columns import Answers, FieldColumns, facts_of, numbers_of, repeated
from curate.consensus.evidence import Evidence
from curate.consensus.methods.dawid_skene import dawid_skene
from curate.consensus.methods.glad import glad
from curate.consensus.methods.mace import mace
from curate.consensus.methods.votes import Posterior
from curate.consensus.methods.weighted import evaluator_weights, gold_weighted, weighted_mean
from curate.consensus.settings import FieldSettings
from curate.errors import InvalidInput
from curate.labels import Field

_METHODS: Mapping[str, Callable[[Ratings], Posterior]] = {"dawid_skene": dawid_skene, "mace": mace, "glad": glad}
_LEAST_SHARE = 1e-4
_EVEN = 1e-9


def estimated(
    field: Field, evidence: Evidence, answers: Answers, settings: FieldSettings, counted: FieldColumns
) -> FieldColumns:
    """Return the columns of a field of labels; of several labels, each is estimated as present or not.

    ``counted`` are the columns by counting, whose agreement stays. Raises ``InvalidInput`` if judgements do not say who
    gave them.
    """
    raters = evidence.raters[answers.rows]
    if unnamed := int((raters < 0).sum()):
        raise InvalidInput(
            f"{settings.method} compares raters, and {unnamed:,} judgements of {field.name} do not say who gave them",
            hint="use majority, plurality or all_inclusive, which count votes",
        )
    judged_items, items = np.unique(evidence.items[answers.rows], return_inverse=True)
    is_expert = np.isin(
        raters, [number for number, name in enumerate(evidence.rater_names) if name in settings.experts]
    )
    if settings.method == "gold_weighted" and not is_expert.any():
        raise InvalidInput(
            f"none of the experts {', '.join(settings.experts)} has judged {field.name}",
            hint="name raters as `annotations` does",
        )
    has_label = np.array([[label in field.labels_of(value) for label in field.labels] for value in answers.values])
    ratings = Ratings(items.astype(np.int64), raters, answers.codes, answers.values)
    shares = _probabilities(field, ratings, has_label, is_expert, settings)
    decided_by = np.full(len(judged_items), "raters", dtype=object)
    decided_by[items[is_expert]] = "experts"
    if field.is_multiple:
        values = _sets(field, ratings, shares)
    else:
        best = Posterior(shares, shares[:0], 0).best()
        is_tie = best < 0
        if settings.ties == "first":
            best, decided_by[is_tie] = np.where(is_tie, shares.argmax(axis=1), best), "ties"
        values = pa.array(field.labels, pa.string()).take(pa.array(best, mask=best < 0))
    decided_by[~np.asarray(values.is_valid())] = "undecided"
    return FieldColumns(
        values,
        _soft(field, shares),
        counted.agreement.take(pa.array(counted.pattern_of_item[judged_items])),
        facts_of(settings.method, _entropies(shares), decided_by),
        _placed(judged_items, evidence.item_count),
    )


def evaluator_weighted(field: Field, evidence: Evidence, answers: Answers, counted: FieldColumns) -> FieldColumns:
    """Return the evaluator-weighted means of numbers; ``counted`` are the columns by counting."""
    items, raters, numbers = evidence.items[answers.rows], evidence.raters[answers.rows], numbers_of(answers)
    weights = np.ones(len(raters))
    named = raters >= 0
    if named.any():
        by_rater = evaluator_weights(items[named], raters[named], numbers[named], len(evidence.rater_names))
        weights[named] = by_rater[raters[named]]
    means = weighted_mean(items, numbers, weights)
    judged_items = np.flatnonzero(np.isfinite(means))
    values = [_on_scale(field, mean) for mean in means[judged_items].tolist()]
    patterns = pa.array(counted.pattern_of_item[judged_items])
    decided_by = np.full(len(values), "raters", dtype=object)
    return FieldColumns(
        pa.array(values, field.arrow_type),
        counted.soft.take(patterns),
        counted.agreement.take(patterns),
        facts_of("ewe", np.full(len(values), np.nan), decided_by),
        _placed(judged_items, evidence.item_count),
    )


def aligned_traces(evidence: Evidence, answers: Answers) -> Answers:
    """Return traces without the lag of each rater (see ``rater_lags``)."""
    items, raters = evidence.items[answers.rows].tolist(), evidence.raters[answers.rows].tolist()
    samples = [np.array([np.nan if x is None else x for x in value["values"]], np.float64) for value in answers.values]
    steps = [value["step_s"] for value in answers.values]
    codes = answers.codes.tolist()
    traces = [Trace(i, r, samples[code], steps[code]) for i, r, code in zip(items, raters, codes, strict=True)]
    lags = rater_lags(traces)
    values = []
    for rater, code in zip(raters, codes, strict=True):
        moved = shift(samples[code], lags.get(rater, 0))
        numbers = [None if np.isnan(x) else float(x) for x in moved]
        while numbers and numbers[-1] is None:
            numbers.pop()
        values.append({"step_s": steps[code], "values": numbers} if numbers else answers.values[code])
    return Answers(answers.rows, np.arange(len(values)), values)


def _probabilities(
    field: Field, ratings: Ratings, has_label: NDArray[np.bool_], is_expert: NDArray[np.bool_], settings: FieldSettings
) -> Floats:
    """Return the probability of each label for each item."""
    if not field.is_multiple:
        of_labels = ratings._replace(codes=has_label.argmax(axis=1)[ratings.codes], values=field.labels)
        return _posterior(of_labels, is_expert, settings).probabilities
    shares = np.zeros((ratings.item_count, len(field.labels)))
    for column in np.flatnonzero(has_label.any(axis=0)):
        binary = ratings._replace(codes=has_label[ratings.codes, column].astype(np.int64), values=(False, True))
        shares[:, column] = _posterior(binary, is_expert, settings).probabilities[:, 1]
    return shares


def _posterior(ratings: Ratings, is_expert: NDArray[np.bool_], settings: FieldSettings) -> Posterior:
    if settings.method != "gold_weighted":
        return _METHODS[settings.method](ratings)
    truth = np.full(ratings.item_count, -1, dtype=np.int64)
    truth[ratings.items[is_expert]] = ratings.codes[is_expert]
    return gold_weighted(ratings, truth)


def _sets(field: Field, ratings: Ratings, shares: Floats) -> pa.Array:
    """Return the labels that are more probable than not, as values of the field; strengths are those of the raters."""
    chosen = shares > 0.5 + _EVEN
    members: dict[int, list[Any]] = defaultdict(list)
    if field.is_graded:
        for item, code in zip(ratings.items.tolist(), ratings.codes.tolist(), strict=True):
            members[item].append(ratings.values[code])
    values = []
    by_row: dict[bytes, Any] = {}
    for item, row in enumerate(chosen):
        key = row.tobytes()
        if key not in by_row or members:
            labels = [field.labels[column] for column in np.flatnonzero(row)]
            soft = dict(zip(field.labels, shares[item].tolist(), strict=True))
            by_row[key] = field.select(labels, members[item], soft)
        values.append(by_row[key])
    return pa.array(values, field.arrow_type)


def _soft(field: Field, shares: Floats) -> pa.Array:
    rows, columns = np.nonzero(shares >= _LEAST_SHARE)
    lengths = np.bincount(rows, minlength=len(shares))
    entries = pa.StructArray.from_arrays(
        [
            repeated(field.name, len(rows)),
            pa.array(field.labels, pa.string()).take(pa.array(columns)),
            pa.array(shares[rows, columns].astype(np.float32)),
        ],
        ["field", "label", "share"],
    )
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(lengths)), pa.int32()), entries)


def _entropies(shares: Floats) -> Floats:
    parts = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
    logs = np.log2(np.where(parts > 0, parts, 1.0))
    return np.asarray(-(parts * logs).sum(axis=1) + 0.0)


def _on_scale(field: Field, number: float) -> Any:
    return field.check(float(math.floor(number + 0.5)) if field.comparison == "ordinal" else number)


def _placed(chosen: Integers, item_count: int) -> Integers:
    """Return for each item its position among the chosen ones, -1 for others."""
    position = np.full(item_count, -1, dtype=np.int64)
    position[chosen] = np.arange(len(chosen))
    return position
