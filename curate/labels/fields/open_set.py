"""Free words: up to a number of them, from no list."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting

from curate.labels.features import Feature, list_of, scalar
from curate.labels.fields.base import Aggregate, AggregationRule, Comparison, Field
from curate.labels.fields.checks import is_settled, unanimous
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.fields.results import Result, collect
from curate.labels.fields.text import checked_text
from curate.labels.layout import Layout
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import ItemContext

_SEPARATOR = re.compile(r"[,;\n\r，；、]")


class OpenSet(Field):
    """A value is a list of 1 to ``max_words`` words or short phrases in the order given, each once (ignoring case).

    A word has no comma, semicolon or line break, and single spaces. With ``taxonomy``, words that are names or synonyms
    of the same label count as the same word when raters are compared and aggregated.
    """

    type: Literal["open_set"]
    max_words: int = Setting(default=8, ge=1, le=100)
    """The most words or phrases in a value."""
    max_chars: int = Setting(default=40, ge=1, le=200)
    """The longest of them."""
    taxonomy: Taxonomy | None = None
    """A taxonomy by name, whose labels and their synonyms count as the same word."""

    def check(self, value: Any, item: ItemContext | None = None) -> list[str]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("no word is given")
        words: dict[str, str] = {}
        for entry in value:
            text = checked_text(entry, self.max_chars)
            if match := _SEPARATOR.search(text):
                raise ValueError(f"{text[:60]!r} contains {match[0]!r}; give each word on its own")
            word = " ".join(text.split())
            words.setdefault(word.casefold(), word)
        if len(words) > self.max_words:
            raise ValueError(f"{len(words)} words are more than {self.max_words}")
        return list(words.values())

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.list_(pa.string())

    @property
    def feature(self) -> Feature:
        return list_of(scalar("string"))

    def json_schema(self) -> dict[str, Any]:
        word = {"type": "string", "minLength": 1, "maxLength": self.max_chars}
        return {"type": "array", "items": word, "minItems": 1, "maxItems": self.max_words}

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        count = f"1 to {self.max_words} words" if self.max_words > 1 else "One word"
        return [f"{count} or short phrases of your own, each of at most {self.max_chars} characters, without commas."]

    def from_text(self, text: str) -> Any:
        """See ``Field.from_text``: a JSON list, or words with line breaks, commas or semicolons between them."""
        if text.lstrip().startswith("["):
            return super().from_text(text)
        return self.check([word for word in _SEPARATOR.split(text) if word.strip()])

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        size = {"rows": "1", "maxSubmissions": str(self.max_words), "editable": "true", "skipDuplicates": "true"}
        common = {"name": self.name, "toName": layout.default, "required": str(self.required).lower()}
        return [ET.Element("TextArea", {**common, **size})]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        return [self.result("textarea", {"text": self.check(value)}, layout.default)]

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> list[str] | None:
        parts = [part for text in collect(results, "text") for part in _SEPARATOR.split(str(text))]
        words = [word for word in parts if word.strip()]
        return self.check(words) if words else None

    def _key(self, word: str) -> str:
        """Return what equal words have in common: their first label, or the word without letter case."""
        labels = self.taxonomy.labels_for(word) if self.taxonomy is not None else ()
        return labels[0] if labels else word.casefold()

    @property
    def comparison(self) -> Comparison:
        return "labels"

    def comparable(self, value: Any) -> frozenset[str]:
        return frozenset(map(self._key, value))

    def distance(self, a: Any, b: Any) -> float | None:
        """Return one minus the Jaccard index of the words, or of their labels where they have one."""
        first, second = self.comparable(a), self.comparable(b)
        return 1 - len(first & second) / len(first | second)

    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Return the words that enough raters give, each in its most frequent form.

        If there are too many, those that most raters give are kept.
        """
        if unanimous(values):
            return Aggregate(list(values[0]), {})
        votes = Counter(key for value in values for key in {self._key(word) for word in value})
        forms: dict[str, Counter[str]] = {}
        for value in values:
            for word in value:
                forms.setdefault(self._key(word), Counter())[word] += 1
        settled = [key for key in forms if is_settled(votes[key], len(values), rule)]
        best = set(sorted(settled, key=lambda key: -votes[key])[: self.max_words])
        words = [min(forms[key], key=lambda word: (-forms[key][word], word)) for key in settled if key in best]
        return Aggregate(words or None, {})

    def describe(self) -> str:
        mapped = f", compared by the labels of {self.taxonomy.title}" if self.taxonomy is not None else ""
        return f"**{self.name}**: up to {self.max_words} free words{mapped}"

    def show(self, value: Any) -> list[str]:
        return list(value)
