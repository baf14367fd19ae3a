"""Ask models about an item: what they are shown, how often they are asked, and what is made of their answers."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.corpus.view import Corpus
from curate.labels import ItemContext, describe_labels, to_context
from curate.llm.dry_run import DryRun
from curate.llm.engine import ModelClient, Reply
from curate.llm.labellers.protocol import Proposal
from curate.llm.prompts.answer import ParsedAnswer, extract_json_object, parse_answer
from curate.llm.prompts.load import load_prompt
from curate.llm.prompts.material import describe_item, format_answer
from curate.llm.prompts.prompt import Prompt, answer_schema
from curate.llm.prompts.scores import Scoring
from curate.llm.request import MediaPart, Message, Request
from curate.stages.contract import Tools
from curate.stages.prelabel.context import AROUND
from curate.stages.prelabel.examples import Found, ItemExamples
from curate.stages.prelabel.media import ItemMedia
from curate.stages.prelabel.rows import Proposed, combined, proposed_by, rows_of
from curate.stages.prelabel.settings import REPLAY, LabellerSettings

if TYPE_CHECKING:
    from curate.stages.prelabel.stage import Prelabel

Row = dict[str, Any]
_NO_ANSWER = ParsedAnswer({}, {})
_STAND_IN = "x" * 250
"""As long as what a prompt asks besides the labels mostly is"""
_FORM = "Answer with one JSON object, and nothing else, of the form that this JSON schema tells:"


class _Asked(NamedTuple):
    """A labeller that is asked: its prompt, what its answers must look like, and the labels in words."""

    settings: LabellerSettings
    prompt: Prompt
    schema: Mapping[str, Any]
    described: str
    scoring: Scoring | None


class _Told(NamedTuple):
    """What is known of an item: variables of prompts, media by modality, and what fields are placed in."""

    item: Row
    variables: Mapping[str, str]
    media: Mapping[str, Sequence[MediaPart]]
    context: ItemContext
    lacking: str = ""
    """What could not be told though it was asked for"""


class Chat:
    """The work on one item after another; many are under way at once.

    Without a corpus there are no examples, and no media that are decoded.
    """

    def __init__(self, stage: "Prelabel", corpus: Corpus | None, tools: Tools) -> None:
        self._stage, self._labels = stage, tools.labels
        self._local = [(one, one.open_local(tools.folder)) for one in stage.labellers if one.is_local]
        self._asked = [self._open(one, tools) for one in stage.labellers if not one.is_local]
        self._review = self._open(stage.review, tools) if stage.review else None
        everyone = [*self._asked, *([self._review] if self._review else [])]
        wanted = {
            name
            for asked in everyone
            for name, need in asked.prompt.modalities.items()
            if need == "required" or name.removesuffix("_b") in stage.show
        }
        self._media = ItemMedia(
            wanted, stage.pictures, corpus, tools, sound=stage.sound, most_sound_s=stage.max_sound_s
        )
        self.examples = ItemExamples(stage.examples, corpus, tools) if stage.examples and corpus else None

    async def rows(self, asker: ModelClient, item: Row) -> list[Row]:
        """All proposals for an item as rows of ``prelabels``."""
        found = await self.examples.of(asker, item) if self.examples else Found("")
        words = self._words(item, found.told)
        told = _Told(item, words, await self._media.of(item), to_context(item), found.lacking)
        proposals = [
            proposed_by(one.label, model.name, model.propose(item, self._labels)) for one, model in self._local
        ]
        asks = [
            self._ask(asker, asked, told, sample) for asked in self._asked for sample in range(asked.settings.samples)
        ]
        proposals += [await asks[0]] if len(asks) == 1 else await asyncio.gather(*asks)
        together = combined(proposals, self._labels, self._stage.combine)
        review = await self._reviewed(asker, told, [together] if together else proposals)
        return rows_of(item["item_id"], proposals, self._labels, together=together, review=review)

    async def recall(self, dry_run: DryRun, item: Row) -> list[Row] | None:
        """The same; None where somebody would have to be asked, or media decoded to know."""
        if self._media.are_decoded(item):
            return None
        branch = dry_run.branch()
        rows = await self.rows(branch, item)
        if any(row["outcome"] == "error" for row in rows):
            return None
        dry_run.merge(branch)
        return rows

    async def rehearse(self, asker: ModelClient, item: Row) -> None:
        """Ask what ``rows`` would ask about an item, as far as that can be told before any answer is known.

        Pictures and sounds are only guessed. Where answers are missing, a stand-in of the usual length is reviewed.
        """
        examples = self.examples.guessed(item) if self.examples else ""
        told = _Told(item, self._words(item, examples), self._media.guessed(item), to_context(item))
        proposals = [
            proposed_by(one.label, model.name, model.propose(item, self._labels)) for one, model in self._local
        ]
        missing: list[_Asked] = []
        for asked in self._asked:
            answers = [await self._ask(asker, asked, told, sample) for sample in range(asked.settings.samples)]
            proposals += answers
            if asked.settings.model != REPLAY and any(one.outcome == "error" for one in answers):
                missing.append(asked)
        if missing and self._review is not None:
            extras = dict.fromkeys(missing[0].prompt.header.extra, _STAND_IN)
            proposals = [proposed_by("", "", Proposal({}, {}, "ok"))._replace(extras=extras)]
        together = combined(proposals, self._labels, self._stage.combine)
        await self._reviewed(asker, told, [together] if together else proposals)

    def is_guessed(self, item: Row) -> bool:
        """Whether ``rows`` may ask other questions than ``rehearse``: what is shown is chosen only in a run."""
        chosen = self._stage.examples is not None and self._stage.examples.embeds is not None
        return chosen or self._media.are_decoded(item)

    async def _reviewed(self, asker: ModelClient, told: _Told, before: Sequence[Proposed]) -> Proposed | None:
        usable = next((one for one in before if one.outcome == "ok"), None)
        if self._review is None or usable is None:
            return None
        answer = format_answer(self._labels, usable.values, told.item, usable.extras)
        shown = told._replace(variables={**told.variables, "answer": answer})
        return await self._ask(asker, self._review, shown, 0)

    async def _ask(self, asker: ModelClient, asked: _Asked, told: _Told, sample: int) -> Proposed:
        settings, prompt = asked.settings, asked.prompt
        told = told._replace(variables={**told.variables, "labels": asked.described})
        about = Proposed(
            settings.label,
            settings.asks or settings.model,
            "abstained",
            sample=sample,
            prompt=prompt.name,
            prompt_sha256=prompt.sha256,
        )
        if lacking := prompt.missing(told.variables, told.media):
            # What it has was left out: it is too long (`max_sound_s`), cannot be decoded, or has nothing to be seen.
            usable = " that can be sent" if told.item.get(lacking[0]) else ""
            return about._replace(detail=f"the item has no {lacking[0]}{usable}, which the prompt needs")

        def check(text: str) -> ParsedAnswer:
            text = extract_json_object(text) if settings.structured == "none" else text
            return parse_answer(prompt, self._labels, text, told.context, scoring=asked.scoring)

        reply = await asker.ask(self._request(asked, told, sample), check, labeller=settings.label)
        taken = _taken(about, reply)
        return taken._replace(detail="; ".join(filter(None, (taken.detail, told.lacking)))) if told.lacking else taken

    def _request(self, asked: _Asked, told: _Told, sample: int) -> Request:
        messages = asked.prompt.render(told.variables, told.media, max_chars=self._stage.max_text_chars)
        settings = asked.settings
        schema: Mapping[str, Any] | None = asked.schema
        if settings.structured != "json_schema":
            form = f"\n\n{_FORM}\n\n{json.dumps(schema, ensure_ascii=False)}"
            # In the first message, as many services know one of the system only.
            messages = (Message(messages[0].role, (*messages[0].parts, form)), *messages[1:])
            schema = None
        return Request(settings.asks, messages, schema, parameters=settings.parameters(), sample=sample)

    def _open(self, settings: LabellerSettings, tools: Tools) -> _Asked:
        prompt = load_prompt(settings.prompt, tools.folder)
        schema = answer_schema(prompt, tools.labels)
        scoring = Scoring(tools.labels) if settings.scores else None
        schema = scoring.extend_schema(schema) if scoring else schema
        return _Asked(settings, prompt, schema, describe_labels(tools.labels, prompt.language), scoring)

    def _words(self, item: Row, examples: str) -> dict[str, str]:
        """What of an item is told in words."""
        context = self._stage.context
        around, turn = (item.get(name) for name in AROUND)
        shown = {**item, "dialogue": around, "turn": turn} if around else item
        words = describe_item(shown, turns_before=context.before, turns_after=context.after)
        return {**words, "examples": examples} if examples else words


def _taken(about: Proposed, reply: Reply[ParsedAnswer]) -> Proposed:
    """A reply as a proposal."""
    values, extras, mended, scored = reply.value or _NO_ANSWER
    is_empty = reply.outcome == "ok" and all(value is None for value in values.values())
    detail = "; ".join(mended) or ("the model names nothing" if is_empty else reply.detail)
    return about._replace(
        outcome="abstained" if is_empty else reply.outcome,
        values=values,
        scores={name: by_label for name, by_label in scored.scores.items() if values.get(name) is not None},
        confidence=scored.confidence,
        extras=extras,
        detail=detail,
        model_answered=reply.model,
        request_key=reply.key,
        request_id=reply.request_id,
        answered_at=reply.created_at,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        usd=reply.usd,
    )
