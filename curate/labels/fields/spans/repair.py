"""LocatedProblem what a model meant to quote: the stretch of a text that is nearest to its words."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from curate.labels.fields.spans.text import occurrence_of

_MIN_CHARS = 4
_MAX_EDIT_SHARE = 0.15
_WORD_CATEGORIES = frozenset(("Lu", "Ll", "Lt", "Nd"))
_MAX_WORK = 40_000_000
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]")

Stretch = tuple[int, int]
"""Start and end (excluded) in a text."""


class Quotation(NamedTuple):
    """Exact words of a text, and which occurrence of them (1-based)."""

    turn: int
    text: str
    occurrence: int


def nearest_quotation(texts: Sequence[str], turn: int, quoted: str, occurrence: int) -> Quotation | None:
    """Return the quotation as it is written in turn ``turn`` of ``texts``, or in the only other turn that has it.

    It is searched for as it is, then ignoring letter case, white space and punctuation, then in its own turn with small
    slips: 15 % of the letters may differ. Of several occurrences the first is returned, or the ``occurrence``-th of
    exact ones. None if nothing is near enough.
    """
    own_turn = texts[turn] if 0 <= turn < len(texts) else ""
    if quoted in own_turn:
        return Quotation(turn, quoted, min(occurrence, _count(own_turn, quoted)))
    if (stretch := _same_letters(own_turn, quoted)) is not None:
        return _quotation(own_turn, turn, stretch)
    matches = [
        (index, text, stretch)
        for index, text in enumerate(texts)
        if index != turn and (stretch := _same_letters(text, quoted)) is not None
    ]
    if len(matches) == 1:
        index, text, stretch = matches[0]
        return _quotation(text, index, stretch)
    return None if (stretch := _similar_letters(own_turn, quoted)) is None else _quotation(own_turn, turn, stretch)


def _count(full_text: str, quoted: str) -> int:
    return occurrence_of(full_text, quoted, full_text.rfind(quoted))


def _quotation(full_text: str, turn: int, stretch: Stretch) -> Quotation | None:
    start, end = stretch
    text = full_text[start:end].strip()
    if not text:
        return None
    start = full_text.index(text, start)
    return Quotation(turn, text, occurrence_of(full_text, text, start))


@lru_cache(maxsize=2_048)
def _letters(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits of a text without case and variants, and the index of each in the text."""
    letters: list[str] = []
    indices: list[int] = []
    for index, char in enumerate(text):
        for letter in unicodedata.normalize("NFKD", char).casefold():
            if unicodedata.category(letter)[0] in "LNS" and not _INVISIBLE.match(letter):
                letters.append(letter)
                indices.append(index)
    return "".join(letters), indices


def _same_letters(full_text: str, quoted: str) -> Stretch | None:
    """Return where the same letters and digits are, in full_text words."""
    letters, indices = _letters(full_text)
    wanted, _ = _letters(quoted)
    if not wanted:
        return None
    first = letters.find(wanted)
    while first >= 0:
        start, end = indices[first], indices[first + len(wanted) - 1] + 1
        if not _is_within_word(full_text, start) and not _is_within_word(full_text, end):
            return start, _after_marks(full_text, end)
        first = letters.find(wanted, first + 1)
    return None


def _similar_letters(full_text: str, quoted: str) -> Stretch | None:
    """Return where similar letters and digits are, with the fewest edits and within the allowed share."""
    letters, indices = _letters(full_text)
    wanted, _ = _letters(quoted)
    max_edits = int(len(wanted) * _MAX_EDIT_SHARE)
    if len(wanted) < _MIN_CHARS or max_edits < 1 or len(letters) * len(wanted) > _MAX_WORK:
        return None
    match = _fewest_edits(letters, wanted)
    if match is None or match[1] > max_edits:
        return None
    end, edits = match
    window = max(0, end - len(wanted) - edits)
    backwards = _fewest_edits(letters[window:end][::-1], wanted[::-1])
    if backwards is None:
        return None
    start = end - backwards[0]
    first, last = indices[start], indices[end - 1] + 1
    for _ in range(edits):
        first -= _is_within_word(full_text, first)
        last += _is_within_word(full_text, last)
    return first, _after_marks(full_text, last)


def _fewest_edits(text: str, wanted: str) -> tuple[int, int] | None:
    """Return the end of the stretch of ``text`` that takes the fewest edits to become ``wanted``, and their number.

    Myers, G. (1999). A fast bit-vector algorithm for approximate string matching. Journal of the ACM 46 (3), 395-415.
    """
    size = len(wanted)
    masks: dict[str, int] = {}
    for index, char in enumerate(wanted):
        masks[char] = masks.get(char, 0) | 1 << index
    every, top = (1 << size) - 1, 1 << (size - 1)
    up, down, edits = every, 0, size
    best: tuple[int, int] | None = None
    for end, char in enumerate(text, start=1):
        same = masks.get(char, 0)
        diagonal = (((same & up) + up) ^ up) | same | down
        more, fewer = down | ~(diagonal | up) & every, up & diagonal
        edits += bool(more & top) - bool(fewer & top)
        more, fewer = (more << 1) & every, (fewer << 1) & every
        up, down = fewer | ~((same | down) | more) & every, more & (same | down)
        if best is None or edits < best[1]:
            best = end, edits
    return best


def _is_within_word(full_text: str, index: int) -> bool:
    """Return whether a word continues across ``index``, in scripts with letter case and in numbers.

    Other scripts may have no spaces between words.
    """
    around = full_text[index - 1 : index + 1]
    return 0 < index < len(full_text) and all(unicodedata.category(char) in _WORD_CATEGORIES for char in around)


def _after_marks(full_text: str, end: int) -> int:
    """Return the end moved past combining marks, which belong to the character before."""
    while end < len(full_text) and unicodedata.combining(full_text[end]):
        end += 1
    return end
