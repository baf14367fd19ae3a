"""Items of posts: pairs of texts, dialogues, texts, or parts of either."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InvalidRow
from curate.llm.prompts.fence import is_visible
from curate.media.words.language import detect_languages
from curate.media.words.sentences import Passage, split_sentences, split_turns
from curate.stages.contract import cut_by_size
from curate.stages.preprocess.rows import item_row
from curate.stages.preprocess.settings import SplitPosts

POST_COLUMNS = ("text_b", "statement", "dialogue", "turn")
"""What a post may hold besides its text."""
COLUMNS_READ = ("source_id", "file", "kind", "participant", "speaker", "text", *POST_COLUMNS, "derived", "repeats")
"""The columns of a post that its items follow from."""
_POSTS_PER_BATCH = 2_048
_CHARS_PER_BATCH = 1_000_000
_TURN_CHARS = 1_500
"""A turn counts for so many characters, since its item holds those around it."""
# Each turn stores its context in its own row: limited, since a dialogue would else take space with its square.
_MAX_TURNS_AROUND = 50
_MAX_CHARS_AROUND = 10_000

_Row = dict[str, Any]
_SPLITTERS: dict[SplitPosts, Callable[[str], list[Passage]]] = {"sentences": split_sentences, "turns": split_turns}


def batch_posts(indices: Sequence[int], posts: pa.Table) -> Iterator[Sequence[int]]:
    """Yield the indices of posts in batches that follow from their turns and characters."""
    turns = pc.fill_null(pc.list_value_length(posts["dialogue"]), 0)
    chars = pc.fill_null(pc.utf8_length(posts["text"]), 0)
    sizes = pc.add(pc.multiply(turns, _TURN_CHARS), chars).to_pylist()
    return cut_by_size(indices, sizes, rows=_POSTS_PER_BATCH, size=_CHARS_PER_BATCH)


def post_items(row: _Row, units: Sequence[str], split: SplitPosts) -> list[_Row]:
    """Return the items of a post: of the first unit in ``_UNITS`` that the label schema has and the post can give.

    As their ``language`` they hold the texts that it follows from, until ``set_languages`` is called.
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


def record_items(row: _Row, units: Sequence[str]) -> list[_Row]:
    """Return the item of a row of a table of which nothing is at hand: of the first unit of the label schema."""
    item = item_row(row, units[0], "text", None) | {"language": ()}
    item |= {"statement": row["statement"]} if row["statement"] else {}
    if row["text"]:
        item |= {"text": row["text"], "text_source": "table", "language": (row["text"],)}
    return [item | {"speaker": row["speaker"], "speaker_source": "table" if row["speaker"] else None}]


def derived_items(row: _Row, units: Sequence[str]) -> list[_Row]:
    """Return the item of a derived source. Raises ``InvalidRow`` if the label schema does not judge its unit."""
    derived = row["derived"]
    if derived["unit"] not in units:
        message = f"the label schema asks for {' and '.join(units)}, and {row['file']} is of unit {derived['unit']}"
        raise InvalidRow(message, reason="no_unit")
    texts = ["\n".join(filter(None, (row["text"], row["text_b"])))]
    texts += ["\n".join(turn["text"] for turn in row["dialogue"] or ())]
    item = item_row(row, derived["unit"], derived["layout"], None)
    item |= {name: value for name, value in derived.items() if name != "view" and value is not None}
    item |= {"dialogue": _numbered_turns(row)} if row["dialogue"] else {}
    item |= {name: row[name] for name in ("text", "text_b", "statement") if row[name]}
    item |= {"text_source": "derived"} if row["text"] else {}
    item |= {"speaker": row["speaker"], "speaker_source": "derived" if row["speaker"] else None}
    return [item | {"language": tuple(text for text in texts if text)}]


def set_languages(items: Sequence[_Row]) -> None:
    """Set the language of each item to that of the first of its texts that is long and uniform enough."""
    texts = list(dict.fromkeys(text for item in items for text in item["language"]))
    languages = dict(zip(texts, detect_languages(texts), strict=True))
    for item in items:
        item["language"] = next((code for text in item["language"] if (code := languages[text])), None)


def _pair(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    texts = (f"{row['text']}\n{row['text_b']}",)
    dialogue = {"dialogue": _numbered_turns(row)} if row["dialogue"] else {}
    return [_item(row, unit, row["text"], row["speaker"], texts) | {"text_b": row["text_b"]} | dialogue]


def _dialogue(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    texts = ("\n".join(turn["text"] for turn in row["dialogue"]),)
    return [_item(row, unit, row["text"], row["speaker"], texts) | {"dialogue": _numbered_turns(row)}]


def _text_in_dialogue(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    item = _item(row, unit, row["text"], row["speaker"], (row["text"],))
    return [item | {"dialogue": _numbered_turns(row), "turn": row["turn"]}]


def _turns(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    dialogue = _numbered_turns(row)
    items, all_turns = [], "\n".join(turn["text"] for turn in dialogue)
    for number, turn in enumerate(dialogue):
        texts = (turn["text"], all_turns)
        item = _item(row, unit, turn["text"], turn["speaker"], texts, detail=f"turn {number}")
        items.append(item | {"dialogue": _context(dialogue, number), "turn": number})
    return items


def _passages(row: _Row, unit: str, split: SplitPosts) -> list[_Row]:
    text = row["text"]
    passages = [part for part in _SPLITTERS[split](text) if is_visible(part.text)] if split in _SPLITTERS else []
    items = []
    for passage in passages or [Passage(0, text)]:
        detail = None if split == "whole" else str(passage.start)
        texts = (passage.text, text)
        items.append(_item(row, unit, passage.text, passage.speaker or row["speaker"], texts, detail=detail))
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
    row: _Row, unit: str, text: str | None, speaker: str | None, texts: Sequence[str], *, detail: str | None = None
) -> _Row:
    item = item_row(row, unit, "text", None, detail=detail)
    item |= {"text": text, "text_source": "post" if text else None, "language": texts}
    item |= {"statement": row["statement"]} if row["statement"] else {}
    return item | {"speaker": speaker, "speaker_source": "post" if speaker else None}
