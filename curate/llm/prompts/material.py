"""Prompt variables taken from an item: its text, its dialogue, and answers to review."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from curate.labels import LabelSchema, to_context
from curate.llm.prompts.fence import is_visible

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_MAX_NAME_CHARS = 60
_COLUMNS = ("text", "text_b", "statement", "speaker", "action_units")


def describe_item(item: Mapping[str, Any], *, turns_before: int = 5, turns_after: int = 2) -> dict[str, str]:
    """Return the prompt variables that a row of ``items`` provides, omitting empty ones.

    ``context`` holds the turns of its dialogue, numbered as label fields count them: all turns if the item is the whole
    dialogue or none of its turns, else the turns around its own, which is marked. There is no ``context`` if nothing
    surrounds the item's turn or no turn has words.
    """
    variables = {name: str(item[name]) for name in _COLUMNS if item.get(name)}
    language = item.get("language")
    if isinstance(language, str) and _LANGUAGE.fullmatch(language):
        variables["language"] = language
    start_s, end_s = item.get("start_s"), item.get("end_s")
    if start_s is not None and end_s is not None and end_s > start_s:
        variables["duration"] = f"{end_s - start_s:.1f} s"
    if context := format_dialogue(item.get("dialogue") or (), item.get("turn"), before=turns_before, after=turns_after):
        variables["context"] = context
    return variables


def format_dialogue(turns: Sequence[Mapping[str, Any]], item_turn: int | None, *, before: int, after: int) -> str:
    """Return a dialogue with one turn a line: ``[0] Ann: You are late.``; the line of ``item_turn`` starts with >."""
    marked = next(
        (index for index, turn in enumerate(turns) if item_turn is not None and turn.get("turn") == item_turn), None
    )
    first, last = (0, len(turns)) if marked is None else (max(0, marked - before), marked + after + 1)
    window = turns[first:last]
    if (marked is not None and len(window) < 2) or not any(is_visible(turn.get("text") or "") for turn in window):
        return ""
    return "\n".join(
        f"{'> ' if index == marked else ''}[{index}] {_name(turn.get('speaker'))}: {_one_line(turn.get('text'))}"
        for index, turn in enumerate(window, start=first)
    )


def format_answer(
    labels: LabelSchema, values: Mapping[str, Any], item: Mapping[str, Any], extras: Mapping[str, str] = {}
) -> str:
    """Return an answer to review as JSON: the prompt's extras, then the labels in the form that models answer in."""
    answer = {**extras, **labels.to_answer(values, to_context(item))}
    return json.dumps(answer, ensure_ascii=False, indent=1)


def _name(speaker: Any) -> str:
    # On one line, so that no name can start a turn of its own.
    return _one_line(speaker)[:_MAX_NAME_CHARS] or "?"


def _one_line(text: Any) -> str:
    return " ".join(str(text or "").split())
