"""The protocol of labellers within the stage, and the one for labellers that run in this process."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from curate.labels import ItemContext, LabelSchema
from curate.llm.engine import ModelClient
from curate.llm.labellers.protocol import Proposal, english_text_of, text_of
from curate.llm.request import MediaPart
from curate.stages.prelabel.rows import ProposalRecord, local_record
from curate.stages.prelabel.settings import LabellerSettings

HOW_TO_GET_TEXT = (
    "put subtitles next to the media, set `transcript:` of preprocess, or name a model and a prompt that need none"
)


class ItemMaterial(NamedTuple):
    """What labellers may use of an item: prompt variables, media by modality, and the context that spans refer to."""

    item: Mapping[str, Any]
    variables: Mapping[str, str]
    media: Mapping[str, Sequence[MediaPart]]
    context: ItemContext
    note: str = ""
    """What could not be prepared, such as examples"""
    failure: str = ""
    """Which clue is missing through no fault of the item; a prompt that shows clues is not sent without it"""


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
        return [
            local_record(self._name, self._labeller.name, _with_reason(proposal, item))
            for proposal, item in zip(proposals, items, strict=True)
        ]


def _with_reason(proposal: Proposal, item: Mapping[str, Any]) -> Proposal:
    """Return a proposal that says why it is empty, and what to change for one that is not."""
    if proposal.outcome != "abstained" or proposal.detail:
        return proposal
    if not text_of(item):
        return proposal._replace(detail=f"the item has no text: {HOW_TO_GET_TEXT}")
    if not english_text_of(item):
        is_known = item.get("language") is not None
        reason = "is not English" if is_known else "may not be English, and is too short to tell"
        return proposal._replace(detail=f"the text {reason}: name a model that knows its language")
    return proposal._replace(
        detail="no field of the label schema can be read off the text: name a model, or ask people"
    )
