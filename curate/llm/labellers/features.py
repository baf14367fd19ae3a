"""Texts as counts of hashed n-grams: words alone and in pairs, and 3 to 5 characters within a word."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_CHARS = 10_000
"""The part of a text that is read."""
BUCKETS = 1 << 21
"""Character n-grams fall into the first half, words and pairs of words into the second."""

_CHARACTER_SIZES = (3, 4, 5)
_WORD_COUNTS = (1, 2)
_BITS = 20
_TOKEN = re.compile(r"\w+(?:'\w+)*|[!-/:-@\[-`{-~]+|[^\w\s]")
_NEGATIONS = frozenset(
    [
        *("not", "no", "never", "without", "hardly", "cannot", "cant", "dont"),
        *("doesnt", "didnt", "isnt", "wasnt", "wont", "aint"),
    ]
)
_CONTRACTED = re.compile(r"\w+n't")
_NEGATION_REACH = 3
_NEGATED = "¬"
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_SPACE = 32

Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]


class NgramCounts(NamedTuple):
    """N-gram counts of several texts as parallel arrays, ordered by text and bucket."""

    texts: Integers
    """Index of the text that contains the n-gram."""
    buckets: Integers
    counts: Integers


def count_ngrams(texts: Sequence[str]) -> NgramCounts:
    """Return the n-grams of texts hashed into ``BUCKETS``; an empty text has none."""
    normalized = [_normalize(text) for text in texts]
    text_of_point = np.repeat(np.arange(len(normalized), dtype=np.int64), [len(text) for text in normalized])
    points = np.frombuffer("".join(normalized).encode("utf-32-le", "surrogatepass"), np.uint32)
    hashes = _SubstringHashes(points)
    keys = []
    for half, spans in enumerate((_character_spans(points, text_of_point), _word_spans(points, text_of_point))):
        keys += [_combine(text_of_point[start], hashes.of_spans(start, size), half=half) for start, size in spans]
    unique, counts = np.unique(np.concatenate(keys), return_counts=True)
    return NgramCounts(unique // BUCKETS, unique % BUCKETS, counts)


def _normalize(text: str) -> str:
    """Return lower-case words and punctuation with a space before and after each, and ``¬`` before negated words."""
    text = text[:MAX_CHARS]
    lowered = (text if text.isascii() else unicodedata.normalize("NFKC", text)).lower().replace("’", "'")
    tokens = _TOKEN.findall(lowered[:MAX_CHARS])
    if "n't" in lowered or not _NEGATIONS.isdisjoint(tokens):
        _mark_negated(tokens)
    return f" {' '.join(tokens)} "


def _mark_negated(tokens: list[str]) -> None:
    reach = 0
    for index, token in enumerate(tokens):
        if token in _NEGATIONS or _CONTRACTED.fullmatch(token):
            reach = _NEGATION_REACH
        elif reach and token[0].isalnum():
            tokens[index] = _NEGATED + token
            reach -= 1
        else:
            reach = 0


def _character_spans(points: NDArray[np.uint32], text_of_point: Integers) -> list[tuple[Integers, Integers]]:
    """Return start and size of character n-grams: within a word and the spaces around it, none in a negated word."""
    spaces = np.concatenate([[0], np.cumsum(points == _SPACE)])
    negated = np.zeros(spaces[-1] + 1, np.bool_)
    negated[spaces[:-1][points == ord(_NEGATED)]] = True
    spans = []
    for size in _CHARACTER_SIZES:
        start = np.arange(max(len(points) - size + 1, 0), dtype=np.int64)
        same_word = spaces[start + size - 1] == spaces[start + 1]
        same_text = text_of_point[start] == text_of_point[start + size - 1]
        start = start[same_word & same_text & ~negated[spaces[start + 1]]]
        spans.append((start, np.full_like(start, size)))
    return spans


def _word_spans(points: NDArray[np.uint32], text_of_point: Integers) -> list[tuple[Integers, Integers]]:
    """Return start and size of words and pairs of words."""
    space = np.flatnonzero(points == _SPACE)
    start, end = space[:-1] + 1, space[1:]
    start, end = start[end > start], end[end > start]
    spans = []
    for count in _WORD_COUNTS:
        first, last = start[: max(len(start) - count + 1, 0)], end[count - 1 :]
        same_text = text_of_point[first] == text_of_point[last - 1]
        spans.append((first[same_text], (last - first)[same_text]))
    return spans


def _combine(texts: Integers, hashes: Hashes, *, half: int) -> Integers:
    """Return text and bucket as one number."""
    bucket = (hashes >> np.uint64(64 - _BITS)).astype(np.int64)
    return texts * BUCKETS + (half << _BITS) + bucket


class _SubstringHashes:
    """Hashes of any substring in constant time, by prefix sums of a polynomial modulo 2 to the 64th (Rabin-Karp)."""

    def __init__(self, points: NDArray[np.uint32]) -> None:
        size = len(points)
        powers = np.ones(size + 1, np.uint64)
        powers[1:] = np.cumprod(np.full(size, _BASE, np.uint64))
        self._inverse_powers = np.ones(size + 1, np.uint64)
        self._inverse_powers[1:] = np.cumprod(np.full(size, _INVERSE, np.uint64))
        self._sums = np.zeros(size + 1, np.uint64)
        self._sums[1:] = np.cumsum(points.astype(np.uint64) * powers[:size])

    def of_spans(self, start: Integers, size: Integers) -> Hashes:
        """Return the hashes of the substrings that begin at ``start``; equal ones of different size differ."""
        sums = self._sums[start + size] - self._sums[start]
        mixed = sums * self._inverse_powers[start] + size.astype(np.uint64)
        # The finalizer of MurmurHash3.
        for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        hashes: Hashes = mixed ^ (mixed >> np.uint64(33))
        return hashes
