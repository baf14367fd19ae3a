"""What a model replied to a prompt: what was asked besides the labels, and the labels, with slips put right."""

import json
from typing import Any, NamedTuple

from curate.labels import ItemContext, LabelSchema
from curate.labels.record import parse_json
from curate.llm.prompts.fence import well_formed
from curate.llm.prompts.prompt import MOST_EXTRA_CHARS, Prompt
from curate.llm.prompts.scores import UNSCORED, Scored, Scoring

_DECODER = json.JSONDecoder()
_MOST_TRIED = 20


class Answer(NamedTuple):
    """A reply that fits its prompt, label schema and item."""

    values: dict[str, Any]
    """A record as ``LabelSchema.check_record`` gives it"""
    extras: dict[str, str]
    """What the prompt asked besides, by name"""
    mended: tuple[str, ...] = ()
    """A sentence for everything that was put right in it"""
    scored: Scored = UNSCORED


def read_answer(
    prompt: Prompt, labels: LabelSchema, text: str, item: ItemContext, *, scoring: Scoring | None = None
) -> Answer:
    """A reply to a prompt about an item, in which scores were asked for where there is a ``scoring``.

    Quotations that do not stand in the item are moved, once, to the nearest words that do. Raises ``ValueError`` saying
    what is wrong with a reply that does not fit all the same.
    """
    given = parse_json(text)
    if not isinstance(given, dict):
        raise ValueError("the reply is not a JSON object")  # noqa: TRY004 (a reply that does not fit)
    scored = scoring.take(given) if scoring else UNSCORED
    extras = _take_extras(prompt, given)
    try:
        return Answer(labels.from_answer(given, item), extras, (), scored)
    except ValueError:
        mended, told = labels.mend_answer(given, item)
        if not told:
            raise
    return Answer(labels.from_answer(mended, item), extras, tuple(told), scored)


def lone_object(text: str) -> str:
    """The JSON object in a reply of a model that nothing binds to JSON; the text itself where there is none.

    What it thought before and what it says round the object is left out, and the fence that it may stand in.
    """
    said = text.rpartition("</think>")[2]
    at = said.find("{")
    for _ in range(_MOST_TRIED):
        if at < 0:
            break
        try:
            found, end = _DECODER.raw_decode(said, at)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and found:
            return said[at:end]
        at = said.find("{", at + 1)
    return text


def _take_extras(prompt: Prompt, given: dict[str, Any]) -> dict[str, str]:
    """What the prompt asked besides the labels and was told, taken out of a reply. Raises ``ValueError`` as above."""
    extras = {}
    for name in prompt.header.extra:
        if name not in given:
            raise ValueError(f"the reply: {name!r} is a required property")
        told = given.pop(name)
        if not isinstance(told, str):
            raise ValueError(f"{name}: {repr(told)[:60]} is not text")  # noqa: TRY004 (a reply that does not fit)
        # What is said beside the labels is not worth paying for another reply.
        if text := well_formed(told).strip()[:MOST_EXTRA_CHARS]:
            extras[name] = text
    return extras
