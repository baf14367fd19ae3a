"""The only module that touches TextBlob: polarity and subjectivity of an English text, by a lexicon of adjectives."""

from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

from curate.labels import Field
from curate.labels.fields import Scale
from curate.llm.labellers.protocol import (
    EnglishLabeller,
    Guess,
    is_pleasantness,
    on_scale,
    sentiment_label,
)


class _Opinion(NamedTuple):
    polarity: float
    subjectivity: float


class TextBlobLabeller(EnglishLabeller):
    """TextBlob's sentiment (the lexicon of pattern.en): polarity (-1 to 1) and subjectivity (0 to 1).

    Polarity fills interval scales named ``valence`` or ``polarity`` and categories with labels ``positive`` and
    ``negative``, subjectivity an interval scale named ``subjectivity``, ends to ends. It fills nothing else, abstains
    from other languages, and downloads nothing. De Smedt, T. & Daelemans, W. (2012). Pattern for Python. JMLR 13.
    """

    def __init__(self) -> None:
        self.name = f"textblob-{version('textblob')}"

    def guess(self, field: Field, text: str) -> Guess | None:
        """The value of a field that TextBlob can tell."""
        if not text:
            return None
        if is_pleasantness(field):
            return Guess(on_scale(field, (_opinion(text).polarity + 1) / 2), {}, self.name)
        if isinstance(field, Scale) and field.level == "interval" and field.name == "subjectivity":
            return Guess(on_scale(field, _opinion(text).subjectivity), {}, self.name)
        if sentiment_label(field, 1) is None:
            return None
        polarity = _opinion(text).polarity
        label = sentiment_label(field, (polarity > 0) - (polarity < 0))
        return Guess(label, {}, self.name) if label else None


def _opinion(text: str) -> _Opinion:
    return _Opinion(*_sentiment()(text.replace("’", "'")))


@cache
def _sentiment() -> Any:
    # Neither this function nor its lexicon needs the corpora of NLTK, which TextBlob's other parts download.
    from textblob.en import sentiment

    return sentiment
