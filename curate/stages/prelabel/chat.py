"""A labeller that asks a chat model: its prompt, its requests, and the records made from the replies."""

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.labels import LabelSchema
from curate.llm.engine import ModelClient, Reply
from curate.llm.prompts.answer import ParsedAnswer, extract_json_object, parse_answer
from curate.llm.request import Message, Request
from curate.stages.prelabel.asking import AskedPrompt
from curate.stages.prelabel.labeller import HOW_TO_GET_TEXT, ItemMaterial
from curate.stages.prelabel.rows import ProposalRecord
from curate.stages.prelabel.settings import REPLAY, LabellerSettings

_NO_ANSWER = ParsedAnswer({}, {})
# Part of every request and so of the keys of stored replies: never reword it.
_FORM = "Answer with one JSON object, and nothing else, of the form that this JSON schema tells:"


class ChatLabeller:
    """See ``Labeller``. With ``model: replay``, stored replies answer its requests."""

    def __init__(
        self,
        settings: LabellerSettings,
        labels: LabelSchema,
        recipe_folder: Path,
        *,
        max_text_chars: int,
        shown: Collection[str] = (),
    ) -> None:
        """``shown`` are the optional modalities that are sent; those that the prompt requires always are."""
        self._settings, self._labels, self._max_text_chars = settings, labels, max_text_chars
        self.sends_requests = settings.model != REPLAY

        def ask_with(name: str) -> AskedPrompt:
            return AskedPrompt(name, labels, recipe_folder, scores=settings.scores, shown=shown)

        self._default = ask_with(settings.prompt)
        self._by_language = {language: ask_with(name) for language, name in settings.prompts.items()}
        self.extras: Sequence[str] = tuple(self._default.prompt.header.extra)

    @property
    def modalities(self) -> set[str]:
        """The media that it may be sent."""
        return self._default.modalities.union(*(asked.modalities for asked in self._by_language.values()))

    def assets(self) -> Iterable[str]:
        """See ``Labeller.assets``: the prompts."""
        return [asked.prompt.sha256 for asked in (self._default, *self._by_language.values())]

    async def propose(self, client: ModelClient, material: ItemMaterial) -> list[ProposalRecord]:
        """See ``Labeller.propose``: one record for every sample."""
        if self._settings.samples == 1:
            return [await self.ask(client, material)]
        samples = range(self._settings.samples)
        return await asyncio.gather(*(self.ask(client, material, sample=sample) for sample in samples))

    async def ask(self, client: ModelClient, material: ItemMaterial, *, sample: int = 0) -> ProposalRecord:
        """Return the record of one sample; an item that lacks what the prompt needs is not sent."""
        settings, asked = self._settings, self._prompt_for(material.item.get("language"))
        prompt = asked.prompt
        material = material._replace(
            variables={**material.variables, "labels": asked.described},
            media={name: parts for name, parts in material.media.items() if name in asked.modalities},
        )
        record = ProposalRecord(
            settings.labeller_name,
            settings.model_name or settings.model,
            "abstained",
            sample=sample,
            prompt=prompt.name,
            prompt_sha256=prompt.sha256,
        )
        if material.failure and "clues" in prompt.header.variables:
            return record._replace(outcome="error", detail=material.failure)
        if missing := prompt.missing(material.variables, material.media):
            # An item may have what is missing: too long (`max_sound_s`), not decodable, or without visible characters.
            usable = " that can be sent" if _is_there(material.item, missing[0]) else ""
            next_step = f": {HOW_TO_GET_TEXT}" if missing[0] == "text" and not usable else ""
            detail = f"the item has no {missing[0]}{usable}, which the prompt needs{next_step}"
            return record._replace(detail=detail)

        def check(text: str) -> ParsedAnswer:
            # Whatever the service promises: many return fences, reasoning or words around the object all the same.
            text = extract_json_object(text) if settings.structured == "none" or not _is_bare(text) else text
            return parse_answer(prompt, self._labels, text, material.context, scoring=asked.scoring)

        reply = await client.ask(self._request(asked, material, sample), check, labeller=settings.labeller_name)
        record = _with_reply(record, reply)
        if record.outcome == "ok" and not prompt.header.asks_labels:
            record = record._replace(outcome="clue")
        return record._replace(detail="; ".join(filter(None, (record.detail, material.note))))

    def _prompt_for(self, language: Any) -> AskedPrompt:
        """Return the prompt for items in a language, such as pt-BR: the one named for it, or for pt, or the usual."""
        name = language if isinstance(language, str) else ""
        return self._by_language.get(name) or self._by_language.get(name.partition("-")[0]) or self._default

    def _request(self, asked: AskedPrompt, material: ItemMaterial, sample: int) -> Request:
        messages = asked.prompt.render(material.variables, material.media, max_chars=self._max_text_chars)
        settings = self._settings
        schema: Mapping[str, Any] | None = asked.schema
        if settings.structured != "json_schema":
            form = f"\n\n{_FORM}\n\n{json.dumps(schema, ensure_ascii=False)}"
            # In the first message, because many services accept only one system message.
            messages = (Message(messages[0].role, (*messages[0].parts, form)), *messages[1:])
            schema = None
        return Request(
            settings.model_name,
            messages,
            schema,
            parameters=settings.parameters(),
            sample=sample,
            thinking_tokens=settings.thinking_tokens,
        )


def _is_there(item: Mapping[str, Any], name: str) -> bool:
    is_filmed = name in ("video", "frames") and item.get("layout") == "video"
    return bool(item.get(name)) or is_filmed


def _is_bare(text: str) -> bool:
    return text.startswith("{") and text.endswith("}")


def _with_reply(record: ProposalRecord, reply: Reply[ParsedAnswer]) -> ProposalRecord:
    answer = reply.value or _NO_ANSWER
    is_empty = reply.outcome == "ok" and bool(answer.values) and not any(v is not None for v in answer.values.values())
    by_field = answer.model_scores.scores
    return record._replace(
        outcome="abstained" if is_empty else reply.outcome,
        values=answer.values,
        scores={name: scores for name, scores in by_field.items() if answer.values.get(name) is not None},
        confidence=answer.model_scores.confidence,
        extras=answer.extras,
        detail="; ".join(answer.repairs) or ("the model names nothing" if is_empty else reply.detail),
        model_answered=reply.model,
        request_key=reply.key,
        request_id=reply.request_id,
        answered_at=reply.created_at,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        usd=reply.usd,
    )
