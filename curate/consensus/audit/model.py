"""The audit of a model: may it replace a rater, and what do its proposals say of all items."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curate.consensus.agreement.design import mixed_arms_note
from curate.consensus.agreement.ratings import Integers
from curate.consensus.audit.alternative import alternative_test
from curate.consensus.audit.chosen import chosen_fields, chosen_tables
from curate.consensus.audit.distances import code_distances, split_half
from curate.consensus.audit.evidence import Answers, Compared, compare, speakers_of
from curate.consensus.audit.field_audit import FieldAudit
from curate.consensus.audit.rows import DEFAULTS, AuditRow, Options, joined
from curate.consensus.audit.score_rows import score_rows
from curate.consensus.audit.shares import mean_rows
from curate.corpus.judgements import is_prefilled
from curate.labels import LabelSchema


def audit_rows(
    labels: LabelSchema,
    judgements: pa.Table,
    prelabels: pa.Table,
    *,
    speakers: pa.Table | None = None,
    labeller: str | None = None,
    field: str | None = None,
    arm: str | None = None,
    options: Options = DEFAULTS,
) -> Iterator[AuditRow]:
    """Yield how the proposals of a labeller compare with blind judgements, field by field.

    ``judgements`` are the current ones, ``prelabels`` have ``PRELABEL_COLUMNS`` and the fields. ``labeller`` is by
    default whose proposal people see. ``speakers`` has ``item_id`` and ``speaker``, by which intervals are clustered
    where it is known. Rows with a ``rater`` in their group name a person. Raises ``InvalidInput`` for a labeller, field
    or arm that there is not.
    """
    fields = chosen_fields(labels, field)
    judgements, proposals = chosen_tables(judgements, prelabels, labeller=labeller, arm=arm)
    mixed = mixed_arms_note(judgements, np.flatnonzero(~is_prefilled(judgements)))
    for name in fields:
        compared = compare(labels.fields[name], judgements, proposals)
        if len(compared.blind.items) or len(compared.prefilled.items):
            yield from _rows(FieldAudit(compared, _clusters(compared, speakers), options, mixed))


def _clusters(compared: Compared, speakers: pa.Table | None) -> Integers | None:
    """Return the number of each item's speaker; None if no speaker has two items."""
    if speakers is None:
        return None
    numbers = speakers_of(compared, speakers)
    return numbers if len(np.unique(numbers)) < len(numbers) else None


def _rows(audit: FieldAudit) -> Iterator[AuditRow]:
    compared = audit.compared
    if audit.field.comparison == "text":
        yield audit.row("none", None, note="free text: equal meanings have different words")
        return
    if len(compared.blind.items):
        yield from _replacement(audit)
        yield from _distances(audit)
        yield from mean_rows(audit)
        yield from score_rows(audit)
    else:
        yield audit.row("none", None, note="nobody judged this field without a proposal in the form")
    if len(compared.prefilled.items):
        yield from _prefilled(audit)


def _replacement(audit: FieldAudit) -> Iterator[AuditRow]:
    result = alternative_test(audit.compared, epsilon=audit.options.epsilon)
    if result.winning_rate is None:
        yield audit.row("winning_rate", None, note=result.why_undefined)
        return
    may = "may replace a rater" if result.winning_rate >= 0.5 else "may not replace a rater: omega is below 0.5"
    cost = f"with a person's judgement worth {audit.options.epsilon:g} more"
    few = f"{result.too_few} raters with too few shared items are left out" if result.too_few else ""
    yield audit.row("winning_rate", result.winning_rate, note=joined(f"the model {may}, {cost}", few))
    yield audit.row("average_advantage", result.average_advantage)
    names = audit.compared.rater_names
    for advantage in sorted(result.advantages, key=lambda advantage: names[advantage.rater]):
        group = {"rater": names[advantage.rater]}
        part = audit.compared.blind.select(audit.compared.blind.raters == advantage.rater)
        won = "the model wins" if advantage.is_win else "the model does not win"
        note = f"{won}; corrected after Benjamini and Yekutieli"
        yield audit.row("advantage", advantage.probability, p=advantage.p, note=note, of=part, group=group)


def _distances(audit: FieldAudit) -> Iterator[AuditRow]:
    compared, halves = audit.compared, split_half(audit.compared, seed=audit.options.seed)
    if not len(halves.items):
        reason = "no item was judged blind by two people"
        yield audit.row("distance_people", None, note=reason)
    else:
        part = compared.blind.select(np.isin(compared.blind.items, halves.items))
        figures = (
            ("distance_people", halves.people),
            ("distance_model", halves.model),
            ("distance_difference", halves.model - halves.people),
        )
        for measure, values in figures:
            yield audit.mean_row(measure, halves.items, values, of=part)
    yield _distance_row(audit, "distance_each", compared.blind)


def _distance_row(
    audit: FieldAudit, measure: str, answers: Answers, note: str = "", group: Mapping[str, Any] | None = None
) -> AuditRow:
    distances = code_distances(audit.compared, answers.codes, audit.compared.model[answers.items])
    defined = np.isfinite(distances)
    return audit.mean_row(
        measure, answers.items[defined], distances[defined], of=answers.select(defined), note=note, group=group
    )


def _prefilled(audit: FieldAudit) -> Iterator[AuditRow]:
    unchanged = f"{audit.compared.untouched} of {len(audit.compared.prefilled.items)} are proposals left as they were"
    note = f"{unchanged}; no independent evidence, and counted nowhere else"
    yield _distance_row(audit, "distance_prefilled", audit.compared.prefilled, note, group={"values": "pre-filled"})
