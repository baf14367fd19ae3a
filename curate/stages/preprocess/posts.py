"""Items of posts: pairs of texts, dialogues, texts, or parts of either."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InvalidRow
from curate.llm.prompts.fence import is_visible
from curate.media.words.language import detect_language
from curate.media.words.sentences import Passage, split_sentences, split_turns
from curate.stages.preprocess.rows import item_row
from curate.stages.preprocess.settings import SplitPosts

POST_COLUMNS = ("text_b", "statement", "dialogue")
"""What a post may hold besides its text."""
_ITEMS_PER_BATCH = 512
# Each turn stores its context in its own row: limited, since a dialogue would else take space with its square.
_MAX_TURNS_AROUND = 50
_MAX_CHARS_AROUND = 10_000

_Row = dict[str, Any]
_SPLITTERS: dict[SplitPosts, Callable[[str], list[Passage]]] = {"sentences": split_sentences, "turns": split_turns}


def batch_posts(indices: Sequence[int], dialogues: pa.ChunkedArray) -> Iterator[Sequence[int]]:
    """Yield the indices of posts in batches that give about 512 items each."""
    turns = pc.list_value_length(dialogues).to_pylist()
    batch: list[int] = []
    items = 0
    for index in indices:
        batch.append(index)
        items += turns[index] or 1
        if items >= _ITEMS_PER_BATCH:
            yield batch
            batch, items = [], 0
    if batch:
        yield batch


def post_items(row: _Row, units: Sequence[str], split: SplitPosts) -> list[_Row]:
    """Return the items of a post: of the first unit in ``_UNITS`` that the label schema has and the post can give.

    A dialogue next to a text is its context, and that text then stays whole. Raises ``InvalidRow`` if the post gives
    none of the units.
    """
    for unit, needed, make in _UNITS:
        if unit in units and all(row[column] for column in needed):
            return make(row, unit, split)
    lacking = [column for name in units for unit, needed, _ in _UNITS if unit == name for column in needed]
    message = f"the label schema asks for {' and '.join(units)}, which text cannot give"
    missing = next((f": {row['file']} has no {column}" for column in lacking if not row[column]), "")
    raise InvalidRow(message + missing, reason="no_unit")


def _pair(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    language = detect_language(f"{row['text']}\n{row['text_b']}")
    dialogue = {"dialogue": _numbered_turns(row)} if row["dialogue"] else {}
    return [_item(row, unit, row["text"], row["speaker"], language) | {"text_b": row["text_b"]} | dialogue]


def _dialogue(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    language = detect_language("\n".join(turn["text"] for turn in row["dialogue"]))
    return [_item(row, unit, row["text"], row["speaker"], language) | {"dialogue": _numbered_turns(row)}]


def _text_in_dialogue(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    item = _item(row, unit, row["text"], row["speaker"], detect_language(row["text"]))
    return [item | {"dialogue": _numbered_turns(row)}]


def _turns(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    dialogue = _numbered_turns(row)
    items, dialogue_language = [], detect_language("\n".join(turn["text"] for turn in dialogue))
    for number, turn in enumerate(dialogue):
        language = detect_language(turn["text"]) or dialogue_language
        item = _item(row, unit, turn["text"], turn["speaker"], language, detail=f"turn {number}")
        items.append(item | {"dialogue": _context(dialogue, number), "turn": number})
    return items


def _passages(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    text = row["text"]
    passages = [part for part in _SPLITTERS[split](text) if is_visible(part.text)] if split in _SPLITTERS else []
    items, text_language = [], detect_language(text)
    for passage in passages or [Passage(0, text)]:
        detail = None if split == "whole" else str(passage.start)
        language = detect_language(passage.text) or text_language
        items.append(_item(row, unit, passage.text, passage.speaker or row["speaker"], language, detail=detail))
    return items


_UNITS: tuple[tuple[str, tuple[str, ...], Callable[[_Row, str, SplitPosts], list[_Row]]], ...] = (
    ("pair", ("text", "text_b"), _pair),
    ("dialogue", ("dialogue",), _dialogue),
    ("utterance", ("dialogue", "text"), _text_in_dialogue),
    ("utterance", ("dialogue",), _turns),
    ("post", ("dialogue", "text"), _text_in_dialogue),
    ("post", ("dialogue",), _turns),
    ("post", ("text",), _passages),
)
"""Units by preference, the columns that each needs, and what makes its items. What is said in a dialogue is an
utterance, shown with its context, before it is a post."""


def _numbered_turns(row: _Row) -> list[dict[str, Any]]:
    return [{"turn": number, **turn} for number, turn in enumerate(row["dialogue"])]


def _context(dialogue: Sequence[Mapping[str, Any]], number: int) -> Sequence[Mapping[str, Any]]:
    """Return a turn with the turns around it, from the nearest on, up to a limit of turns and characters."""
    first, last, chars = number, number, _MAX_CHARS_AROUND
    near = range(max(0, number - _MAX_TURNS_AROUND), min(len(dialogue), number + _MAX_TURNS_AROUND + 1))
    for index in sorted(near, key=lambda index: abs(index - number))[1:]:
        chars -= len(dialogue[index]["text"]) + len(dialogue[index]["speaker"] or "")
        if chars < 0:
            break
        first, last = min(first, index), max(last, index)
    return dialogue[first : last + 1]


def _item(
    row: _Row, unit: str, text: str | None, speaker: str | None, language: str | None, *, detail: str | None = None
) -> _Row:
    item = item_row(row, unit, "text", None, detail=detail)
    item |= {"text": text, "text_source": "post" if text else None, "language": language}
    item |= {"statement": row["statement"]} if row["statement"] else {}
    return item | {"speaker": speaker, "speaker_source": "post" if speaker else None}
