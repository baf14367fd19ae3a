"""The agreement of a corpus as rows: one for each field, group of judgements and measure."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from curate.consensus.agreement import measures as table
from curate.consensus.agreement.design import adaptive_note, mixed_arms_note
from curate.consensus.agreement.judged import Judged, encode, judged
from curate.consensus.agreement.kappa import note_paradox
from curate.consensus.agreement.marked import region_measures, trace_measures
from curate.consensus.agreement.measures import MEASURES, PER_LABEL, UNCORRECTED
from curate.consensus.agreement.ratings import UNNAMED, Integers
from curate.consensus.agreement.sums import Estimate, ItemSums, by_cluster, estimate
from curate.labels import Field, LabelSchema

Over = Literal["items", "raters"]
_KAPPAS = frozenset({"cohen_kappa", "fleiss_kappa"})


class AgreementRow(NamedTuple):
    """One figure.

    ``group`` says of which judgements: ``arm`` or whatever was asked for, ``values`` (blind or pre-filled) where some
    forms were filled in, ``label`` or ``tolerance``. ``items`` have at least two of the ``judgements``. ``value`` is
    None where the measure is undefined; ``note`` says why, and what else to know.
    """

    field: str
    group: dict[str, Any]
    measure: str
    value: float | None
    low: float | None
    high: float | None
    items: int
    judgements: int
    raters: int
    note: str


class Figure(NamedTuple):
    """A measure of some judgements, before it is estimated; ``group`` adds to the group of its row."""

    measure: str
    result: ItemSums | Estimate
    group: Mapping[str, Any] = {}


def agreement_rows(
    labels: LabelSchema,
    judgements: pa.Table,
    *,
    by: str | None = None,
    draws: int = 0,
    over: Over = "items",
    seed: int = 0,
) -> Iterator[AgreementRow]:
    """Yield the agreement on each field, in groups of the column ``by``, by ``rater`` or by ``label``.

    ``judgements`` are the current ones (see ``current_judgements``) with the columns of ``annotations`` and ``by``.
    ``draws`` gives bootstrap intervals over items. ``over="raters"`` gives jackknife intervals, each rater being left
    out once: a bootstrap of few raters would pair a rater with a copy.
    """
    for name, field in labels.fields.items():
        empty: list[Any] | None = [] if field.comparison in ("ranges", "spans", "boxes") and not field.when else None
        every = judged(field, judgements, empty=empty)
        if not len(every.items):
            continue
        for group, part in _groups(every, judgements, by):
            for values, kind in _by_proposal(part):
                options = _Options(draws, over, seed, by, mixed_arms_note(judgements, kind.rows))
                yield from _rows(name, field, {**group, **values}, kind, options)


class _Options(NamedTuple):
    draws: int
    over: Over
    seed: int
    by: str | None
    note: str


def _groups(every: Judged, judgements: pa.Table, by: str | None) -> Iterator[tuple[dict[str, Any], Judged]]:
    if by is None or by == "label":
        yield {}, every
    elif by == "rater":
        raters = np.unique(every.raters[every.raters != UNNAMED]).tolist()
        for number in sorted(raters, key=every.rater_names.__getitem__):
            of_rater = np.unique(every.items[every.raters == number])
            yield {"rater": every.rater_names[number]}, every.select(np.isin(every.items, of_rater))
    else:
        codes, values = encode(judgements[by])
        order = sorted(range(-1, len(values)), key=lambda code: (code < 0, str(values[code])))
        for code in order:
            part = every.select(codes[every.rows] == code)
            if len(part.items):
                yield {by: values[code] if code >= 0 else None}, part


def _by_proposal(part: Judged) -> Iterator[tuple[dict[str, str], Judged]]:
    """Yield blind and pre-filled judgements apart, if there are any of the latter."""
    if not part.prefilled.any():
        yield {}, part
        return
    for values, chosen in (("blind", ~part.prefilled), ("pre-filled", part.prefilled)):
        if chosen.any():
            yield {"values": values}, part.select(chosen)


def _rows(name: str, field: Field, group: dict[str, Any], every: Judged, options: _Options) -> Iterator[AgreementRow]:
    single = every.newest()
    part = single.with_pairs()
    untouched = int(part.untouched.sum())
    notes = [f"{untouched} of {len(part.items)} values are proposals left as they were"] if untouched else []
    notes += [options.note] if options.note else []
    facts = (len(np.unique(part.items)), len(part.items), len(np.unique(part.raters[part.raters != UNNAMED])))
    measured, clusters = part, None
    if options.by == "rater":
        names = list(part.rater_names)
        measured, clusters = part.against_others(names.index(group["rater"]))
        notes.append("this rater against each other one")
    design = adaptive_note(single) if field.comparison in ("label", "labels", "ordinal", "interval") else ""
    agreement: dict[Any, float | None] = {}
    for figure, result in _estimates(field, measured, clusters, options):
        if figure.measure == "percent":
            agreement[figure.group.get("label")] = result.value
        if figure.measure in _KAPPAS:
            result = note_paradox(result, agreement.get(figure.group.get("label")))
        parts = [result.note, *notes, *([design] if figure.measure not in UNCORRECTED else [])]
        note = "; ".join(part for part in parts if part)
        row_group = {**group, **figure.group}
        yield AgreementRow(name, row_group, figure.measure, result.value, result.low, result.high, *facts, note)


def _estimates(
    field: Field, part: Judged, clusters: Integers | None, options: _Options
) -> Iterator[tuple[Figure, Estimate]]:
    figures = list(_figures(field, part, per_label=options.by == "label"))
    without: list[dict[tuple[str, str], float | None]] = []
    if options.over == "raters":
        for rater in np.unique(part.raters[part.raters != UNNAMED]):
            remaining = _figures(field, part.select(part.raters != rater).with_pairs(), per_label=options.by == "label")
            without.append({_key(figure): _estimate(figure.result).value for figure in remaining})
    for figure in figures:
        result = figure.result
        if isinstance(result, ItemSums) and clusters is not None and result.statistics.shape[0] == len(clusters):
            result = by_cluster(result, clusters)
        if options.over == "items":
            yield figure, _estimate(result, draws=options.draws, seed=options.seed)
        else:
            yield figure, _jackknife(_estimate(result), [values.get(_key(figure)) for values in without])


def _figures(field: Field, part: Judged, *, per_label: bool) -> Iterator[Figure]:
    if per_label:
        if field.comparison in ("label", "labels"):
            yield from _label_figures(field, part)
    elif field.comparison == "trace":
        yield from (Figure(*entry) for entry in trace_measures(part))
    elif field.comparison in ("ranges", "spans", "boxes"):
        yield from (Figure(*entry) for entry in region_measures(part, field.comparison))
    elif field.comparison == "text":
        yield Figure(table.NONE.name, Estimate(None, note=table.NONE.meaning))
    else:
        ratings = part.ratings()
        for measure in MEASURES[field.comparison]:
            if measure.sums is not None and _fits(measure.name, ratings.values):
                yield Figure(measure.name, measure.sums(ratings))


def _fits(measure: str, values: Any) -> bool:
    """Return whether a measure means something for these values: ratios need a true zero."""
    return measure != "krippendorff_alpha_ratio" or (len(values) > 0 and values[0] >= 0)


def _label_figures(field: Field, part: Judged) -> Iterator[Figure]:
    """Yield the agreement on whether each label was given."""
    ratings = part.ratings()
    for label in field.labels or sorted({label for value in ratings.values for label in value}):
        has_label = np.array(
            [label == v or (isinstance(v, frozenset) and label in v) for v in ratings.values], np.int64
        )
        binary = ratings._replace(codes=has_label[ratings.codes], values=(False, True))
        for measure in PER_LABEL:
            if measure.sums is not None:
                yield Figure(measure.name, measure.sums(binary), {"label": label})


def _key(figure: Figure) -> tuple[str, str]:
    return figure.measure, repr(sorted(figure.group.items()))


def _estimate(result: ItemSums | Estimate, *, draws: int = 0, seed: int = 0) -> Estimate:
    return result if isinstance(result, Estimate) else estimate(result, draws=draws, seed=seed)


def _jackknife(full: Estimate, without: list[float | None]) -> Estimate:
    """Return a 95 % interval from the values with each rater left out (Quenouille, 1956; Tukey, 1958)."""
    from scipy.special import stdtrit

    values = np.array([value for value in without if value is not None])
    count = len(values)
    if full.value is None or count < 3 or count < len(without):
        reason = "" if full.value is None else "an interval over raters needs three, any of whom can be left out"
        return full._replace(note="; ".join(filter(None, (full.note, reason))))
    error = float(np.sqrt((count - 1) / count * ((values - values.mean()) ** 2).sum()))
    reach = float(stdtrit(count - 1, 0.975)) * error
    return full._replace(low=max(full.value - reach, -1.0), high=min(full.value + reach, 1.0))
