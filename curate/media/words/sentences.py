"""Cut a text into sentences or into the turns of a dialogue, and tell texts that are the same but for dress."""

import re
import unicodedata
from typing import NamedTuple

_ABBREVIATIONS = frozenset(
    (
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "vs",
        "etc",
        "jr",
        "sr",
        "inc",
        "e.g",
        "i.e",
        "z.b",
        "bzw",
        "ca",
        "no",
        "nr",
    )
)
_END = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])|\n+")
_TURN = re.compile(r"^\s*([^\W\d_][^:\n]{0,39}):\s+(\S.*)$")


class Passage(NamedTuple):
    """A part of a text: where it begins (in characters), what it says, and who says it where that is told."""

    start: int
    text: str
    speaker: str | None = None


def split_sentences(text: str) -> list[Passage]:
    """The sentences of a text: parted after end marks and at line breaks, not after abbreviations and initials."""
    found: list[Passage] = []
    start = 0
    for match in [*_END.finditer(text), None]:
        end = match.start() if match else len(text)
        if match and "\n" not in match.group() and _is_abbreviation(text[start:end]):
            continue
        closing = re.match(r"[\"'”’»)\]]*", match.group()) if match else None
        part = text[start : end + (closing.end() if closing else 0)]
        if part.strip():
            found.append(Passage(start + len(part) - len(part.lstrip()), part.strip()))
        start = match.end() if match else end
    return found


def split_turns(text: str) -> list[Passage]:
    """The turns of a dialogue written as lines of ``Name: words``; a line without a name goes on with the turn before.

    A text of which fewer than two lines name a speaker is one passage.
    """
    found: list[Passage] = []
    at = 0
    for line in text.splitlines(keepends=True):
        named = _TURN.match(line)
        if named:
            found.append(Passage(at + named.start(2), named.group(2).strip(), " ".join(named.group(1).split())))
        elif line.strip() and found:
            found[-1] = found[-1]._replace(text=f"{found[-1].text} {line.strip()}")
        elif line.strip():
            found.append(Passage(at + len(line) - len(line.lstrip()), line.strip()))
        at += len(line)
    return found if sum(one.speaker is not None for one in found) >= 2 else [Passage(0, text)]


def normalize_text(text: str) -> str:
    """The letters and digits of a text without case and accents: equal for texts that differ only in dress."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.sub(r"[\W_]+", " ", plain).strip() or text


def _is_abbreviation(text: str) -> bool:
    if not text.endswith("."):
        return False
    last = text[:-1].split()[-1:] or [""]
    word = last[0].lstrip("(\"'“‘").lower()
    return word in _ABBREVIATIONS or bool(re.fullmatch(r"[^\W\d_](\.[^\W\d_])*", word) and word != "i")
