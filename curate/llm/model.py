"""What proposes labels: the protocol that every labeller speaks."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

from curate.labels import LabelSchema

PrelabelOutcome = Literal["ok", "abstained", "refused", "filtered", "truncated", "invalid", "error"]


class Proposal(NamedTuple):
    """What a labeller says of one item: a checked value by field, scores (0-1) by field and label, and the outcome."""

    values: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float]]
    outcome: PrelabelOutcome
    model: str = ""
    """What is behind it, with its version, where that is not the labeller as a whole."""


class Labeller(Protocol):
    """Proposes labels for items."""

    name: str
    """As it stands in the table, with its version: ``offline-ngrams.v1``."""

    def propose(self, item: Mapping[str, Any], labels: LabelSchema) -> Proposal:
        """A proposal for one row of ``items``; what it cannot judge it leaves out, or abstains."""
        ...
