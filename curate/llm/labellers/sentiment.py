"""Labellers of one number: how positive or negative an English text is."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from curate.labels import Field, LabelSchema
from curate.llm.labellers.protocol import Guess, Proposal, TextLabeller, build_proposal, english_text_of

_VALENCE_NAMES = ("valence", "polarity")


class SentimentLabeller(TextLabeller):
    """Decides valence scales and sentiment categories by the polarity of English text; abstains from other languages.

    A valence scale is an interval scale named ``valence`` or ``polarity``; its ends stand for -1 and 1.
    A sentiment category has labels ``positive`` and ``negative``.
    """

    neutral_below = 0.0
    """The absolute polarity below which a text is neutral"""

    @abstractmethod
    def polarity(self, text: str) -> float:
        """Return the polarity of a text, from -1 (negative) to 1 (positive)."""

    def propose_many(self, items: Sequence[Mapping[str, Any]], labels: LabelSchema) -> list[Proposal]:
        """See ``TextLabeller.propose_many``."""
        return [
            build_proposal(labels, partial(self.guess, text=english_text_of(item)), name=self.name) for item in items
        ]

    def guess(self, field: Field, text: str) -> Guess | None:
        """Return a guess from a text, or None if the field is of another kind or the text is empty."""
        if not text:
            return None
        if is_valence(field):
            return Guess(scale_value(field, (self.polarity(text) + 1) / 2), {}, self.name)
        taxonomy = field.scored_taxonomy
        if taxonomy is None or not {"positive", "negative"} <= set(taxonomy.names):
            return None
        polarity = self.polarity(text)
        if polarity == 0 or abs(polarity) < self.neutral_below:
            label = next((label.name for label in taxonomy.labels if label.absence or label.name == "neutral"), None)
        else:
            label = "positive" if polarity > 0 else "negative"
        return Guess(label, {}, self.name) if label else None


def is_valence(field: Field) -> bool:
    """Whether a field is an interval scale named ``valence`` or ``polarity``."""
    return field.interval is not None and field.name in _VALENCE_NAMES


def scale_value(field: Field, share: float) -> float:
    """Return the value at a share (0-1) of an interval scale's length. Raises ``TypeError`` for other fields."""
    if field.interval is None:
        raise TypeError(f"{field.name} is not an interval scale")
    minimum, maximum = field.interval
    return minimum + min(max(share, 0.0), 1.0) * (maximum - minimum)
