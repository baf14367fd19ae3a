"""The audit of a model: may it replace a rater, and what do its proposals say of all items."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from curate.consensus.agreement.design import mixed_arms_note
from curate.consensus.agreement.ratings import Integers
from curate.consensus.audit.chosen import chosen_fields, chosen_tables
from curate.consensus.audit.evidence import Compared, compare, speakers_of
from curate.consensus.audit.field_audit import FieldAudit
from curate.consensus.audit.rows import DEFAULTS, AuditRow, Options
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
    for name in fields:
        compared = compare(labels.fields[name], judgements, proposals)
        if len(compared.blind.items) or len(compared.prefilled.items):
            mixed = mixed_arms_note(judgements, np.arange(judgements.num_rows))
            yield from FieldAudit(compared, _clusters(compared, speakers), options, mixed).rows()


def _clusters(compared: Compared, speakers: pa.Table | None) -> Integers | None:
    """Return the number of each item's speaker; None if no speaker has two items."""
    if speakers is None:
        return None
    numbers = speakers_of(compared, speakers)
    return numbers if len(np.unique(numbers)) < len(numbers) else None
