"""Identify the language of a text with py3langid, which no other module imports."""

import functools
import re
from typing import Any

MIN_LETTERS = 12
MIN_PROBABILITY = 0.9


def detect_language(text: str) -> str | None:
    """Return the ISO 639-1 code of the language of a text, or None if it is too short or too mixed.

    Uses the naive Bayes model of langid.py over byte n-grams (97 languages).
    """
    if len(re.sub(r"[\W\d_]", "", text)) < MIN_LETTERS:
        return None
    language, probability = _identifier().classify(text)
    return str(language) if probability >= MIN_PROBABILITY else None


def rank_languages(text: str) -> dict[str, float]:
    """How likely a text, however short, is in each language (ISO 639-1)."""
    return {name: float(probability) for name, probability in _identifier().rank(text)}


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
