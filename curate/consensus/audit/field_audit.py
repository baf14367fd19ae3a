"""One field of a model audit: what is compared, and rows about it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from curate.consensus.agreement.ratings import Floats, Integers
from curate.consensus.agreement.sums import ItemSums, by_cluster, estimate, to_sums
from curate.consensus.audit.evidence import Answers, Compared
from curate.consensus.audit.rows import AuditRow, Options, joined
from curate.labels import Field
from curate.sentences import count_of, verb_of


class FieldAudit:
    """What people and a model answered to a field; ``clusters`` numbers the speaker of each item, None without any."""

    def __init__(self, compared: Compared, clusters: Integers | None, options: Options, note: str) -> None:
        """``note`` is one that concerns all rows."""
        self.compared, self.clusters, self.options = compared, clusters, options
        self.field: Field = compared.field
        by_speaker = (
            "intervals are clustered by speaker, by source where that is unknown" if clusters is not None else ""
        )
        self._shared = joined(_left_out(compared), note, by_speaker)

    def row(
        self,
        measure: str,
        value: float | None,
        *,
        lower: float | None = None,
        upper: float | None = None,
        p: float | None = None,
        note: str = "",
        of: Answers | None = None,
        group: Mapping[str, Any] | None = None,
    ) -> AuditRow:
        """Return a row about judgements, by default all blind ones."""
        part = self.compared.blind if of is None else of
        named = np.unique(part.raters[part.raters >= 0])
        facts = (len(np.unique(part.items)), len(part.items), len(named))
        note = joined(note, self._shared)
        return AuditRow(self.field.name, dict(group or {}), measure, value, lower, upper, p, *facts, note)

    def mean_row(
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
            return self.row(measure, None, note=joined("no distance is defined", note), of=of, group=group)
        sums = ItemSums(to_sums(values, np.ones(len(values))), lambda totals: totals[:, 0] / totals[:, 1], lambda _: "")
        numbers = items if self.clusters is None else self.clusters[items]
        _, clusters = np.unique(numbers, return_inverse=True)
        result = estimate(by_cluster(sums, clusters), draws=self.options.draws, seed=self.options.seed)
        note = joined(note, result.note)
        return self.row(measure, result.value, lower=result.low, upper=result.high, note=note, of=of, group=group)


def _left_out(compared: Compared) -> str:
    """Return which judgements count, and which do not."""
    blind, started = len(compared.labelled), len(compared.prefilled.items)
    labellers = f"the model is {', '.join(compared.labellers)}"
    judged = f"only the {count_of(blind, 'item')} that people judged without a proposal"
    counted = f"{judged} {verb_of(blind, 'counts', 'count')} as judged"
    from_proposal = f"{count_of(started, 'judgement')} that started from a proposal"
    prefilled = f"{from_proposal} {verb_of(started, 'is', 'are')} left out" if started else ""
    without = compared.without_proposal
    no_answer = f"{count_of(without, 'item')} judged blind for which the model has no answer"
    unanswered = f"{no_answer} {verb_of(without, 'is', 'are')} left out" if without else ""
    return joined(labellers, counted, prefilled, unanswered)
