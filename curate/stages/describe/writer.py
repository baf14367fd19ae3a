"""Asks a model for texts that fit a label."""

import json
from collections.abc import Mapping
from typing import Any

from curate.labels import LabelSchema, describe_labels, to_context
from curate.labels.record import parse_json
from curate.llm.engine import ModelClient
from curate.llm.prompts.answer import extract_json_object
from curate.llm.prompts.material import describe_item
from curate.llm.prompts.prompt import Prompt
from curate.llm.request import Message, Request
from curate.stages.describe.outdated import Outdated

_FORM = "Answer with one JSON object, and nothing else, of the form that this JSON schema tells:"
_MAX_CHARS = 8_000


class Writer:
    """Writes the texts of one item after another with one prompt and model."""

    def __init__(
        self,
        prompt: Prompt,
        labels: LabelSchema,
        model: str,
        parameters: Mapping[str, Any],
        *,
        structured: str,
        name: str,
    ) -> None:
        self._prompt, self._labels, self._model, self._name = prompt, labels, model, name
        self._parameters, self._structured = parameters, structured
        self._described = describe_labels(labels, prompt.header.language)

    def request(self, outdated: Outdated) -> Request:
        """Return the request for an item's texts. Raises ``InvalidRow`` if the item lacks what the prompt needs."""
        labels = self._labels
        values = {name: value for name, value in outdated.labels.items() if name in labels.fields}
        answer = {
            name: part for name, part in labels.to_answer(values, to_context(outdated.item)).items() if part is not None
        }
        variables = {
            **describe_item(outdated.item),
            "labels": self._described,
            "answer": json.dumps(answer, ensure_ascii=False, indent=1),
        }
        variables |= {"draft": "\n\n".join(outdated.drafts.values())} if outdated.drafts else {}
        variables |= {"clues": outdated.clues} if outdated.clues else {}
        messages = self._prompt.render(variables, max_chars=_MAX_CHARS)
        schema = self._schema(outdated)
        if self._structured == "json_schema":
            return Request(self._model, messages, schema, "texts", self._parameters)
        form = f"\n\n{_FORM}\n\n{json.dumps(schema, ensure_ascii=False)}"
        first = Message(messages[0].role, (*messages[0].parts, form))
        return Request(self._model, (first, *messages[1:]), None, "texts", self._parameters)

    async def write(self, client: ModelClient, outdated: Outdated) -> dict[str, Any]:
        """Return the row of ``rewritten`` for an item."""
        prompt = self._prompt
        row = {
            "item_id": outdated.item["item_id"],
            "basis": outdated.basis,
            "model": self._model,
            "prompt": prompt.name,
            "prompt_sha256": prompt.sha256,
        }
        reply = await client.ask(self.request(outdated), lambda text: self._read(text, outdated), labeller=self._name)
        return row | {
            "outcome": reply.outcome,
            "detail": reply.detail or None,
            "texts": [{"field": name, "text": text} for name, text in (reply.value or {}).items()],
            "model_answered": reply.model,
            "request_key": reply.key,
            "answered_at": reply.created_at,
            "tokens_in": reply.tokens_in,
            "tokens_out": reply.tokens_out,
            "usd": reply.usd,
        }

    def _schema(self, outdated: Outdated) -> dict[str, Any]:
        fields = {name: self._labels.fields[name] for name in outdated.fields}
        properties = {
            name: {**field.json_schema(), "description": field.question_text()} for name, field in fields.items()
        }
        return {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}

    def _read(self, text: str, outdated: Outdated) -> dict[str, str]:
        """Return the texts of a reply by field. Raises ``ValueError`` for one that does not fit."""
        answer = parse_json(extract_json_object(text))
        if not isinstance(answer, dict):
            raise ValueError("the reply is not a JSON object")  # noqa: TRY004 (a reply that does not fit)
        texts = {}
        for name in outdated.fields:
            if name not in answer:
                raise ValueError(f"the reply: {name!r} is a required property")
            try:
                texts[name] = self._labels.fields[name].check(answer[name])
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return texts
