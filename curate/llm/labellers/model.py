"""The linear model behind the offline labeller: how likely a writer shows each of the 27 emotions of GoEmotions."""

import functools
import io
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.llm.labellers.features import BUCKETS, MOST_CHARS, Integers, bags

_WEIGHTS = "goemotions.v1.npz"
_CHARS_AT_ONCE = 50_000

Floats = NDArray[np.float32]


class Vectors(NamedTuple):
    """Sparse vectors of several texts, ordered by text."""

    texts: Integers
    rows: Integers
    values: Floats


class Vocabulary:
    """The n-grams that count, by bucket, and how much each tells (inverse document frequency)."""

    def __init__(self, buckets: Integers, idf: Floats) -> None:
        self._idf = idf
        self._rows = np.full(BUCKETS, -1, np.int32)
        self._rows[buckets] = np.arange(len(buckets), dtype=np.int32)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """``(1 + log count) * idf`` of the n-grams, words and characters each of length one (Euclidean)."""
        found = bags(texts)
        rows = self._rows[found.buckets].astype(np.int64)
        known = rows >= 0
        owner, rows, half = found.texts[known], rows[known], found.buckets[known] * 2 // BUCKETS
        values = (1 + np.log(found.counts[known])) * self._idf[rows]
        lengths = np.sqrt(np.bincount(owner * 2 + half, values * values, minlength=2 * len(texts)))
        return Vectors(owner, rows, (values / lengths[owner * 2 + half]).astype(np.float32))


class EmotionModel:
    """Logistic regressions over the n-grams of a text, one for each label, calibrated.

    Trained by ``benchmarks/train_offline_words.py`` on GoEmotions (Demszky et al. 2020, CC BY 4.0).
    """

    def __init__(self, arrays: dict[str, Any]) -> None:
        self.labels: tuple[str, ...] = tuple(map(str, arrays["labels"]))
        self.thresholds: Floats = arrays["thresholds"]
        """From which probability on to take a label, for the best F1 of each."""
        self.frequencies: Floats = arrays["frequencies"]
        """The share of texts that have each label."""
        buckets = np.cumsum(arrays["bucket_steps"].astype(np.int64))
        self._vocabulary = Vocabulary(buckets, arrays["idf"].astype(np.float32) / arrays["idf_unit"])
        self._weights: Floats = arrays["weights"].astype(np.float32) * arrays["scales"]
        self._bias: Floats = arrays["bias"]

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """How likely each label is (0-1), one row for each text; the first 10,000 characters are read."""
        parts = [self._probabilities(part) for part in _parts(texts)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)))

    def _probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        vectors = self._vocabulary.vectors(texts)
        logits = np.tile(self._bias.astype(np.float64), (len(texts), 1))
        if len(vectors.texts):
            starts = np.flatnonzero(np.diff(vectors.texts, prepend=-1))
            terms = self._weights[vectors.rows] * vectors.values[:, None]
            logits[vectors.texts[starts]] += np.add.reduceat(terms, starts, axis=0)
        # The last bits depend on the processor; they are not to decide.
        return np.round(1 / (1 + np.exp(-logits)), 4)


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Texts in portions that bound the memory."""
    begin = chars = 0
    for at, text in enumerate(texts):
        chars += min(len(text), MOST_CHARS)
        if chars >= _CHARS_AT_ONCE:
            yield texts[begin : at + 1]
            begin, chars = at + 1, 0
    if begin < len(texts):
        yield texts[begin:]


@functools.cache
def emotion_model() -> EmotionModel:
    """The model that ships, read once."""
    packed = resources.files("curate.llm.labellers").joinpath(_WEIGHTS).read_bytes()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return EmotionModel(dict(arrays))
