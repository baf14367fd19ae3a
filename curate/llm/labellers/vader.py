"""VADER: how positive or negative an English text is, by a lexicon and rules. The only importer of vaderSentiment."""

import re
from functools import cache
from importlib.metadata import version
from types import SimpleNamespace
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
    import vaderSentiment.vaderSentiment

    vader: Any = vaderSentiment.vaderSentiment
    boosters = vader.BOOSTER_DICT
    phrases = [*boosters, *vader.SPECIAL_CASES]
    # One word of each phrase is enough to notice it.
    modifiers = {*vader.NEGATE, *("so", "this", "no", "least"), *(max(phrase.split(), key=len) for phrase in phrases)}

    class Analyzer(vader.SentimentIntensityAnalyzer):  # type: ignore[misc]
        """The same scores, several times as fast: only near a modifier is a word's valence not that of the lexicon."""

        def polarity_scores(self, text: str) -> dict[str, float]:
            if not text.isascii():  # it may contain emoji
                return dict(super().polarity_scores(text))
            content = vader.SentiText(text.strip())
            words = content.words_and_emoticons
            lowered = [word.lower() for word in words]
            is_plain = modifiers.isdisjoint(lowered) and "n't" not in text.lower()
            valences: list[float] = []
            for index, word in enumerate(lowered):
                valence = self.lexicon.get(word, 0)
                if valence and not is_plain:
                    start, end = max(0, index - 3), index + 3
                    if word in boosters or lowered[index : index + 2] == ["kind", "of"]:
                        valence = 0
                    elif not modifiers.isdisjoint(lowered[start:end]) or "n't" in " ".join(lowered[start:index]):
                        near = SimpleNamespace(words_and_emoticons=words[start:end], is_cap_diff=content.is_cap_diff)
                        self.sentiment_valence(0, near, words[index], index - start, valences)
                        continue
                if valence and words[index].isupper() and content.is_cap_diff:
                    valence += vader.C_INCR if valence > 0 else -vader.C_INCR
                valences.append(valence)
            if not any(valences):
                return {"compound": 0.0}
            return dict(self.score_valence(self._but_check(words, valences), content.text))

    return Analyzer()
