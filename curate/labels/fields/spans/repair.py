"""What a model meant to quote: the stretch of a text that is nearest to its words."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from curate.labels.fields.spans import text as span_text

_FEWEST_CHARS = 4
_SHARE_OF_EDITS = 0.15
_OF_WORDS = frozenset(("Lu", "Ll", "Lt", "Nd"))
_MOST_WORK = 40_000_000
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]")


class Quotation(NamedTuple):
    """Exact words of a text, and which of their occurrences, from 1."""

    turn: int
    text: str
    occurrence: int


def nearest_quotation(texts: Sequence[str], turn: int, quoted: str, occurrence: int) -> Quotation | None:
    """The quotation as it stands in turn ``turn`` of ``texts``, else in the only other one that has it; None for none.

    It is looked for as it is, then whatever its letter case, white space and punctuation, then in its own turn with
    small slips: one character in seven may differ. Among equal places the first counts, or the ``occurrence``-th of
    exact ones.
    """
    own = texts[turn] if 0 <= turn < len(texts) else ""
    others = [(at, text) for at, text in enumerate(texts) if at != turn]
    if quoted in own:
        return Quotation(turn, quoted, min(occurrence, _count(own, quoted)))
    if (place := _alike(own, quoted)) is not None:
        return _quotation(own, turn, place)
    found = [(at, text, place) for at, text in others if (place := _alike(text, quoted)) is not None]
    if len(found) == 1:
        at, text, place = found[0]
        return _quotation(text, at, place)
    return None if (place := _near(own, quoted)) is None else _quotation(own, turn, place)


def _count(whole: str, quoted: str) -> int:
    return span_text.occurrence(whole, quoted, whole.rfind(quoted))


def _quotation(whole: str, turn: int, place: tuple[int, int]) -> Quotation | None:
    start, end = place
    text = whole[start:end].strip()
    if not text:
        return None
    start = whole.index(text, start)
    return Quotation(turn, text, span_text.occurrence(whole, text, start))


@lru_cache(maxsize=2_048)
def _folded(text: str) -> tuple[str, list[int]]:
    """The letters and digits of a text, case and forms of letters aside, and where in the text each stands."""
    kept: list[str] = []
    places: list[int] = []
    for at, char in enumerate(text):
        for each in unicodedata.normalize("NFKD", char).casefold():
            if unicodedata.category(each)[0] in "LNS" and not _UNSEEN.match(each):
                kept.append(each)
                places.append(at)
    return "".join(kept), places


def _alike(whole: str, quoted: str) -> tuple[int, int] | None:
    """Where the same letters and digits stand, in whole words."""
    folded, places = _folded(whole)
    wanted, _ = _folded(quoted)
    if not wanted:
        return None
    at = folded.find(wanted)
    while at >= 0:
        start, end = places[at], places[at + len(wanted) - 1] + 1
        if not _is_within_word(whole, start) and not _is_within_word(whole, end):
            return start, _with_marks(whole, end)
        at = folded.find(wanted, at + 1)
    return None


def _near(whole: str, quoted: str) -> tuple[int, int] | None:
    """Where nearly the same letters and digits stand: as few edits as possible, one for every seven at most."""
    folded, places = _folded(whole)
    wanted, _ = _folded(quoted)
    most = int(len(wanted) * _SHARE_OF_EDITS)
    if len(wanted) < _FEWEST_CHARS or most < 1 or len(folded) * len(wanted) > _MOST_WORK:
        return None
    found = _least_edits(folded, wanted)
    if found is None or found[1] > most:
        return None
    end, edits = found
    window = max(0, end - len(wanted) - edits)
    back = _least_edits(folded[window:end][::-1], wanted[::-1])
    if back is None:
        return None
    start = end - back[0]
    first, last = places[start], places[end - 1] + 1
    for _ in range(edits):
        first -= _is_within_word(whole, first)
        last += _is_within_word(whole, last)
    return first, _with_marks(whole, last)


def _least_edits(text: str, wanted: str) -> tuple[int, int] | None:
    """Where in ``text`` the stretch ends that takes the fewest edits to become ``wanted``, and how many these are.

    Myers, G. (1999). A fast bit-vector algorithm for approximate string matching. Journal of the ACM 46 (3), 395-415.
    """
    size = len(wanted)
    masks: dict[str, int] = {}
    for at, char in enumerate(wanted):
        masks[char] = masks.get(char, 0) | 1 << at
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


def _is_within_word(whole: str, at: int) -> bool:
    """Told of scripts with letter case and of digits: others may have no spaces between words."""
    return 0 < at < len(whole) and all(unicodedata.category(char) in _OF_WORDS for char in whole[at - 1 : at + 1])


def _with_marks(whole: str, end: int) -> int:
    """The end moved behind combining marks, which belong to the character before."""
    while end < len(whole) and unicodedata.combining(whole[end]):
        end += 1
    return end
