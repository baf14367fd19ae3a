"""Shares of labels and means of numbers over all items, from few judgements and many proposals."""

from collections.abc import Iterator

import numpy as np

from curate.consensus.agreement.ratings import Floats, Integers
from curate.consensus.audit.corrections import holm
from curate.consensus.audit.differences import compare_group, is_large_enough
from curate.consensus.audit.distances import value_profiles
from curate.consensus.audit.field_audit import FieldAudit
from curate.consensus.audit.prediction_powered import Mean, expected_width, items_needed, prediction_powered_mean
from curate.consensus.audit.rows import AuditRow, joined

_SELECTED = 0.01


def mean_rows(audit: FieldAudit) -> Iterator[AuditRow]:
    """Yield each share or mean by people, by the model, and by both."""
    profiles = value_profiles(audit.compared)
    if profiles is None:
        return
    columns = audit.field.labels or ("",)
    name = "share" if audit.field.labels else "mean"
    items = audit.compared.labelled
    elsewhere = np.setdiff1d(np.arange(len(audit.compared.item_ids)), items)
    clusters = None if audit.clusters is None else audit.clusters[np.concatenate([items, elsewhere])]
    counts = np.bincount(audit.compared.blind.items, minlength=len(audit.compared.item_ids))[items]
    chosen = _how_chosen(audit, profiles[audit.compared.model])
    for column, label in enumerate(columns):
        answers = profiles[audit.compared.blind.codes, column]
        judged = np.bincount(audit.compared.blind.items, answers, len(audit.compared.item_ids))[items] / counts
        proposed = profiles[audit.compared.model, column]
        if label and not judged.any() and not proposed.any():
            continue
        group = {"label": label} if label else {}
        triple = (judged, proposed[items], proposed[elsewhere])
        people = prediction_powered_mean(*triple, weight=0.0, clusters=clusters)
        powered = prediction_powered_mean(*triple, clusters=clusters)
        yield _estimate(audit, f"{name}_people", people, joined(people.note, chosen), group)
        every = f"of all {len(proposed):,} items with a proposal; its errors count as truth"
        yield audit.row(f"{name}_model", float(proposed.mean()), note=every, group=group)
        used = f"proposals for {len(elsewhere):,} other items count as far as they help"
        note = joined(powered.note, used if len(elsewhere) else "", chosen)
        yield _estimate(audit, f"{name}_ppi", powered, note, group)
        if audit.options.interval is not None:
            yield _needed(audit, triple, audit.options.interval, clusters, group)


def _estimate(audit: FieldAudit, measure: str, mean: Mean, note: str, group: dict[str, str]) -> AuditRow:
    value, lower, upper = (_as_share(number) if audit.field.labels else number for number in mean[:3])
    return audit.row(measure, value, lower=lower, upper=upper, note=note, group=group)


def _as_share(number: float | None) -> float | None:
    """Return a number within 0 and 1: the normal interval of a rare label may leave them."""
    return None if number is None else min(max(number, 0.0), 1.0)


def _how_chosen(audit: FieldAudit, proposed: Floats) -> str:
    """Return what to know of how items were chosen to be judged; ``proposed`` has a row for each item."""
    is_judged = np.isin(np.arange(len(proposed)), audit.compared.labelled)
    clusters = np.arange(len(proposed)) if audit.clusters is None else audit.clusters
    if is_large_enough(is_judged, clusters):
        tests = [compare_group(column, is_judged, clusters).p for column in proposed.T]
        if holm(np.array(tests)).min() <= _SELECTED:
            return "not a random choice: the model answers otherwise to the items judged blind than to others"
    return "valid if the items judged blind were chosen at random"


def _needed(
    audit: FieldAudit,
    triple: tuple[Floats, Floats, Floats],
    width: float,
    clusters: Integers | None,
    group: dict[str, str],
) -> AuditRow:
    judged, _, elsewhere = triple
    per_item = len(audit.compared.blind.items) / len(judged)
    as_one, clustered = (prediction_powered_mean(*triple, clusters=numbers) for numbers in (None, clusters))
    if as_one.low is None or clustered.low is None:
        reason = as_one.note or clustered.note
        return audit.row("judgements_needed", None, note=reason, group=group)
    # How much wider intervals are because items of a speaker are alike.
    wider = max((clustered.value - clustered.low) / (as_one.value - as_one.low), 1.0) if clusters is not None else 1.0
    items = items_needed(*triple, width=width / wider)
    alone = items_needed(judged, np.zeros(len(judged)), np.zeros(len(elsewhere)), width=width / wider)
    speakers = "with as many items of each speaker" if clusters is not None else ""
    if items is None:
        best = expected_width(*triple, count=len(judged) + len(elsewhere)) * wider
        reason = f"not reachable: if people judged every item, the width would be {best:.3f}"
        return audit.row("judgements_needed", None, note=reason, group=group)
    without = f"{alone:,} without the model" if alone else "more than there are without the model"
    note = joined(f"{items:,} items in all at {per_item:.1f} judgements each, {without}", speakers)
    more = max(items - len(judged), 0)
    return audit.row("judgements_needed", float(np.ceil(more * per_item)), note=note, group=group)
