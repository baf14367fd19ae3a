"""A text as a bag of hashed n-grams: words alone and in pairs, and 3 to 5 characters within a word."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_CHARS = 10_000
"""What stands further down a text is not read."""
BUCKETS = 1 << 21
"""Character n-grams fall into the first half, words and pairs of words into the second."""

_CHARACTERS = (3, 4, 5)
_WORDS = (1, 2)
_BITS = 20
_TOKEN = re.compile(r"\w+(?:'\w+)*|[!-/:-@\[-`{-~]+|[^\w\s]")
_NEGATION = re.compile(r"not|no|never|without|hardly|cannot|cant|dont|doesnt|didnt|isnt|wasnt|wont|aint|\w+n't")
_NEGATION_REACH = 3
_NEGATED = "¬"
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_SPACE = 32

Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]


class Bags(NamedTuple):
    """The n-grams of several texts, one entry for each kind within a text, ordered by text and bucket."""

    texts: Integers
    """Which text it is in."""
    buckets: Integers
    counts: Integers


def bags(texts: Sequence[str]) -> Bags:
    """The n-grams of texts, hashed into ``BUCKETS``; an empty text has none."""
    spaced = [_spaced(text) for text in texts]
    owner = np.repeat(np.arange(len(spaced), dtype=np.int64), [len(text) for text in spaced])
    points = np.frombuffer("".join(spaced).encode("utf-32-le", "surrogatepass"), np.uint32)
    sums = _Sums(points)
    keys = [_key(owner[start], sums.hashes(start, size), at=0) for start, size in _character_spans(points, owner)]
    keys += [_key(owner[start], sums.hashes(start, size), at=1) for start, size in _word_spans(points, owner)]
    unique, counts = np.unique(np.concatenate(keys), return_counts=True)
    return Bags(unique // BUCKETS, unique % BUCKETS, counts)


def _spaced(text: str) -> str:
    """The words and marks of a text in lower case, a space before and after each, and ``¬`` before what is negated."""
    plain = unicodedata.normalize("NFKC", text[:MOST_CHARS]).lower().replace("’", "'")
    tokens = _TOKEN.findall(plain[:MOST_CHARS])
    reach = 0
    for at, token in enumerate(tokens):
        if _NEGATION.fullmatch(token):
            reach = _NEGATION_REACH
        elif not token[0].isalnum():
            reach = 0
        elif reach:
            tokens[at] = _NEGATED + token
            reach -= 1
    return f" {' '.join(tokens)} "


def _character_spans(points: NDArray[np.uint32], owner: Integers) -> list[tuple[Integers, Integers]]:
    """Where n-grams of characters start and how long they are: within a word, a space at its ends included.

    A negated word has none: its letters would speak for what it denies.
    """
    spaces = np.concatenate([[0], np.cumsum(points == _SPACE)])
    negated = np.zeros(spaces[-1] + 1, np.bool_)
    negated[spaces[:-1][points == ord(_NEGATED)]] = True
    found = []
    for size in _CHARACTERS:
        start = np.arange(max(len(points) - size + 1, 0), dtype=np.int64)
        inside = (spaces[start + size - 1] == spaces[start + 1]) & (owner[start] == owner[start + size - 1])
        start = start[inside & ~negated[spaces[start + 1]]]
        found.append((start, np.full_like(start, size)))
    return found


def _word_spans(points: NDArray[np.uint32], owner: Integers) -> list[tuple[Integers, Integers]]:
    """Where words and pairs of words start and how long they are."""
    at = np.flatnonzero(points == _SPACE)
    start, end = at[:-1] + 1, at[1:]
    start, end = start[end > start], end[end > start]
    found = []
    for count in _WORDS:
        first, last = start[: max(len(start) - count + 1, 0)], end[count - 1 :]
        together = owner[first] == owner[last - 1]
        found.append((first[together], (last - first)[together]))
    return found


def _key(owner: Integers, hashes: Hashes, *, at: int) -> Integers:
    """Text and bucket as one number."""
    bucket = (hashes >> np.uint64(64 - _BITS)).astype(np.int64)
    return owner * BUCKETS + (at << _BITS) + bucket


class _Sums:
    """Hashes of any part of a row of numbers, each in constant time: sums of a polynomial modulo 2 to the 64th."""

    def __init__(self, points: NDArray[np.uint32]) -> None:
        size = len(points)
        powers = np.ones(size + 1, np.uint64)
        powers[1:] = np.cumprod(np.full(size, _BASE, np.uint64))
        self._back = np.ones(size + 1, np.uint64)
        self._back[1:] = np.cumprod(np.full(size, _INVERSE, np.uint64))
        self._sums = np.zeros(size + 1, np.uint64)
        self._sums[1:] = np.cumsum(points.astype(np.uint64) * powers[:size])

    def hashes(self, start: Integers, size: Integers) -> Hashes:
        """The hashes of the parts from ``start`` on, ``size`` long; parts of other sizes have other hashes."""
        mixed = (self._sums[start + size] - self._sums[start]) * self._back[start] + size.astype(np.uint64)
        for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        whole: Hashes = mixed ^ (mixed >> np.uint64(33))
        return whole
