"""TextBlob: polarity and subjectivity of an English text, by a lexicon of adjectives. The only importer of textblob."""

from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

from curate.labels import Field
from curate.llm.labellers.protocol import Guess
from curate.llm.labellers.sentiment import SentimentLabeller, scale_value


class _Sentiment(NamedTuple):
    polarity: float
    subjectivity: float


class TextBlobLabeller(SentimentLabeller):
    """TextBlob's sentiment (the lexicon of pattern.en): polarity (-1 to 1) and subjectivity (0 to 1).

    Subjectivity decides an interval scale of that name. It downloads nothing. De Smedt, T. & Daelemans, W. (2012).
    Pattern for Python. JMLR 13.
    """

    def __init__(self) -> None:
        self.name = f"textblob-{version('textblob')}"

    def polarity(self, text: str) -> float:
        """See ``SentimentLabeller.polarity``."""
        return _score(text).polarity

    def guess(self, field: Field, text: str) -> Guess | None:
        """See ``SentimentLabeller.guess``."""
        if text and field.interval is not None and field.name == "subjectivity":
            return Guess(scale_value(field, _score(text).subjectivity), {}, self.name)
        return super().guess(field, text)


def _score(text: str) -> _Sentiment:
    return _Sentiment(*_analyzer()(text.replace("’", "'")))


@cache
def _analyzer() -> Any:
    # Unlike other parts of TextBlob, this function needs no NLTK corpora, which would be downloaded.
    from textblob.en import sentiment

    return sentiment
