"""A labeller that asks a chat model: its prompt, its requests, and the records made from the replies."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.labels import LabelSchema, describe_labels
from curate.llm.engine import ModelClient, Reply
from curate.llm.prompts.answer import ParsedAnswer, extract_json_object, parse_answer
from curate.llm.prompts.load import load_prompt
from curate.llm.prompts.prompt import answer_schema
from curate.llm.prompts.scores import Scoring
from curate.llm.request import Message, Request
from curate.stages.prelabel.labeller import HOW_TO_GET_TEXT, ItemMaterial
from curate.stages.prelabel.rows import ProposalRecord
from curate.stages.prelabel.settings import REPLAY, LabellerSettings

_NO_ANSWER = ParsedAnswer({}, {})
# Part of every request and so of the keys of stored replies: never reword it.
_FORM = "Answer with one JSON object, and nothing else, of the form that this JSON schema tells:"


class ChatLabeller:
    """See ``Labeller``. With ``model: replay``, stored replies answer its requests."""

    def __init__(
        self, settings: LabellerSettings, labels: LabelSchema, recipe_folder: Path, *, max_text_chars: int
    ) -> None:
        self._settings, self._labels, self._max_text_chars = settings, labels, max_text_chars
        self.prompt = load_prompt(settings.prompt, recipe_folder)
        self.sends_requests = settings.model != REPLAY
        self.extras: Sequence[str] = tuple(self.prompt.header.extra)
        self._described = describe_labels(labels, self.prompt.header.language)
        schema = answer_schema(self.prompt, labels)
        self._scoring = Scoring(labels) if settings.scores else None
        self._schema = self._scoring.extend_schema(schema) if self._scoring else schema

    def assets(self) -> Iterable[str]:
        """See ``Labeller.assets``: the prompt."""
        return (self.prompt.sha256,)

    async def propose(self, client: ModelClient, material: ItemMaterial) -> list[ProposalRecord]:
        """See ``Labeller.propose``: one record for every sample."""
        if self._settings.samples == 1:
            return [await self.ask(client, material)]
        samples = range(self._settings.samples)
        return await asyncio.gather(*(self.ask(client, material, sample=sample) for sample in samples))

    async def ask(self, client: ModelClient, material: ItemMaterial, *, sample: int = 0) -> ProposalRecord:
        """Return the record of one sample; an item that lacks what the prompt needs is not sent."""
        settings, prompt = self._settings, self.prompt
        material = material._replace(variables={**material.variables, "labels": self._described})
        record = ProposalRecord(
            settings.labeller_name,
            settings.model_name or settings.model,
            "abstained",
            sample=sample,
            prompt=prompt.name,
            prompt_sha256=prompt.sha256,
        )
        if missing := prompt.missing(material.variables, material.media):
            # An item may have what is missing: too long (`max_sound_s`), not decodable, or without visible characters.
            usable = " that can be sent" if material.item.get(missing[0]) else ""
            next_step = f": {HOW_TO_GET_TEXT}" if missing[0] == "text" and not usable else ""
            detail = f"the item has no {missing[0]}{usable}, which the prompt needs{next_step}"
            return record._replace(detail=detail)

        def check(text: str) -> ParsedAnswer:
            # Whatever the service promises: many return fences, reasoning or words around the object all the same.
            text = extract_json_object(text) if settings.structured == "none" or not _is_bare(text) else text
            return parse_answer(prompt, self._labels, text, material.context, scoring=self._scoring)

        reply = await client.ask(self._request(material, sample), check, labeller=settings.labeller_name)
        record = _with_reply(record, reply)
        return record._replace(detail="; ".join(filter(None, (record.detail, material.note))))

    def _request(self, material: ItemMaterial, sample: int) -> Request:
        messages = self.prompt.render(material.variables, material.media, max_chars=self._max_text_chars)
        settings = self._settings
        schema: Mapping[str, Any] | None = self._schema
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


def _is_bare(text: str) -> bool:
    return text.startswith("{") and text.endswith("}")


def _with_reply(record: ProposalRecord, reply: Reply[ParsedAnswer]) -> ProposalRecord:
    answer = reply.value or _NO_ANSWER
    is_empty = reply.outcome == "ok" and all(value is None for value in answer.values.values())
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
