"""The figures of a model audit for one field."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.consensus.agreement.ratings import Floats, Integers
from curate.consensus.agreement.sums import ItemSums, by_cluster, estimate, to_sums
from curate.consensus.audit.alternative import alternative_test
from curate.consensus.audit.calibration import MIN_ITEMS as CALIBRATED_ITEMS
from curate.consensus.audit.calibration import brier_terms, calibrate
from curate.consensus.audit.distances import code_distances, split_half, value_profiles
from curate.consensus.audit.evidence import Answers, Compared
from curate.consensus.audit.prediction_powered import Mean, expected_width, items_needed, prediction_powered_mean
from curate.consensus.audit.rows import AuditRow, Options, joined
from curate.labels import Field


class FieldAudit:
    """Compares a model with the people who judged one field blind."""

    def __init__(self, compared: Compared, clusters: Integers | None, options: Options, note: str) -> None:
        self._compared, self._clusters, self._options = compared, clusters, options
        self._field: Field = compared.field
        by_speaker = (
            "intervals are clustered by speaker, by source where that is unknown" if clusters is not None else ""
        )
        self._shared = joined(_left_out(compared), note, by_speaker)

    def rows(self) -> Iterator[AuditRow]:
        compared = self._compared
        if self._field.comparison == "text":
            yield self._row("none", None, note="free text: equal meanings have different words")
            return
        if len(compared.blind.items):
            yield from self._replacement()
            yield from self._distances()
            yield from self._means()
            yield from self._calibration()
        else:
            yield self._row("none", None, note="nobody judged this field without a proposal in the form")
        if len(compared.prefilled.items):
            yield from self._prefilled()

    def _row(
        self,
        measure: str,
        value: float | None,
        *,
        low: float | None = None,
        high: float | None = None,
        p: float | None = None,
        note: str = "",
        of: Answers | None = None,
        group: Mapping[str, Any] | None = None,
    ) -> AuditRow:
        part = self._compared.blind if of is None else of
        named = np.unique(part.raters[part.raters >= 0])
        facts = (len(np.unique(part.items)), len(part.items), len(named))
        note = joined(note, self._shared)
        return AuditRow(self._field.name, dict(group or {}), measure, value, low, high, p, *facts, note)

    def _replacement(self) -> Iterator[AuditRow]:
        result = alternative_test(self._compared, epsilon=self._options.epsilon)
        if result.winning_rate is None:
            yield self._row("winning_rate", None, note=result.why_undefined)
            return
        may = "may replace a rater" if result.winning_rate >= 0.5 else "may not replace a rater: omega is below 0.5"
        cost = f"with a person's judgement worth {self._options.epsilon:g} more"
        few = f"{result.too_few} raters with too few shared items are left out" if result.too_few else ""
        yield self._row("winning_rate", result.winning_rate, note=joined(f"the model {may}, {cost}", few))
        yield self._row("average_advantage", result.average_advantage)
        names = self._compared.rater_names
        for advantage in sorted(result.advantages, key=lambda advantage: names[advantage.rater]):
            group = {"rater": names[advantage.rater]}
            part = self._compared.blind.select(self._compared.blind.raters == advantage.rater)
            won = "the model wins" if advantage.is_win else "the model does not win"
            note = f"{won}; corrected after Benjamini and Yekutieli"
            yield self._row("advantage", advantage.probability, p=advantage.p, note=note, of=part, group=group)

    def _distances(self) -> Iterator[AuditRow]:
        compared, halves = self._compared, split_half(self._compared, seed=self._options.seed)
        if not len(halves.items):
            reason = "no item was judged blind by two people"
            yield self._row("distance_people", None, note=reason)
        else:
            part = compared.blind.select(np.isin(compared.blind.items, halves.items))
            figures = (
                ("distance_people", halves.people),
                ("distance_model", halves.model),
                ("distance_difference", halves.model - halves.people),
            )
            for measure, values in figures:
                yield self._mean_row(measure, halves.items, values, of=part)
        yield self._each("distance_each", compared.blind)

    def _each(self, measure: str, answers: Answers, note: str = "", group: Mapping[str, Any] | None = None) -> AuditRow:
        distances = code_distances(self._compared, answers.codes, self._compared.model[answers.items])
        defined = np.isfinite(distances)
        return self._mean_row(
            measure, answers.items[defined], distances[defined], of=answers.select(defined), note=note, group=group
        )

    def _mean_row(
        self,
        measure: str,
        items: Integers,
        values: Floats,
        *,
        of: Answers,
        note: str = "",
        group: Mapping[str, Any] | None = None,
    ) -> AuditRow:
        """Return the mean of values with a bootstrap interval over their items, or over speakers."""
        if not len(values):
            return self._row(measure, None, note=joined("no distance is defined", note), of=of, group=group)
        sums = ItemSums(to_sums(values, np.ones(len(values))), lambda totals: totals[:, 0] / totals[:, 1], lambda _: "")
        numbers = items if self._clusters is None else self._clusters[items]
        _, clusters = np.unique(numbers, return_inverse=True)
        result = estimate(by_cluster(sums, clusters), draws=self._options.draws, seed=self._options.seed)
        note = joined(note, result.note)
        return self._row(measure, result.value, low=result.low, high=result.high, note=note, of=of, group=group)

    def _means(self) -> Iterator[AuditRow]:
        profiles = value_profiles(self._compared)
        if profiles is None:
            return
        columns = self._field.labels or ("",)
        name = "share" if self._field.labels else "mean"
        items = self._compared.labelled
        elsewhere = np.setdiff1d(np.arange(len(self._compared.item_ids)), items)
        clusters = None if self._clusters is None else self._clusters[np.concatenate([items, elsewhere])]
        counts = np.bincount(self._compared.blind.items, minlength=len(self._compared.item_ids))[items]
        for column, label in enumerate(columns):
            given = profiles[self._compared.blind.codes, column]
            judged = np.bincount(self._compared.blind.items, given, len(self._compared.item_ids))[items] / counts
            proposed = profiles[self._compared.model, column]
            if label and not judged.any() and not proposed.any():
                continue
            group = {"label": label} if label else {}
            triple = (judged, proposed[items], proposed[elsewhere])
            people = prediction_powered_mean(*triple, weight=0.0, clusters=clusters)
            powered = prediction_powered_mean(*triple, clusters=clusters)
            yield self._estimate(f"{name}_people", people, people.note, group)
            every = f"of all {len(proposed):,} items with a proposal; its errors count as truth"
            yield self._row(f"{name}_model", float(proposed.mean()), note=every, group=group)
            used = f"proposals for {len(elsewhere):,} other items count as far as they help"
            yield self._estimate(f"{name}_ppi", powered, joined(powered.note, used if len(elsewhere) else ""), group)
            if self._options.interval is not None:
                yield self._needed(triple, self._options.interval, clusters, group)

    def _estimate(self, measure: str, mean: Mean, note: str, group: dict[str, str]) -> AuditRow:
        chance = "valid if the items judged blind were chosen at random"
        return self._row(measure, mean.value, low=mean.low, high=mean.high, note=joined(note, chance), group=group)

    def _needed(
        self, triple: tuple[Floats, Floats, Floats], width: float, clusters: Integers | None, group: dict[str, str]
    ) -> AuditRow:
        judged, _, elsewhere = triple
        per_item = len(self._compared.blind.items) / len(judged)
        as_one, clustered = (prediction_powered_mean(*triple, clusters=numbers) for numbers in (None, clusters))
        if as_one.low is None or clustered.low is None:
            reason = as_one.note or clustered.note
            return self._row("judgements_needed", None, note=reason, group=group)
        # How much wider intervals are because items of a speaker are alike.
        wider = (
            max((clustered.value - clustered.low) / (as_one.value - as_one.low), 1.0) if clusters is not None else 1.0
        )
        items = items_needed(*triple, width=width / wider)
        alone = items_needed(judged, np.zeros(len(judged)), np.zeros(len(elsewhere)), width=width / wider)
        speakers = "with as many items of each speaker" if clusters is not None else ""
        if items is None:
            best = expected_width(*triple, count=len(judged) + len(elsewhere)) * wider
            reason = f"not reachable: if people judged every item, the width would be {best:.3f}"
            return self._row("judgements_needed", None, note=reason, group=group)
        without = f"{alone:,} without the model" if alone else "more than there are without the model"
        note = joined(f"{items:,} items in all at {per_item:.1f} judgements each, {without}", speakers)
        more = max(items - len(judged), 0)
        return self._row("judgements_needed", float(np.ceil(more * per_item)), note=note, group=group)

    def _calibration(self) -> Iterator[AuditRow]:
        compared, items = self._compared, self._compared.labelled
        has_scores: NDArray[np.bool_] = np.asarray(np.isfinite(compared.scores).all(axis=1))
        profiles = value_profiles(compared)
        if profiles is None or not self._field.labels:
            return
        scored = items[has_scores[items]]
        sure = items[np.isfinite(compared.confidence[items])]
        if len(scored) < CALIBRATED_ITEMS and len(sure) < CALIBRATED_ITEMS:
            reason = (
                f"it needs {CALIBRATED_ITEMS} items judged blind whose proposal has scores; there are {len(scored)}"
            )
            yield self._row("calibration_error", None, note=reason)
            return
        chosen = scored if len(scored) >= CALIBRATED_ITEMS else sure
        source = "scores" if chosen is scored else "confidence in the whole answer"
        part = compared.blind.select(np.isin(compared.blind.items, chosen))
        yield from self._reliability(part, chosen, profiles, source)
        if chosen is scored:
            given = profiles[part.codes]
            terms = brier_terms(compared.scores[part.items], given, multiple=self._field.is_multiple)
            plain = brier_terms(np.tile(given.mean(axis=0), (len(given), 1)), given, multiple=self._field.is_multiple)
            note = f"the shares of all people as scores would have {plain.mean():.3f}"
            yield self._mean_row("brier", part.items, terms, of=part, note=note)

    def _reliability(self, part: Answers, items: Integers, profiles: Floats, source: str) -> Iterator[AuditRow]:
        """Yield the calibration of the labels that were proposed: of several, each is an answer of its own."""
        compared = self._compared
        counts = np.bincount(part.items, minlength=len(compared.item_ids))
        proposed = profiles[compared.model[items]] > 0
        rows, columns = np.nonzero(proposed)
        shares = np.column_stack(
            [np.bincount(part.items, column, len(compared.item_ids)) for column in profiles[part.codes].T]
        )
        agreed = shares[items[rows], columns] / counts[items[rows]]
        of_label = compared.scores[items[rows], columns] if source == "scores" else compared.confidence[items[rows]]
        result = calibrate(of_label, agreed, counts[items[rows]], seed=self._options.seed)
        note = f"by {source}; perfect scores would have about {result.if_perfect:.3f} with so few items"
        yield self._row("calibration_error", result.error, note=note, of=part)
        for entry in result.bins:
            group = {"from": entry.low, "to": entry.high, "score": entry.score}
            yield self._row("reliability", entry.agreed, note=f"{entry.items} proposed labels", of=part, group=group)

    def _prefilled(self) -> Iterator[AuditRow]:
        kept = f"{self._compared.untouched} of {len(self._compared.prefilled.items)} are proposals left as they were"
        note = f"{kept}; no independent evidence, and counted nowhere else"
        yield self._each("distance_prefilled", self._compared.prefilled, note, group={"values": "pre-filled"})


def _left_out(compared: Compared) -> str:
    """Return which judgements count, and which do not."""
    blind, started = len(compared.labelled), len(compared.prefilled.items)
    counted = f"only the {blind:,} items that people judged without a proposal count as judged"
    parts = [f"{started:,} judgements that started from a proposal are left out"] if started else []
    if compared.without_proposal:
        parts.append(f"so are {compared.without_proposal:,} items judged blind for which the model has no answer")
    return joined(counted, ", ".join(parts))
