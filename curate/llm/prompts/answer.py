"""Replies to prompts, parsed: the labels with small mistakes repaired, the prompt's extras, and the model's scores."""

import json
from typing import Any, NamedTuple

from curate.labels import Field, ItemContext, LabelSchema
from curate.labels.record import parse_json
from curate.llm.prompts.fence import is_visible, replace_surrogates
from curate.llm.prompts.mend import mend, remove_controls
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
    answer = remove_controls(parse_json(text))
    if not isinstance(answer, dict):
        raise ValueError("the reply is not a JSON object")  # noqa: TRY004 (a reply that does not fit)
    if not prompt.header.asks_labels:
        return _parse_clues(prompt, answer)
    try:
        rest = dict(answer)
        scores = scoring.pop_scores(rest) if scoring else NO_SCORES
        extras = _pop_extras(prompt, rest)
        return ParsedAnswer(labels.from_answer(rest, item), extras, (), scores)
    except ValueError as problem:
        try:
            return _parse_mended(prompt, labels, answer, item, scoring)
        except ValueError:
            raise problem from None


def _parse_clues(prompt: Prompt, answer: dict[str, Any]) -> ParsedAnswer:
    """Return the answer to a prompt that asks for no labels. Raises ``ValueError`` if it says nothing at all."""
    rest = dict(answer)
    extras = {name: text for name, text in _pop_extras(prompt, rest).items() if is_visible(text)}
    if not extras:
        raise ValueError("the reply: every text is empty")
    return ParsedAnswer({}, extras, tuple(f"left out {name[:60]!r}, which was not asked for" for name in rest))


def _parse_mended(
    prompt: Prompt, labels: LabelSchema, answer: dict[str, Any], item: ItemContext, scoring: Scoring | None
) -> ParsedAnswer:
    """Return the answer with its slips mended; scores that are missing or cannot be used cost nothing else."""
    answer = dict(answer)
    scores, notes = scoring.pop_usable_scores(answer) if scoring else (NO_SCORES, [])
    extras = _pop_extras(prompt, answer)
    values, slips = mend(answer, labels.json_schema())
    optional = [name for name, field in labels.fields.items() if name not in values and not field.required]
    values |= dict.fromkeys(optional)
    try:
        return ParsedAnswer(labels.from_answer(values, item), extras, (*notes, *slips), scores)
    except ValueError:
        repaired, repairs = labels.repair_answer(values, item)
    problems: list[str] = []
    try:
        record = labels.from_answer(repaired, item)
    except ValueError:
        usable = {}
        for name, field in labels.fields.items():
            usable[name], problem = _usable_value(field, repaired.get(name), item)
            problems += [f"{name}: {problem}"] if problem else []
        if not problems:
            raise
        record = labels.from_answer(usable, item)
    return ParsedAnswer(record, extras, (*notes, *slips, *repairs, *problems), scores)


def _usable_value(field: Field, value: Any, item: ItemContext) -> tuple[Any, str]:
    """Return as much of an optional field's answer as fits the item, and what was left out; None if nothing fits."""
    if value is None:
        return None, ""
    try:
        field.from_answer(value, item)
    except ValueError as error:
        spans = value.get("spans") if isinstance(value, dict) else None
        if isinstance(spans, list) and len(spans) > 1:
            for index in range(len(spans)):
                remaining = [*spans[:index], *spans[index + 1 :]]
                rest, _ = _usable_value(field, {**value, "spans": remaining, "relations": []}, item)
                if rest is not None:
                    return rest, f"left out a quotation ({error})"[:200]
        if field.required or not isinstance(value, dict):
            return value, ""
        return None, f"left out ({error})"[:200]
    return value, ""


def extract_json_object(text: str) -> str:
    """Return the JSON object in a reply that may hold other text, or the text itself if there is none.

    Reasoning in ``<think>``, words around the object and a Markdown code fence are dropped.
    """
    reply = text.rpartition("</think>")[2].rpartition("<|message|>")[2]
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
