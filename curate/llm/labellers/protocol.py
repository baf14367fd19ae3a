"""What the labellers that need no network share: which text they read, and how guesses become a proposal."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from curate.labels import Field, LabelSchema
from curate.labels.fields import Category, Scale
from curate.llm.labellers.features import MOST_CHARS
from curate.llm.model import Proposal

_LETTER = re.compile(r"[^\W\d_]")
_PLEASANTNESS = frozenset(("valence", "polarity"))


class Guess(NamedTuple):
    """What a field's value may be, scores (0-1) by label where the method has such, and the method with its version."""

    value: Any
    scores: Mapping[str, float]
    by: str


class TextLabeller(ABC):
    """A labeller that reads an item's text and nothing else; it abstains from items without."""

    name: str

    @abstractmethod
    def propose_many(self, items: Sequence[Mapping[str, Any]], labels: LabelSchema) -> list[Proposal]:
        """A proposal for each item, the same as for the item alone."""

    def propose(self, item: Mapping[str, Any], labels: LabelSchema) -> Proposal:
        """See ``Labeller.propose``."""
        return self.propose_many([item], labels)[0]

    def assets(self, labels: LabelSchema) -> Iterable[str]:
        """What, besides text, schema and ``name``, decides what is proposed."""
        return ()


class EnglishLabeller(TextLabeller):
    """A text labeller that judges one field after another, and only English text."""

    @abstractmethod
    def guess(self, field: Field, text: str) -> Guess | None:
        """What it can tell of a field from a text; None for nothing, as from an empty one."""

    def propose_many(self, items: Sequence[Mapping[str, Any]], labels: LabelSchema) -> list[Proposal]:
        """See ``TextLabeller.propose_many``."""
        return [to_proposal(labels, partial(self.guess, text=english_text_of(item)), name=self.name) for item in items]


def text_of(item: Mapping[str, Any]) -> str:
    """The first 10,000 characters of an item's text; empty where there is none."""
    text = item.get("text")
    return text[:MOST_CHARS] if isinstance(text, str) and not text.isspace() else ""


def english_text_of(item: Mapping[str, Any]) -> str:
    """The text of an item that is, or where its language is not known may be, in English; else empty."""
    text, language = text_of(item), item.get("language")
    if language is not None:
        return text if language == "en" else ""
    letters = _LETTER.findall(text)
    return text if 2 * sum(letter.isascii() for letter in letters) >= len(letters) else ""


def to_proposal(labels: LabelSchema, guess: Callable[[Field], Guess | None], *, name: str) -> Proposal:
    """The guesses for the fields that are asked. ``model`` tells which method is behind which field."""
    values: dict[str, Any] = {}
    scores: dict[str, Mapping[str, float]] = {}
    fields_by: dict[str, list[str]] = {}
    for field_name, field in labels.fields.items():
        found = guess(field) if labels.is_asked(field_name, values) else None
        if found is None:
            continue
        values[field_name] = field.check(found.value)
        if found.scores:
            scores[field_name] = found.scores
        fields_by.setdefault(found.by, []).append(field_name)
    if not values:
        return Proposal({}, {}, "abstained", name)
    several = len(fields_by) > 1
    model = ", ".join(f"{by} ({', '.join(names)})" if several else by for by, names in fields_by.items())
    return Proposal(values, scores, "ok", model)


def is_pleasantness(field: Field) -> bool:
    """Whether a field asks how pleasant something is: an interval scale named ``valence`` or ``polarity``."""
    return isinstance(field, Scale) and field.level == "interval" and field.name in _PLEASANTNESS


def on_scale(field: Field, share: float) -> float:
    """The value that stands at a share (0-1) of a scale's length."""
    if not isinstance(field, Scale):
        raise TypeError(f"{field.name} is not a scale")
    return field.minimum + min(max(share, 0.0), 1.0) * (field.maximum - field.minimum)


def sentiment_label(field: Field, direction: int) -> str | None:
    """The label of a sentiment (1 positive, 0 neither, -1 negative) in a field whose taxonomy has labels so named.

    Neither is the label of absence, or ``neutral``. None for other fields, and where there is no such label.
    """
    if not isinstance(field, Category) or field.intensity is not None:
        return None
    if not {"positive", "negative"} <= set(field.labels):
        return None
    if direction:
        return "positive" if direction > 0 else "negative"
    return next((each.name for each in field.taxonomy.labels if each.absence or each.name == "neutral"), None)
