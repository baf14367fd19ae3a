"""What prompts are told of an item: its words, its dialogue, and what others said of it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from curate.labels import LabelSchema, to_context
from curate.llm.prompts.fence import is_seen

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_MOST_NAME_CHARS = 60


def tell_item(item: Mapping[str, Any], *, turns_before: int = 5, turns_after: int = 2) -> dict[str, str]:
    """The variables of a prompt that a row of ``items`` gives, without those that it lacks.

    ``context`` holds the turns of its dialogue, numbered as label fields count them: all of them where the item is the
    dialogue or none of its turns, else those around its own, which is marked; nothing where there is only that one, or
    none has words.
    """
    told = {name: str(item[name]) for name in ("text", "text_b", "statement", "speaker") if item.get(name)}
    language = item.get("language")
    if isinstance(language, str) and _LANGUAGE.fullmatch(language):
        told["language"] = language
    if context := tell_dialogue(item.get("dialogue") or (), item.get("turn"), before=turns_before, after=turns_after):
        told["context"] = context
    return told


def tell_dialogue(turns: Sequence[Mapping[str, Any]], own: int | None, *, before: int, after: int) -> str:
    """A dialogue, one line a turn: ``[0] Ann: You are late.``; the turn whose ``turn`` is ``own`` opens with >."""
    at = next((place for place, turn in enumerate(turns) if own is not None and turn.get("turn") == own), None)
    first, last = (0, len(turns)) if at is None else (max(0, at - before), at + after + 1)
    shown = turns[first:last]
    if (at is not None and len(shown) < 2) or not any(is_seen(turn.get("text") or "") for turn in shown):
        return ""
    return "\n".join(
        f"{'> ' if place == at else ''}[{place}] {_name(turn.get('speaker'))}: {_line(turn.get('text'))}"
        for place, turn in enumerate(shown, start=first)
    )


def tell_answer(
    labels: LabelSchema, values: Mapping[str, Any], item: Mapping[str, Any], extras: Mapping[str, str] = {}
) -> str:
    """An answer to review, as JSON: what its prompt asked besides, then the labels as a model writes them."""
    answer = {**extras, **labels.to_answer(values, to_context(item))}
    return json.dumps(answer, ensure_ascii=False, indent=1)


def _name(speaker: Any) -> str:
    """A name on one line, as nothing in it may begin a turn of its own."""
    return _line(speaker)[:_MOST_NAME_CHARS] or "?"


def _line(text: Any) -> str:
    return " ".join(str(text or "").split())
