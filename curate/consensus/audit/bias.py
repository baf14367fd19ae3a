"""The audit of bias: for whom do the answers of models and raters differ from those of people who saw no proposal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.consensus.agreement.design import mixed_arms_note
from curate.consensus.agreement.ratings import UNNAMED, Floats, Integers
from curate.consensus.audit.chosen import chosen_fields, chosen_tables
from curate.consensus.audit.corrections import LEVEL, holm
from curate.consensus.audit.differences import MIN_CLUSTERS, MIN_ITEMS, Difference, compare_group, is_large_enough
from curate.consensus.audit.distances import code_distances, value_profiles
from curate.consensus.audit.evidence import Answers, Compared, codes_by_item, compare, speakers_of
from curate.consensus.audit.rows import DEFAULTS, AuditRow, Options, joined
from curate.corpus.judgements import is_prefilled
from curate.labels import LabelSchema

_MIN_GIVEN = 10
_MAX_NAMES = 5


def bias_rows(
    labels: LabelSchema,
    judgements: pa.Table,
    prelabels: pa.Table,
    columns: Mapping[str, pa.Table],
    *,
    speakers: pa.Table | None = None,
    labeller: str | None = None,
    field: str | None = None,
    arm: str | None = None,
    options: Options = DEFAULTS,
) -> list[AuditRow]:
    """Return how the errors and shifts of a labeller, and the shifts of raters, differ between groups of items.

    ``columns`` has for each column to group by a table with ``item_id`` and the column. All is measured against people
    who judged blind. Intervals are bootstrapped over speakers where they are known (``speakers`` has ``item_id`` and
    ``speaker``). p-values are corrected after Holm over all comparisons of the model, and over all of raters. Other
    arguments and errors are those of ``audit_rows``.
    """
    judgements, proposals = chosen_tables(judgements, prelabels, labeller=labeller, arm=arm)
    comparisons: list[_Comparison] = []
    mixed = mixed_arms_note(judgements, np.flatnonzero(~is_prefilled(judgements)))
    for name in chosen_fields(labels, field):
        compared = compare(labels.fields[name], judgements, proposals)
        if not len(compared.blind.items) or labels.fields[name].comparison == "text":
            continue
        units = [*_model_units(compared), *_rater_units(compared)]
        for column, table in columns.items():
            grouping = _grouping(compared, column, table, speakers)
            comparisons += grouping.small(compared)
            for unit in units:
                comparisons += grouping.comparisons(compared, unit, options)
    return _corrected(comparisons, mixed)


class _Unit(NamedTuple):
    """A value for some items, whose mean may differ between groups, and the judgements that it rests on."""

    measure: str
    items: Integers
    values: Floats
    judgements: Answers
    group: dict[str, str]
    note: str = ""


class _Comparison(NamedTuple):
    """A row without its corrected p-value, and the p-value before correction; None where nothing was compared."""

    row: AuditRow
    p: float | None


def _model_units(compared: Compared) -> Iterator[_Unit]:
    blind, items = compared.blind, compared.labelled
    size = len(compared.item_ids)
    distances = code_distances(compared, blind.codes, compared.model[blind.items])
    defined = np.isfinite(distances)
    counts = np.bincount(blind.items[defined], minlength=size)
    errors = np.bincount(blind.items[defined], distances[defined], size)[counts > 0] / counts[counts > 0]
    model = f"the model is {', '.join(compared.labellers)}"
    yield _Unit("model_error", np.flatnonzero(counts), errors, blind, {}, model)
    profiles = value_profiles(compared)
    if profiles is None:
        return
    judged = np.bincount(blind.items, minlength=size)[items]
    for column, label in enumerate(compared.field.labels or ("",)):
        share = np.bincount(blind.items, profiles[blind.codes, column], size)[items] / judged
        proposed = profiles[compared.model[items], column]
        if not label or int(((share > 0) | (proposed > 0)).sum()) >= _MIN_GIVEN:
            yield _Unit("model_shift", items, proposed - share, blind, {"label": label} if label else {}, model)


def _rater_units(compared: Compared) -> Iterator[_Unit]:
    """Yield for each rater and label how their answers differ from the mean of others to the same items."""
    profiles, blind = value_profiles(compared), compared.blind
    if profiles is None:
        return
    size = len(compared.item_ids)
    counts = np.bincount(blind.items, minlength=size)
    for column, label in enumerate(compared.field.labels or ("",)):
        answers = profiles[blind.codes, column]
        totals = np.bincount(blind.items, answers, size)
        for rater in np.unique(blind.raters[blind.raters != UNNAMED]).tolist():
            rows = (blind.raters == rater) & (counts[blind.items] >= 2)
            items, rater_answers = blind.items[rows], answers[rows]
            peer_means = (totals[items] - rater_answers) / np.maximum(counts[items] - 1, 1)
            if label and int(((rater_answers > 0) | (peer_means > 0)).sum()) < _MIN_GIVEN:
                continue
            group = {"rater": str(compared.rater_names[rater])} | ({"label": label} if label else {})
            yield _Unit("rater_shift", items, rater_answers - peer_means, blind.select(rows), group)


class _Grouping(NamedTuple):
    """The group of each item by one column (-1 where unknown), and what intervals are clustered by."""

    column: str
    codes: Integers
    names: Sequence[Any]
    clusters: Integers
    of_clusters: str

    def comparisons(self, compared: Compared, unit: _Unit, options: Options) -> Iterator[_Comparison]:
        """Yield the difference of each group that is large enough from all others."""
        codes = self.codes[unit.items]
        has_group = codes >= 0
        codes, clusters, values = codes[has_group], self.clusters[unit.items[has_group]], unit.values[has_group]
        groups = [code for code in self._order() if is_large_enough(codes == code, clusters)]
        # Of two groups, each is the mirror image of the other.
        for code in groups[:1] if len(np.unique(codes)) == 2 else groups:
            in_group = codes == code
            result = compare_group(values, in_group, clusters, draws=options.draws, seed=options.seed)
            members = unit.items[has_group][in_group]
            part = unit.judgements.select(np.isin(unit.judgements.items, members))
            note = joined(f"{result.inside:.3f} here, {result.outside:.3f} elsewhere", unit.note)
            yield _Comparison(_row(compared, unit, part, {self.column: self.names[code]}, result, note), result.p)

    def small(self, compared: Compared) -> Iterator[_Comparison]:
        """Yield one row for all groups that are too small to compare, and for items of which the group is unknown."""
        items = compared.labelled
        codes = self.codes[items]
        small = [
            code
            for code in self._order()
            if (codes == code).any()
            and not is_large_enough((codes == code)[codes >= 0], self.clusters[items][codes >= 0])
        ]
        unknown = int((codes < 0).sum())
        if not small and not unknown:
            return
        names = ", ".join(str(self.names[code]) for code in small[:_MAX_NAMES])
        more = f" and {len(small) - _MAX_NAMES} more" if len(small) > _MAX_NAMES else ""
        rule = f"{names}{more}: a comparison needs {MIN_ITEMS} items{self.of_clusters} on both sides"
        without = f"{unknown:,} items have no {self.column}" if unknown else ""
        part = compared.blind.select(np.isin(compared.blind.items, items[np.isin(codes, [-1, *small])]))
        unit = _Unit("small_groups", items, np.empty(0), part, {})
        row = _row(compared, unit, part, {self.column: None}, None, joined(rule if small else "", without))
        yield _Comparison(row._replace(value=float(len(small))), None)

    def _order(self) -> list[int]:
        return sorted(range(len(self.names)), key=lambda code: str(self.names[code]))


def _grouping(compared: Compared, column: str, table: pa.Table, speakers: pa.Table | None) -> _Grouping:
    codes, names = codes_by_item(compared, table, column)
    by_item = _Grouping(column, codes, names, np.arange(len(compared.item_ids)), "")
    if speakers is None:
        return by_item
    clusters = speakers_of(compared, speakers)
    if _is_one_each(codes, clusters):
        return by_item
    return by_item._replace(clusters=clusters, of_clusters=f" of {MIN_CLUSTERS} speakers")


def _is_one_each(codes: Integers, clusters: Integers) -> bool:
    """Return whether no group has items of two speakers, as if the column names the speaker."""
    pairs = np.unique(np.column_stack([codes, clusters])[codes >= 0], axis=0)
    return len(np.unique(pairs[:, 0])) == len(pairs)


def _row(
    compared: Compared, unit: _Unit, part: Answers, group: dict[str, Any], result: Difference | None, note: str
) -> AuditRow:
    raters: NDArray[np.int64] = np.unique(part.raters[part.raters != UNNAMED])
    facts = (len(np.unique(part.items)), len(part.items), len(raters))
    value, lower, upper = (result.value, result.low, result.high) if result else (None, None, None)
    return AuditRow(compared.field.name, group | unit.group, unit.measure, value, lower, upper, None, *facts, note)


def _corrected(comparisons: Sequence[_Comparison], shared: str) -> list[AuditRow]:
    """Return the rows with corrected p-values, one family for the model and one for raters, and a note for all."""
    rows = [comparison.row for comparison in comparisons]
    for measures in (("model_error", "model_shift"), ("rater_shift",)):
        family = [index for index, (row, p) in enumerate(comparisons) if row.measure in measures and p is not None]
        corrected = holm(np.array([comparisons[index].p for index in family], np.float64)).tolist()
        count = f"p is corrected for {len(family):,} comparisons after Holm"
        for index, p in zip(family, corrected, strict=True):
            verdict = "" if p <= LEVEL else "no finding"
            rows[index] = rows[index]._replace(p=p, note=joined(verdict, rows[index].note, count, shared))
    return rows
