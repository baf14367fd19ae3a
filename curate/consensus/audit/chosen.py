"""The part of a corpus that an audit is about."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.consensus.audit.evidence import usable_proposals
from curate.consensus.evidence import check_arms
from curate.document import nearest
from curate.errors import InvalidInput
from curate.labels import LabelSchema


def chosen_fields(labels: LabelSchema, field: str | None) -> tuple[str, ...]:
    """Return the fields to audit. Raises ``InvalidInput`` for one that there is not."""
    if field is None:
        return tuple(labels.fields)
    if field not in labels.fields:
        raise InvalidInput(
            f"{field} is not a field of {labels.name}{nearest(field, tuple(labels.fields))}",
            hint=f"its fields are {', '.join(labels.fields)}",
        )
    return (field,)


def chosen_tables(
    judgements: pa.Table, prelabels: pa.Table, *, labeller: str | None, arm: str | None
) -> tuple[pa.Table, pa.Table]:
    """Return the judgements of an arm, and one usable proposal of a labeller for each item."""
    if arm is not None:
        check_arms(judgements, [arm])
        judgements = judgements.filter(pc.fill_null(pc.equal(judgements["arm"], arm), False))
    names = sorted(prelabels["labeller"].drop_null().unique().to_pylist())
    if labeller is not None and labeller not in names:
        raise InvalidInput(
            f"no proposal is by labeller {labeller}{nearest(labeller, tuple(names))}",
            hint=f"the labellers are {', '.join(names)}" if names else "run a recipe with a prelabel stage",
        )
    return judgements, usable_proposals(prelabels, labeller)
