"""VADER: how positive or negative an English text is, by a lexicon and rules. The only importer of vaderSentiment."""

import re
from functools import cache, lru_cache
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from curate.llm.labellers.sentiment import SentimentLabeller

# VADER takes quadratic time in the number of words, and counts every emoji as several.
_MAX_CHARS = 2_000
_MAX_EMOJI = 100
_MAX_TOKENS = 50_000
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

    @lru_cache(maxsize=_MAX_TOKENS)
    def strip(token: str) -> tuple[str, str]:
        """Return the word in a token, and the same in lower case."""
        word = vader.SentiText._strip_punc_if_word(token)
        return word, word.lower()

    class Analyzer(vader.SentimentIntensityAnalyzer):  # type: ignore[misc]
        """The same scores, many times as fast: only near a modifier is a word's valence not that of the lexicon."""

        def polarity_scores(self, text: str) -> dict[str, float]:
            if not text.isascii():  # it may contain emoji
                return dict(super().polarity_scores(text))
            lowered_text, stripped = text.lower(), [strip(token) for token in text.split()]
            lowered = [lower for _, lower in stripped]
            valences = [self.lexicon.get(word, 0) for word in lowered]
            if any(valences):
                words = [word for word, _ in stripped]
                has_capitals = text != lowered_text and 0 < sum(map(str.isupper, words)) < len(words)
                is_plain = modifiers.isdisjoint(lowered) and "n't" not in lowered_text
                if has_capitals or not is_plain:
                    self._modify(valences, words, lowered, has_capitals=has_capitals)
                if "but" in lowered:
                    self._but_check(words, valences)
            if not any(valences):
                return {"compound": 0.0}
            return dict(self.score_valence([valence for valence in valences if valence], text))

        def _modify(self, valences: list[float], words: list[str], lowered: list[str], *, has_capitals: bool) -> None:
            for index in [index for index, valence in enumerate(valences) if valence]:
                start, end = max(0, index - 3), index + 3
                if lowered[index] in boosters or lowered[index : index + 2] == ["kind", "of"]:
                    valences[index] = 0
                elif not modifiers.isdisjoint(lowered[start:end]) or "n't" in " ".join(lowered[start:index]):
                    near = SimpleNamespace(words_and_emoticons=words[start:end], is_cap_diff=has_capitals)
                    valences[index : index + 1] = self.sentiment_valence(0, near, words[index], index - start, [])
                elif has_capitals and words[index].isupper():
                    valences[index] += vader.C_INCR if valences[index] > 0 else -vader.C_INCR

    return Analyzer()
