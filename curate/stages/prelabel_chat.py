"""Ask models about an item: what they are shown, how often they are asked, and what is made of their answers."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from curate.annotation.tasks import to_context
from curate.labels import ItemContext
from curate.llm.engine import Asker, Reply
from curate.llm.offline import open_offline
from curate.llm.prompt import Answer, Prompt, answer_schema, describe_labels, load_prompt, read_answer
from curate.llm.request import Media, Request
from curate.stage import Tools
from curate.stages.prelabel_context import COLUMN, Examples, shown_turns
from curate.stages.prelabel_rows import Proposed, combined, proposed_by, rows_of
from curate.stages.prelabel_settings import Combination, LabellerSettings, ReviewSettings
from curate.stages.prelabel_shown import Shown
from curate.storage.corpus import Corpus

Row = dict[str, Any]
Sections = Mapping[str, str]


@dataclass(frozen=True)
class _Asked:
    """A labeller that is asked: its prompt, and what its answers must look like."""

    settings: LabellerSettings
    prompt: Prompt
    schema: Mapping[str, Any]
    described: str


class ChatSettings(Protocol):
    """What of the stage's settings decides how items are asked about."""

    @property
    def labellers(self) -> Sequence[LabellerSettings]: ...
    @property
    def review(self) -> ReviewSettings | None: ...
    @property
    def combine(self) -> Combination: ...


class Chat:
    """The work on one item after another; many are under way at once."""

    def __init__(self, stage: Any, corpus: Corpus, tools: Tools, asker: Asker) -> None:
        self._stage, self._labels, self._asker, self._folder = stage, tools.labels, asker, tools.folder
        self._local = [(one, open_offline(one.model)) for one in stage.labellers if one.is_local]
        self._asked = [self._open(one) for one in stage.labellers if not one.is_local]
        self._review = self._open(stage.review) if stage.review else None
        self._shown = Shown(stage.pictures, stage.audio, corpus, tools)
        self._examples = Examples(stage.examples, corpus, tools) if stage.examples else None

    async def rows(self, item: Row) -> list[Row]:
        """All proposals for an item as rows of ``prelabels``."""
        variables, media = self._told(item), await self._shown.media(item)
        context = to_context(item)
        proposals = [
            proposed_by(one.label, model.name, model.propose(item, self._labels)) for one, model in self._local
        ]
        proposals += await asyncio.gather(
            *(
                self._ask(asked, variables, media, context, sample)
                for asked in self._asked
                for sample in range(asked.settings.samples)
            )
        )
        together = combined(proposals, self._labels, self._stage.combine)
        review = None
        if self._review is not None:
            before = together or next((one for one in proposals if one.outcome == "ok"), None)
            if before is not None:
                answer = self._labels.to_answer(before.values, context)
                told = {**variables, "answer": _json(answer)}
                review = await self._ask(self._review, told, media, context, 0)
        return rows_of(item["item_id"], proposals, self._labels, together=together, review=review)

    def first_requests(self, item: Row) -> Iterator[tuple[str, Request]]:
        """What would be asked about an item before any answer is known, with the labeller's name."""
        variables, media = self._told(item), self._shown.known_media(item)
        for asked in self._asked:
            if not asked.prompt.lacking(variables, media):
                for sample in range(asked.settings.samples):
                    yield asked.settings.label, self._request(asked, variables, media, sample)

    async def _ask(
        self,
        asked: _Asked,
        variables: Mapping[str, str],
        media: Mapping[str, Sequence[Media]],
        context: ItemContext,
        sample: int,
    ) -> Proposed:
        settings = asked.settings
        about = Proposed(
            settings.label,
            settings.asks or settings.model,
            "abstained",
            sample=sample,
            prompt=asked.prompt.name,
            prompt_sha256=asked.prompt.sha256,
        )
        if lacking := asked.prompt.lacking(variables, media):
            return replace(about, detail=f"the item has no {lacking[0]}, which the prompt needs")

        def check(text: str) -> Answer:
            return read_answer(asked.prompt, self._labels, text, context)

        request = self._request(asked, variables, media, sample)
        reply = await self._asker.ask(request, check, labeller=settings.label)
        return _taken(about, reply)

    def _request(
        self, asked: _Asked, variables: Mapping[str, str], media: Mapping[str, Sequence[Media]], sample: int
    ) -> Request:
        told = {**variables, "labels": asked.described}
        messages = asked.prompt.render(told, media, most_chars=self._stage.max_text_chars)
        return Request(
            asked.settings.asks, messages, asked.schema, parameters=asked.settings.parameters(), sample=sample
        )

    def _open(self, settings: LabellerSettings) -> _Asked:
        prompt = load_prompt(settings.prompt, self._folder)
        return _Asked(
            settings, prompt, answer_schema(prompt, self._labels), describe_labels(self._labels, prompt.language)
        )

    def _told(self, item: Row) -> dict[str, str]:
        """What of an item is told in words."""
        told = {name: item.get(name) or "" for name in ("text", "text_b", "speaker", "statement", "language")}
        told["context"] = shown_turns(item.get(COLUMN) or (item["dialogue"] if item["unit"] == "dialogue" else None))
        if self._examples is not None:
            told["examples"] = self._examples.of(item)
        return {name: text for name, text in told.items() if text}


def _taken(about: Proposed, reply: Reply[Answer]) -> Proposed:
    """A reply as a proposal."""
    from_where = replace(
        about,
        outcome=reply.outcome,
        detail=reply.detail,
        model_answered=reply.model,
        request_key=reply.key,
        request_id=reply.request_id,
        answered_at=reply.created_at,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        usd=reply.usd,
        tries=reply.tries,
    )
    if reply.outcome != "ok" or reply.value is None:
        return from_where
    answer = reply.value
    is_empty = all(value is None for value in answer.values.values())
    return replace(
        from_where,
        outcome="abstained" if is_empty else "ok",
        values=answer.values,
        scores=answer.scores,
        confidence=answer.confidence,
        extras=answer.extras,
        detail="; ".join(filter(None, (reply.detail, answer.mended))),
    )
