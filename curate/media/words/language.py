"""Identify the language of texts with py3langid, which no other module imports."""

import functools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_LETTERS = 12
MIN_PROBABILITY = 0.9

_LETTERS = re.compile(rf"(?:[\W\d_]*[^\W\d_]){{{MIN_LETTERS}}}")
_TOGETHER_BYTES = 1_000
"""Longer texts are identified alone: together, each step is for the texts that are not at their end."""
_TOGETHER_TEXTS = 1_000
_MARGIN = 0.01
"""Far above the rounding errors of probabilities."""


def detect_language(text: str) -> str | None:
    """Return the ISO 639-1 code of the language of a text, or None if it is too short or too mixed.

    Uses the naive Bayes model of langid.py over byte n-grams (97 languages).
    """
    if not _LETTERS.match(text):
        return None
    language, probability = _identifier().classify(text)
    return str(language) if probability >= MIN_PROBABILITY else None


def rank_languages(text: str) -> dict[str, float]:
    """Return how likely a text, however short, is in each language (ISO 639-1)."""
    return {name: float(probability) for name, probability in _identifier().rank(text)}


def detect_languages(texts: Sequence[str]) -> list[str | None]:
    """Return ``detect_language`` of each text, about ten times faster for many short texts."""
    languages: list[str | None] = [None] * len(texts)
    encode, short = _identifier()._encode, {}
    for index, text in enumerate(texts):
        if len(text) > _TOGETHER_BYTES:
            languages[index] = detect_language(text)
        elif _LETTERS.match(text):
            short[index] = encode(text)
    indices = sorted(short, key=lambda index: len(short[index]), reverse=True)
    for start in range(0, len(indices), _TOGETHER_TEXTS):
        part = indices[start : start + _TOGETHER_TEXTS]
        best, probabilities = _arrays().classify([short[index] for index in part])
        for index, language, probability in zip(part, best, probabilities, strict=True):
            if abs(probability - MIN_PROBABILITY) < _MARGIN:
                languages[index] = detect_language(texts[index])
            elif probability > MIN_PROBABILITY:
                languages[index] = language
    return languages


class _Arrays(NamedTuple):
    """The model as arrays: an automaton over bytes whose states show features, and the weights of the features."""

    row_starts: NDArray[np.int64]
    next_states: NDArray[Any]
    features: NDArray[np.int64]
    weights: NDArray[Any]
    priors: NDArray[Any]
    languages: Sequence[str]
    aliases: Sequence[tuple[int, int]]
    """Pairs of columns that stand for one language."""

    def classify(self, texts: Sequence[bytes]) -> tuple[list[str], list[float]]:
        """Return the likeliest language of each text and its probability; the longest text comes first."""
        from scipy.sparse import csr_array

        owners, features = self._find_features(texts)
        keys, counts = np.unique(owners * len(self.weights) + features, return_counts=True)
        owners, features = np.divmod(keys, len(self.weights))
        used, columns = np.unique(features, return_inverse=True)
        starts = np.searchsorted(owners, np.arange(len(texts) + 1))
        visits = csr_array((np.log1p(counts.astype(np.float32)), columns, starts), shape=(len(texts), len(used)))
        scores = (visits @ self.weights[used].astype(np.float32) + self.priors).astype(np.float64)
        scores[starts[:-1] == starts[1:]] = 0.0
        scores /= np.sqrt([max(len(text), 1) for text in texts])[:, None]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        for first, second in self.aliases:
            scores[:, first] += scores[:, second]
            scores[:, second] = 0.0
        best = scores.argmax(axis=1)
        return [self.languages[index] for index in best], scores.max(axis=1).tolist()

    def _find_features(self, texts: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return every occurrence of a feature: the index of its text, and the feature."""
        sizes = np.array([len(text) for text in texts])
        padded = b"".join(text.ljust(sizes[0], b"\0") for text in texts)
        letters = np.ascontiguousarray(np.frombuffer(padded, np.uint8).reshape(len(texts), sizes[0]).T)
        running = np.searchsorted(-sizes, -np.arange(sizes[0]))
        states = np.zeros(len(texts), np.int64)
        features = np.full(letters.shape, -1, np.int64)
        for step, count in enumerate(running):
            states[:count] = self.next_states[self.row_starts[states[:count]] + letters[step, :count]]
            features[step, :count] = self.features[states[:count]]
        steps, owners = np.nonzero(features >= 0)
        return owners, features[steps, owners]


@functools.cache
def _arrays() -> _Arrays:
    model = _identifier()
    return _Arrays(
        np.asarray(model.tk_row, np.int64) << 8,
        np.asarray(model.tk_nextmove),
        np.asarray(model.tk_output, np.int64),
        model.nb_ptc,
        model.nb_pc,
        list(map(str, model.nb_classes)),
        model._alias_pairs,
    )


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
