"""Split text into sentences or dialogue turns, and normalise it to find equal texts."""

import re
import unicodedata
from typing import NamedTuple

_ABBREVIATIONS = frozenset(
    (
        *("mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "inc"),
        *("vs", "etc", "no", "e.g", "i.e", "z.b", "bzw", "ca", "nr"),
    )
)
_END = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])|\n+")
_TURN = re.compile(r"^\s*([^\W\d_][^:\n]{0,39}):\s+(\S.*)$")


class Passage(NamedTuple):
    """A part of a text: where it begins (in characters), its text, and its speaker if named."""

    start: int
    text: str
    speaker: str | None = None


def split_sentences(text: str) -> list[Passage]:
    """Return the sentences of a text: split after end marks and at line breaks, not after abbreviations or initials."""
    passages: list[Passage] = []
    start = 0
    for match in [*_END.finditer(text), None]:
        end = match.start() if match else len(text)
        if match and "\n" not in match.group() and _is_abbreviation(text[start:end]):
            continue
        closing = re.match(r"[\"'”’»)\]]*", match.group()) if match else None
        sentence = text[start : end + (closing.end() if closing else 0)]
        if sentence.strip():
            passages.append(Passage(start + len(sentence) - len(sentence.lstrip()), sentence.strip()))
        start = match.end() if match else end
    return passages


def split_turns(text: str) -> list[Passage]:
    """Return the turns of a dialogue written as lines of ``Name: words``; a line without a name continues a turn.

    A text in which fewer than two lines name a speaker is one passage.
    """
    turns: list[Passage] = []
    start = 0
    for line in text.splitlines(keepends=True):
        match = _TURN.match(line)
        if match:
            turns.append(Passage(start + match.start(2), match.group(2).strip(), " ".join(match.group(1).split())))
        elif line.strip() and turns:
            turns[-1] = turns[-1]._replace(text=f"{turns[-1].text} {line.strip()}")
        elif line.strip():
            turns.append(Passage(start + len(line) - len(line.lstrip()), line.strip()))
        start += len(line)
    return turns if sum(turn.speaker is not None for turn in turns) >= 2 else [Passage(0, text)]


def normalize_text(text: str) -> str:
    """Return the letters and digits of a text without case and accents, for comparison."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.sub(r"[\W_]+", " ", plain).strip() or text


def _is_abbreviation(text: str) -> bool:
    if not text.endswith("."):
        return False
    words = text[:-1].split()[-1:] or [""]
    word = words[0].lstrip("(\"'“‘").lower()
    return word in _ABBREVIATIONS or bool(re.fullmatch(r"[^\W\d_](\.[^\W\d_])*", word) and word != "i")
