"""The protocol of labellers within the stage, and the one for labellers that run in this process."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from curate.labels import ItemContext, LabelSchema
from curate.llm.engine import ModelClient
from curate.llm.request import MediaPart
from curate.stages.prelabel.rows import ProposalRecord, local_record
from curate.stages.prelabel.settings import LabellerSettings


class ItemMaterial(NamedTuple):
    """What labellers may use of an item: prompt variables, media by modality, and the context that spans refer to."""

    item: Mapping[str, Any]
    variables: Mapping[str, str]
    media: Mapping[str, Sequence[MediaPart]]
    context: ItemContext
    note: str = ""
    """What could not be prepared, such as examples"""


class Labeller(Protocol):
    """Proposes labels for an item, in one answer or several."""

    sends_requests: bool
    """Whether an answer may be missing because nobody was asked yet"""
    extras: Sequence[str]
    """The names of what it writes besides the labels"""

    def assets(self) -> Iterable[str]:
        """Return the hashes and names of what decides its answers besides its settings."""
        ...

    async def propose(self, client: ModelClient, material: ItemMaterial) -> list[ProposalRecord]:
        """Return one record for every answer."""
        ...


class LocalLabeller:
    """A labeller that reads text in this process and sends no requests."""

    sends_requests = False
    extras: Sequence[str] = ()

    def __init__(self, settings: LabellerSettings, labels: LabelSchema, recipe_folder: Path) -> None:
        self._name, self._labels = settings.labeller_name, labels
        self._labeller = settings.open_local(recipe_folder)

    def assets(self) -> Iterable[str]:
        """See ``Labeller.assets``."""
        yield self._labeller.name
        yield from self._labeller.assets(self._labels)

    async def propose(self, client: ModelClient, material: ItemMaterial) -> list[ProposalRecord]:
        """See ``Labeller.propose``."""
        return self.propose_many([material.item])

    def propose_many(self, items: Sequence[Mapping[str, Any]]) -> list[ProposalRecord]:
        """Return one record for every item."""
        proposals = self._labeller.propose_many(items, self._labels)
        return [local_record(self._name, self._labeller.name, proposal) for proposal in proposals]
