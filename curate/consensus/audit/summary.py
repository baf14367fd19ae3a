"""What a card or report says of an audit: the fields that somebody judged blind, and no figure of a single person."""

import pyarrow as pa

from curate.consensus.audit.model import audit_rows
from curate.consensus.audit.rows import DEFAULTS, AuditRow, Options
from curate.corpus.judgements import is_prefilled
from curate.labels import LabelSchema

_WITHOUT_BLIND = frozenset({"none", "distance_prefilled"})


def summary_rows(
    labels: LabelSchema,
    judgements: pa.Table,
    prelabels: pa.Table,
    *,
    speakers: pa.Table | None = None,
    options: Options = DEFAULTS,
) -> list[AuditRow]:
    """Return the audit of the proposals that people see, without rows that name a rater; see ``audit_rows``.

    It is empty if no item with a proposal was judged without showing it.
    """
    if not prelabels.num_rows or is_prefilled(judgements).all():
        return []
    rows = list(audit_rows(labels, judgements, prelabels, speakers=speakers, options=options))
    audited = {row.field for row in rows if row.measure not in _WITHOUT_BLIND}
    return [row for row in rows if row.field in audited and "rater" not in row.group]
