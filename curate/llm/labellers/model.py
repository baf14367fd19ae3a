"""The linear model of the offline labeller: probabilities of the 27 emotions of GoEmotions and neutral."""

import functools
import io
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.llm.labellers.features import BUCKETS, MAX_CHARS, Integers, count_ngrams

_WEIGHTS = "goemotions.v1.npz"
_CHUNK_CHARS = 50_000

Floats = NDArray[np.float32]


class SparseVectors(NamedTuple):
    """Vectors of several texts in coordinate form, ordered by text."""

    texts: Integers
    rows: Integers
    values: Floats


class Vocabulary:
    """The n-grams with weights, by bucket, and their inverse document frequency."""

    def __init__(self, buckets: Integers, idf: Floats) -> None:
        self._idf = idf
        self._rows = np.full(BUCKETS, -1, np.int32)
        self._rows[buckets] = np.arange(len(buckets), dtype=np.int32)

    def share_known(self, words: Sequence[str]) -> float:
        """Return the share of words (0-1) that occur in the texts that the model was trained on; 0 without words."""
        ngrams = count_ngrams(words)
        is_word = ngrams.buckets * 2 // BUCKETS == 1
        matched_words = ngrams.texts[is_word & (self._rows[ngrams.buckets] >= 0)]
        return len(np.unique(matched_words)) / len(words) if words else 0.0

    def vectors(self, texts: Sequence[str]) -> SparseVectors:
        """Return ``(1 + log count) * idf`` of the n-grams, words and characters each scaled to Euclidean length 1."""
        ngrams = count_ngrams(texts)
        rows = self._rows[ngrams.buckets].astype(np.int64)
        in_vocabulary = rows >= 0
        owner, rows = ngrams.texts[in_vocabulary], rows[in_vocabulary]
        half = ngrams.buckets[in_vocabulary] * 2 // BUCKETS
        values = (1 + np.log(ngrams.counts[in_vocabulary])) * self._idf[rows]
        lengths = np.sqrt(np.bincount(owner * 2 + half, values * values, minlength=2 * len(texts)))
        return SparseVectors(owner, rows, (values / lengths[owner * 2 + half]).astype(np.float32))


class EmotionModel:
    """One calibrated logistic regression for each label, over the n-grams of a text.

    Trained by ``benchmarks/train_offline_words.py`` on GoEmotions (Demszky et al. 2020, CC BY 4.0).
    """

    def __init__(self, arrays: dict[str, Any]) -> None:
        self.labels: tuple[str, ...] = tuple(map(str, arrays["labels"]))
        self.thresholds: Floats = arrays["thresholds"]
        """The probability from which on each label is chosen, for its best F1."""
        buckets = np.cumsum(arrays["bucket_steps"].astype(np.int64))
        self._vocabulary = Vocabulary(buckets, arrays["idf"].astype(np.float32) / arrays["idf_unit"])
        weights = arrays["weights"].astype(np.float32) * arrays["scales"]
        self._weights: Floats = np.ascontiguousarray(weights.T)
        """One row for each label"""
        self._bias: Floats = arrays["bias"]

    def share_known(self, words: Sequence[str]) -> float:
        """Return the share of words (0-1) that the model has met; of English ones, nearly all."""
        return self._vocabulary.share_known(words)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return probabilities of shape (texts, labels); only the first 10,000 characters of a text count."""
        chunks = [self._probabilities(chunk) for chunk in _chunks(texts)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(self.labels)))

    def _probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        vectors = self._vocabulary.vectors(texts)
        logits = np.tile(self._bias.astype(np.float64), (len(texts), 1))
        if len(vectors.texts):
            starts = np.flatnonzero(np.diff(vectors.texts, prepend=-1))
            sums = [np.add.reduceat(weights[vectors.rows] * vectors.values, starts) for weights in self._weights]
            logits[vectors.texts[starts]] += np.stack(sums, axis=1)
        # The last bits depend on the processor and must not decide.
        return np.round(1 / (1 + np.exp(-logits)), 4)


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield texts in chunks that bound the memory."""
    start = chars = 0
    for index, text in enumerate(texts):
        chars += min(len(text), MAX_CHARS)
        if chars >= _CHUNK_CHARS:
            yield texts[start : index + 1]
            start, chars = index + 1, 0
    if start < len(texts):
        yield texts[start:]


@functools.cache
def emotion_model() -> EmotionModel:
    """Return the shipped model, read once per process."""
    packed = resources.files("curate.llm.labellers").joinpath(_WEIGHTS).read_bytes()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return EmotionModel(dict(arrays))
