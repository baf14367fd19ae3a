"""VADER: how positive or negative an English text is, by a lexicon and rules. The only importer of vaderSentiment."""

import re
from functools import cache
from importlib.metadata import version
from typing import Any

from curate.llm.labellers.sentiment import SentimentLabeller

# VADER takes quadratic time in the number of words, and counts every emoji as several.
_MAX_CHARS = 2_000
_MAX_EMOJI = 100
_EMOJI = re.compile("[\u2190-\U0010ffff]")


class VaderLabeller(SentimentLabeller):
    """VADER's compound score (-1 to 1), made for short English posts.

    It reads 2,000 characters or 100 emoji.
    Hutto, C. J. & Gilbert, E. (2014). VADER: a parsimonious rule-based model for sentiment analysis of social media
    text. ICWSM 2014.
    """

    neutral_below = 0.05  # as its authors advise

    def __init__(self) -> None:
        self.name = f"vader-{version('vaderSentiment')}"

    def polarity(self, text: str) -> float:
        """See ``SentimentLabeller.polarity``."""
        # VADER's negations have straight apostrophes only.
        text = text[:_MAX_CHARS].replace("’", "'")
        if surplus := [match.start() for match in _EMOJI.finditer(text)][_MAX_EMOJI:]:
            text = text[: surplus[0]]
        return float(_analyzer().polarity_scores(text)["compound"])


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
