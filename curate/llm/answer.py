"""What a model replied to a prompt: what was asked besides the labels, and the labels, with slips put right."""

import json
import re
from typing import Any, NamedTuple

from curate.labels import ItemContext, LabelSchema
from curate.labels.answers import parse_json
from curate.llm.prompt import MOST_EXTRA_CHARS, Prompt

_LONE = re.compile("[\ud800-\udfff]")


class SplitAnswer(NamedTuple):
    """A reply in its two parts."""

    extras: dict[str, str]
    """What the prompt asked for besides the labels, by name."""
    labels: str
    """The JSON of the labels alone, as ``LabelSchema.parse_answer`` takes it."""


class Answer(NamedTuple):
    """A reply that fits its prompt, label schema and item."""

    values: dict[str, Any]
    """A record as ``LabelSchema.check_record`` gives it"""
    extras: dict[str, str]
    """What the prompt asked besides, by name"""
    mended: tuple[str, ...] = ()
    """A sentence for everything that was put right in it"""


def read_answer(prompt: Prompt, labels: LabelSchema, text: str, item: ItemContext) -> Answer:
    """A reply to a prompt about an item.

    Quotations that do not stand in the item are moved, once, to the nearest words that do. Raises ``ValueError`` saying
    what is wrong with a reply that does not fit all the same.
    """
    extras, answer = split_answer(prompt, text)
    try:
        return Answer(labels.parse_answer(answer, item), extras)
    except ValueError:
        mended, told = labels.mend_answer(answer, item)
        if not told:
            raise
    return Answer(labels.parse_answer(mended, item), extras, tuple(told))


def split_answer(prompt: Prompt, text: str) -> SplitAnswer:
    """A reply as what the prompt asked besides and the labels. Raises ``ValueError`` saying what is wrong with it."""
    if not prompt.header.extra:
        return SplitAnswer({}, text)
    answer = parse_json(text)
    if not isinstance(answer, dict):
        raise ValueError("the reply is not a JSON object")  # noqa: TRY004 (a reply that does not fit)
    extras = {}
    for name in prompt.header.extra:
        if name not in answer:
            raise ValueError(f"the reply: {name!r} is a required property")
        told = answer.pop(name)
        if not isinstance(told, str):
            raise ValueError(f"{name}: {repr(told)[:60]} is not text")  # noqa: TRY004 (a reply that does not fit)
        # What is said beside the labels is not worth paying for another reply.
        if text := _LONE.sub("\ufffd", told).strip()[:MOST_EXTRA_CHARS]:
            extras[name] = text
    return SplitAnswer(extras, json.dumps(answer, ensure_ascii=False))
