"""All proposals for one item: every labeller, their combination, and the review."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from curate.corpus.view import Corpus
from curate.labels import to_context
from curate.llm.dry_run import DryRun
from curate.llm.engine import ModelClient
from curate.llm.prompts.material import describe_item, format_answer
from curate.stages.contract import Tools
from curate.stages.prelabel.chat import ChatLabeller
from curate.stages.prelabel.clues import failed_clue, format_clues, typical_clues
from curate.stages.prelabel.context import AROUND
from curate.stages.prelabel.examples import ItemExamples, PromptExamples
from curate.stages.prelabel.labeller import ItemMaterial, Labeller, LocalLabeller
from curate.stages.prelabel.media import ItemMedia
from curate.stages.prelabel.rows import ProposalRecord, build_rows, combine_records
from curate.stages.prelabel.settings import LabellerSettings, PrelabelSettings

Row = dict[str, Any]
T = TypeVar("T")
_TYPICAL_EXTRA = "x" * 250
"""Stands in for an answer to what a prompt asks besides the labels, for estimates"""


class Proposer:
    """Makes the rows of one item after another; many items may be in progress at once.

    Without a corpus there are no examples, and no media that have to be decoded.
    """

    def __init__(self, settings: PrelabelSettings, corpus: Corpus | None, tools: Tools) -> None:
        self._settings, self._labels = settings, tools.labels
        self._labellers = open_labellers(settings, tools)
        self._clues = [_open_chat(clue, settings, tools) for clue in settings.clues]
        self._reviewer = _open_chat(settings.review, settings, tools) if settings.review else None
        self._media = ItemMedia(self._modalities(), settings, corpus, tools)
        self.examples = ItemExamples(settings.examples, corpus, tools) if settings.examples and corpus else None

    async def propose(self, client: ModelClient, item: Row) -> list[Row]:
        """Return all proposals for an item as rows of ``prelabels``."""
        examples = await self.examples.choose(client, item) if self.examples else PromptExamples("")
        media = await self._media.prepare(item)
        material = ItemMaterial(item, self._variables(item, examples.text), media, to_context(item), examples.problem)
        clues = await _gather([clue.ask(client, material) for clue in self._clues]) if self._clues else []
        material = _with_clues(material, clues)
        answers = await _gather([labeller.propose(client, material) for labeller in self._labellers])
        records = [record for of_labeller in answers for record in of_labeller]
        combined = combine_records(records, self._labels, self._settings.combine)
        review = await self._review(client, material, [combined] if combined else records)
        return build_rows(item["item_id"], records, self._labels, clues=clues, combined=combined, review=review)

    async def replay(self, dry_run: DryRun, item: Row) -> list[Row] | None:
        """Return the same rows from stored replies, or None if a request or decoded media would be needed."""
        if self._media.needs_decoding(item):
            return None
        branch = dry_run.branch()
        rows = await self.propose(branch, item)
        if any(row["outcome"] == "error" for row in rows):
            return None
        dry_run.merge(branch)
        return rows

    async def plan_requests(self, client: ModelClient, item: Row) -> None:
        """Make the requests of ``propose`` as far as they can be known before any answer is.

        Pictures and sounds are estimated. If answers are missing, one of typical length is reviewed in their place.
        """
        examples = self.examples.choose_by_words(item) if self.examples else ""
        media = self._media.estimate(item)
        material = ItemMaterial(item, self._variables(item, examples), media, to_context(item))
        clues = [await clue.ask(client, material) for clue in self._clues]
        material = _with_clues(material, typical_clues(clues, [clue.extras for clue in self._clues]))
        answers = [await labeller.propose(client, material) for labeller in self._labellers]
        records = [record for of_labeller in answers for record in of_labeller]
        unanswered = [
            labeller
            for labeller, of_labeller in zip(self._labellers, answers, strict=True)
            if labeller.sends_requests and any(record.outcome == "error" for record in of_labeller)
        ]
        if unanswered and self._reviewer is not None:
            records = [ProposalRecord("", "", "ok", extras=dict.fromkeys(unanswered[0].extras, _TYPICAL_EXTRA))]
        combined = combine_records(records, self._labels, self._settings.combine)
        await self._review(client, material, [combined] if combined else records)

    def is_estimated(self, item: Row) -> bool:
        """Whether the requests of ``propose`` may differ from those of ``plan_requests``."""
        examples = self._settings.examples
        embeds = examples is not None and examples.embedding_model is not None
        return embeds or self._media.needs_decoding(item)

    async def _review(
        self, client: ModelClient, material: ItemMaterial, records: Sequence[ProposalRecord]
    ) -> ProposalRecord | None:
        usable = next((record for record in records if record.outcome == "ok"), None)
        if self._reviewer is None or usable is None:
            return None
        answer = format_answer(self._labels, usable.values, material.item, usable.extras)
        with_answer = material._replace(variables={**material.variables, "answer": answer})
        return await self._reviewer.ask(client, with_answer)

    def _variables(self, item: Row, examples: str) -> Mapping[str, str]:
        around, turn = (item.get(name) for name in AROUND)
        with_turns = {**item, "dialogue": around, "turn": turn} if around else item
        context = self._settings.context
        variables = describe_item(with_turns, turns_before=context.before, turns_after=context.after)
        return {**variables, "examples": examples} if examples else variables

    def _modalities(self) -> set[str]:
        """Return what prompts require, and what they accept and the settings show."""
        models = [*self._clues, *self._labellers, *([self._reviewer] if self._reviewer else [])]
        return {name for model in models if isinstance(model, ChatLabeller) for name in model.modalities}


def open_labellers(settings: PrelabelSettings, tools: Tools, *, with_others: bool = False) -> list[Labeller]:
    """Return the labellers, local ones first: of several usable proposals the first is final.

    With ``with_others``, those that give clues and the reviewer as well.
    """
    local = [
        LocalLabeller(labeller, tools.labels, tools.folder) for labeller in settings.labellers if labeller.is_local
    ]
    chat = [_open_chat(labeller, settings, tools) for labeller in settings.labellers if not labeller.is_local]
    if not with_others:
        return [*local, *chat]
    others = [*settings.clues, *([settings.review] if settings.review else [])]
    return [*local, *chat, *(_open_chat(other, settings, tools) for other in others)]


def _open_chat(labeller: LabellerSettings, settings: PrelabelSettings, tools: Tools) -> ChatLabeller:
    return ChatLabeller(
        labeller, tools.labels, tools.folder, max_text_chars=settings.max_text_chars, shown=settings.show
    )


def _with_clues(material: ItemMaterial, clues: Sequence[ProposalRecord]) -> ItemMaterial:
    if not clues:
        return material
    text = format_clues(clues)
    variables = {**material.variables, "clues": text} if text else material.variables
    return material._replace(variables=variables, failure=failed_clue(clues))


async def _gather(work: Iterable[Awaitable[T]]) -> list[T]:
    """Await all at once; a single one without the cost of a task."""
    awaitables = list(work)
    return [await awaitables[0]] if len(awaitables) == 1 else await asyncio.gather(*awaitables)
