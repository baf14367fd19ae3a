"""How far a labeller's scores are probabilities: the rows of a model audit about them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from curate.consensus.agreement.ratings import Floats, Integers
from curate.consensus.audit.calibration import MIN_ITEMS, brier_terms, calibrate
from curate.consensus.audit.distances import value_profiles
from curate.consensus.audit.evidence import Answers
from curate.consensus.audit.field_audit import FieldAudit
from curate.consensus.audit.rows import AuditRow


def score_rows(audit: FieldAudit) -> Iterator[AuditRow]:
    """Yield the calibration error, the bins of the reliability diagram and the Brier score of a field of labels."""
    compared, items = audit.compared, audit.compared.labelled
    has_scores: NDArray[np.bool_] = np.asarray(np.isfinite(compared.scores).all(axis=1))
    profiles = value_profiles(compared)
    if profiles is None or not audit.field.labels:
        return
    scored = items[has_scores[items]]
    sure = items[np.isfinite(compared.confidence[items])]
    if len(scored) < MIN_ITEMS and len(sure) < MIN_ITEMS:
        reason = f"it needs {MIN_ITEMS} items judged blind whose proposal has scores; there are {len(scored)}"
        yield audit.row("calibration_error", None, note=reason)
        return
    chosen = scored if len(scored) >= MIN_ITEMS else sure
    source = "scores" if chosen is scored else "confidence in the whole answer"
    part = compared.blind.select(np.isin(compared.blind.items, chosen))
    yield from _reliability(audit, part, chosen, profiles, source)
    if chosen is scored:
        answers = profiles[part.codes]
        terms = brier_terms(compared.scores[part.items], answers, multiple=audit.field.is_multiple)
        plain = brier_terms(np.tile(answers.mean(axis=0), (len(answers), 1)), answers, multiple=audit.field.is_multiple)
        note = f"the shares of all people as scores would have {plain.mean():.3f}"
        yield audit.mean_row("brier", part.items, terms, of=part, note=note)


def _reliability(
    audit: FieldAudit, part: Answers, items: Integers, profiles: Floats, source: str
) -> Iterator[AuditRow]:
    """Yield the calibration of the labels that were proposed: of several, each is an answer of its own."""
    compared = audit.compared
    counts = np.bincount(part.items, minlength=len(compared.item_ids))
    proposed = profiles[compared.model[items]] > 0
    rows, columns = np.nonzero(proposed)
    shares = np.column_stack(
        [np.bincount(part.items, column, len(compared.item_ids)) for column in profiles[part.codes].T]
    )
    agreed = shares[items[rows], columns] / counts[items[rows]]
    of_label = compared.scores[items[rows], columns] if source == "scores" else compared.confidence[items[rows]]
    result = calibrate(of_label, agreed, counts[items[rows]], seed=audit.options.seed)
    note = f"by {source}; perfect scores would have about {result.if_perfect:.3f} with so few items"
    yield audit.row("calibration_error", result.error, note=note, of=part)
    for entry in result.bins:
        group = {"from": entry.low, "to": entry.high, "score": entry.score}
        yield audit.row("reliability", entry.agreed, note=f"{entry.items} proposed labels", of=part, group=group)
