"""VADER: how positive or negative an English text is, by a lexicon and rules. The only importer of vaderSentiment."""

import re
from functools import cache
from importlib.metadata import version
from typing import Any

from curate.labels import Field
from curate.llm.labellers.protocol import (
    EnglishLabeller,
    Guess,
    is_valence,
    scale_value,
    sentiment_label,
)

# VADER takes quadratic time in the number of words, and counts every emoji as several.
_MAX_CHARS = 2_000
_MAX_EMOJI = 100
_EMOJI = re.compile("[\u2190-\U0010ffff]")
_NEUTRAL_BELOW = 0.05
"""The absolute compound score below which a text is neutral, as its authors advise."""


class VaderLabeller(EnglishLabeller):
    """VADER's compound score (-1 to 1), made for short English posts.

    It guesses interval scales named ``valence`` or ``polarity`` (-1 is the minimum, 1 the maximum) and categories with
    labels ``positive`` and ``negative``. It reads 2,000 characters or 100 emoji and abstains from other languages.
    Hutto, C. J. & Gilbert, E. (2014). VADER: a parsimonious rule-based model for sentiment analysis of social media
    text. ICWSM 2014.
    """

    def __init__(self) -> None:
        self.name = f"vader-{version('vaderSentiment')}"

    def guess(self, field: Field, text: str) -> Guess | None:
        """See ``EnglishLabeller.guess``."""
        if not text:
            return None
        if is_valence(field):
            return Guess(scale_value(field, (_compound(text) + 1) / 2), {}, self.name)
        if sentiment_label(field, 1) is None:
            return None
        compound = _compound(text)
        label = sentiment_label(field, 0 if abs(compound) < _NEUTRAL_BELOW else 1 if compound > 0 else -1)
        return Guess(label, {}, self.name) if label else None


def _compound(text: str) -> float:
    # VADER's negations have straight apostrophes only.
    text = text[:_MAX_CHARS].replace("’", "'")
    if surplus := [match.start() for match in _EMOJI.finditer(text)][_MAX_EMOJI:]:
        text = text[: surplus[0]]
    return float(_analyzer().polarity_scores(text)["compound"])


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
