"""The only module that touches vaderSentiment: how positive or negative an English text is, by a lexicon and rules."""

import re
from functools import cache
from importlib.metadata import version
from typing import Any

from curate.labels import Field
from curate.llm.labellers.protocol import (
    EnglishLabeller,
    Guess,
    is_pleasantness,
    on_scale,
    sentiment_label,
)

_MOST_CHARS = 2_000
_MOST_EMOJI = 100
"""It takes time with the square of a text's words, and every emoji is several."""
_EMOJI = re.compile("[\u2190-\U0010ffff]")
_BORDER = 0.05
"""Up to this compound score, either way, a text is neutral; the authors' advice."""


class VaderLabeller(EnglishLabeller):
    """VADER's compound score (-1 to 1), made for short English posts.

    It fills interval scales named ``valence`` or ``polarity`` (ends to ends) and categories with labels ``positive``
    and ``negative``, and nothing else; it reads 2,000 characters or 100 emoji and abstains from other languages.
    Hutto, C. J. & Gilbert, E. (2014). VADER: a parsimonious rule-based model for sentiment analysis of social media
    text. ICWSM 2014.
    """

    def __init__(self) -> None:
        self.name = f"vader-{version('vaderSentiment')}"

    def guess(self, field: Field, text: str) -> Guess | None:
        """The value of a field that VADER can tell."""
        if not text:
            return None
        if is_pleasantness(field):
            return Guess(on_scale(field, (_compound(text) + 1) / 2), {}, self.name)
        if sentiment_label(field, 1) is None:
            return None
        compound = _compound(text)
        label = sentiment_label(field, 0 if abs(compound) < _BORDER else 1 if compound > 0 else -1)
        return Guess(label, {}, self.name) if label else None


def _compound(text: str) -> float:
    # Its lexicon of negations has straight apostrophes only.
    short = text[:_MOST_CHARS].replace("’", "'")
    if emoji := [match.start() for match in _EMOJI.finditer(short)][_MOST_EMOJI:]:
        short = short[: emoji[0]]
    return float(_analyzer().polarity_scores(short)["compound"])


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
