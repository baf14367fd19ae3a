"""Replies to prompts, parsed: the labels with small mistakes repaired, the prompt's extras, and the model's scores."""

import json
from typing import Any, NamedTuple

from curate.labels import ItemContext, LabelSchema
from curate.labels.record import parse_json
from curate.llm.prompts.fence import replace_surrogates
from curate.llm.prompts.prompt import MAX_EXTRA_CHARS, Prompt
from curate.llm.prompts.scores import NO_SCORES, ModelScores, Scoring

_DECODER = json.JSONDecoder()
_MAX_ATTEMPTS = 20


class ParsedAnswer(NamedTuple):
    """A reply that fits its prompt, label schema and item."""

    values: dict[str, Any]
    """A record as returned by ``LabelSchema.check_record``."""
    extras: dict[str, str]
    """Answers to what the prompt asks besides the labels, by name."""
    repairs: tuple[str, ...] = ()
    """One sentence for every repaired mistake."""
    model_scores: ModelScores = NO_SCORES


def parse_answer(
    prompt: Prompt, labels: LabelSchema, text: str, item: ItemContext, *, scoring: Scoring | None = None
) -> ParsedAnswer:
    """Return the parsed reply to a prompt about an item; pass ``scoring`` if the request asked for scores.

    Quotations that do not occur in the item are moved once, to the most similar words that do. Raises ``ValueError``
    for a reply that still does not fit. The engine quotes that sentence to the model when it asks again, so the wording
    is part of the keys of stored replies.
    """
    answer = parse_json(text)
    if not isinstance(answer, dict):
        raise ValueError("the reply is not a JSON object")  # noqa: TRY004 (a reply that does not fit)
    scores = scoring.pop_scores(answer) if scoring else NO_SCORES
    extras = _pop_extras(prompt, answer)
    try:
        return ParsedAnswer(labels.from_answer(answer, item), extras, (), scores)
    except ValueError:
        repaired, repairs = labels.repair_answer(answer, item)
        if not repairs:
            raise
    return ParsedAnswer(labels.from_answer(repaired, item), extras, tuple(repairs), scores)


def extract_json_object(text: str) -> str:
    """Return the JSON object in a reply that may hold other text, or the text itself if there is none.

    Reasoning in ``<think>``, words around the object and a Markdown code fence are dropped.
    """
    reply = text.rpartition("</think>")[2]
    start = reply.find("{")
    for _ in range(_MAX_ATTEMPTS):
        if start < 0:
            break
        try:
            value, end = _DECODER.raw_decode(reply, start)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and value:
            return reply[start:end]
        start = reply.find("{", start + 1)
    return text


def _pop_extras(prompt: Prompt, answer: dict[str, Any]) -> dict[str, str]:
    extras = {}
    for name in prompt.header.extra:
        if name not in answer:
            raise ValueError(f"the reply: {name!r} is a required property")
        value = answer.pop(name)
        if not isinstance(value, str):
            raise ValueError(f"{name}: {repr(value)[:60]} is not text")  # noqa: TRY004 (a reply that does not fit)
        # Too long an extra is cut: it is not worth paying for another reply.
        if text := replace_surrogates(value).strip()[:MAX_EXTRA_CHARS]:
            extras[name] = text
    return extras
