"""What a file of tiers holds: its tiers, their annotations, vocabularies, and what of it cannot be used."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MAX_BYTES = 300_000_000
MAX_ANNOTATIONS = 2_000_000
MAX_TIERS = 2_000
MAX_TEXT_BYTES = 1_000_000
MAX_S = 1e7
QUOTED = 60


class Tier(NamedTuple):
    """One line of annotations. ``kind`` is its type in the tool, ``parent`` the tier that it depends on."""

    name: str
    participant: str = ""
    annotator: str = ""
    kind: str = ""
    parent: str = ""
    vocabulary: str = ""


class Annotation(NamedTuple):
    """A stretch of time with a text, in seconds of the recording; ``line`` is where it begins in its file.

    ``name`` is its id in the file, if it has one there; ``parent`` is the text of the annotation that it belongs to.
    ``media`` and ``participant`` are given where they are not those of the file or the tier.
    """

    line: int
    tier: str
    start_s: float
    end_s: float
    text: str
    name: str = ""
    parent: str = ""
    confidence: str = ""
    media: str = ""
    participant: str = ""


class Fault(NamedTuple):
    """An annotation that cannot be used: where it begins in its file, and a sentence."""

    line: int
    sentence: str


class Entry(NamedTuple):
    """A value of a vocabulary, and what it means."""

    value: str
    description: str = ""


class Vocabulary(NamedTuple):
    """The values that annotations of some tiers may have; none where they are in another file, ``external``."""

    name: str
    entries: Sequence[Entry]
    description: str = ""
    external: str = ""


class TierFile(NamedTuple):
    """What a file of tiers holds, in the order of the file. ``media`` are the names that it gives its recordings."""

    tiers: Mapping[str, Tier]
    annotations: Sequence[Annotation]
    faults: Sequence[Fault] = ()
    media: Sequence[str] = ()
    vocabularies: Sequence[Vocabulary] = ()
    properties: Mapping[str, str] = {}
    start_s: float = 0.0
    """The second of the first recording that is second 0 of the file"""


def time_problem(start_s: float, end_s: float, *, may_be_instant: bool = False) -> str | None:
    """Return a clause that says why these cannot be the times of an annotation; None if they can."""
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        return f"{start_s} to {end_s} s are not times"
    if start_s < 0:
        return f"it starts at {start_s:g} s, before the recording"
    if end_s > MAX_S:
        return f"it ends at {end_s:g} s, later than any recording"
    if end_s < start_s:
        return f"it ends at {end_s:g} s, before it starts at {start_s:g} s"
    return f"it ends at {end_s:g} s, where it starts" if end_s == start_s and not may_be_instant else None


def text_problem(text: str) -> str | None:
    """Return a clause that says why a text cannot be used; None if it can."""
    if len(text) > MAX_TEXT_BYTES or len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
        return f"its text is longer than {MAX_TEXT_BYTES // 10**6} MB"
    return None


def checked_seconds(text: str) -> float:
    """Return a number of seconds. Raises ``ValueError`` with a clause for anything else."""
    try:
        # Python reads 1_2 as twelve.
        seconds = float(text.replace("_", "?"))
    except ValueError:
        raise ValueError(f"{text[:QUOTED]!r} is not a time in seconds") from None
    if not math.isfinite(seconds):
        raise ValueError(f"{text[:QUOTED]!r} is not a time in seconds")
    return seconds
