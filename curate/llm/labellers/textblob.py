"""TextBlob: polarity and subjectivity of an English text, by a lexicon of adjectives. The only importer of textblob."""

from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

from curate.labels import Field
from curate.llm.labellers.protocol import (
    EnglishLabeller,
    Guess,
    is_valence,
    scale_value,
    sentiment_label,
)


class _Sentiment(NamedTuple):
    polarity: float
    subjectivity: float


class TextBlobLabeller(EnglishLabeller):
    """TextBlob's sentiment (the lexicon of pattern.en): polarity (-1 to 1) and subjectivity (0 to 1).

    Polarity decides interval scales named ``valence`` or ``polarity`` and categories with labels ``positive`` and
    ``negative``; subjectivity decides an interval scale of that name. Scales are mapped end to end. It abstains from
    other languages and downloads nothing. De Smedt, T. & Daelemans, W. (2012). Pattern for Python. JMLR 13.
    """

    def __init__(self) -> None:
        self.name = f"textblob-{version('textblob')}"

    def guess(self, field: Field, text: str) -> Guess | None:
        """See ``EnglishLabeller.guess``."""
        if not text:
            return None
        if is_valence(field):
            return Guess(scale_value(field, (_score(text).polarity + 1) / 2), {}, self.name)
        if field.interval is not None and field.name == "subjectivity":
            return Guess(scale_value(field, _score(text).subjectivity), {}, self.name)
        if sentiment_label(field, 1) is None:
            return None
        polarity = _score(text).polarity
        label = sentiment_label(field, (polarity > 0) - (polarity < 0))
        return Guess(label, {}, self.name) if label else None


def _score(text: str) -> _Sentiment:
    return _Sentiment(*_analyzer()(text.replace("’", "'")))


@cache
def _analyzer() -> Any:
    # Unlike other parts of TextBlob, this function needs no NLTK corpora, which would be downloaded.
    from textblob.en import sentiment

    return sentiment
