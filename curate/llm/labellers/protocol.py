"""What labellers return, and what those share that read text without a network."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

from curate.labels import Field, LabelSchema
from curate.llm.labellers.features import MAX_CHARS
from curate.llm.labellers.model import emotion_model

PrelabelOutcome = Literal["ok", "clue", "abstained", "refused", "filtered", "truncated", "invalid", "error"]
OUTCOMES: tuple[PrelabelOutcome, ...] = get_args(PrelabelOutcome)

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_MAX_WORDS, _KNOWN_SHARE = 200, 0.75


class Proposal(NamedTuple):
    """A labeller's result for one item: checked values by field, and scores (0-1) by field and label."""

    values: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float]]
    outcome: PrelabelOutcome
    model: str = ""
    """The method behind the values, with its version."""
    detail: str = ""
    """Why it abstained."""


class Guess(NamedTuple):
    """A field's value, scores (0-1) by label if the method has any, and the method with its version."""

    value: Any
    scores: Mapping[str, float]
    method: str


class TextLabeller(ABC):
    """A labeller that reads an item's text and nothing else; it abstains from items without text."""

    name: str
    """As stored in the table, with its version: ``offline-lexicon.v2``."""

    @abstractmethod
    def propose_many(self, items: Sequence[Mapping[str, Any]], labels: LabelSchema) -> list[Proposal]:
        """Return a proposal for each row of ``items``, the same as for the row alone."""

    def propose(self, item: Mapping[str, Any], labels: LabelSchema) -> Proposal:
        """Return a proposal for one row of ``items``."""
        return self.propose_many([item], labels)[0]

    def assets(self, labels: LabelSchema) -> Iterable[str]:
        """Return what decides the proposals besides text, schema and ``name``."""
        return ()


def text_of(item: Mapping[str, Any]) -> str:
    """Return the first 10,000 characters of an item's text; empty if it has none."""
    text = item.get("text")
    return text[:MAX_CHARS] if isinstance(text, str) and not text.isspace() else ""


def english_text_of(item: Mapping[str, Any]) -> str:
    """Return an item's text if it is English, else an empty string.

    Where the language is not known, as of short texts, English has words that the model has met: three in four.
    """
    text, language = text_of(item), item.get("language")
    if language is not None:
        return text if language == "en" else ""
    words = _WORD.findall(text)[:_MAX_WORDS]
    return text if not words or emotion_model().share_known(words) >= _KNOWN_SHARE else ""


def build_proposal(labels: LabelSchema, guess: Callable[[Field], Guess | None], *, name: str) -> Proposal:
    """Return the guesses for all fields that apply; its ``model`` names the method behind each field."""
    values: dict[str, Any] = {}
    scores: dict[str, Mapping[str, float]] = {}
    methods: list[str] = []
    for field_name, field in labels.fields.items():
        result = guess(field) if not field.when or labels.is_asked(field_name, values) else None
        if result is None:
            continue
        values[field_name] = field.check(result.value)
        if result.scores:
            scores[field_name] = result.scores
        methods.append(result.method)
    if not values:
        return Proposal({}, {}, "abstained", name)
    return Proposal(values, scores, "ok", _name_methods(tuple(methods), tuple(values)))


@lru_cache(maxsize=1_000)
def _name_methods(methods: tuple[str, ...], fields: tuple[str, ...]) -> str:
    fields_by_method: dict[str, list[str]] = {}
    for method, field in zip(methods, fields, strict=True):
        fields_by_method.setdefault(method, []).append(field)
    named = [f"{method} ({', '.join(names)})" for method, names in fields_by_method.items()]
    return ", ".join(named) if len(named) > 1 else methods[0]
