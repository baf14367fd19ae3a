"""Free words: as many as the rater finds, from no list."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting

from curate.labels.fields.base import (
    DEFAULT_LANGUAGE,
    Aggregate,
    Field,
    How,
    Result,
    is_enough,
    list_of,
    member,
    scalar,
    unanimous,
)
from curate.labels.fields.text import checked_text
from curate.labels.layout import Layout
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import ItemContext

_BETWEEN = re.compile(r"[,;\n\r，；、]")


class OpenSet(Field):
    """A value is a list of 1 to ``max_words`` words or short phrases in the order given, each once (letter case aside).

    A word has no comma, semicolon or line break, and single spaces. With ``taxonomy``, words that are names or synonyms
    of its labels count as the same when raters are compared; ``to_labels`` gives those labels.
    """

    type: Literal["open_set"]
    max_words: int = Setting(default=8, ge=1, le=100)
    max_chars: int = Setting(default=40, ge=1, le=200)
    taxonomy: Taxonomy | None = None

    level: ClassVar[str] = "set"

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.list_(pa.string())

    @property
    def feature(self) -> dict[str, Any]:
        return list_of(scalar("string"))

    def json_schema(self) -> dict[str, Any]:
        word = {"type": "string", "minLength": 1, "maxLength": self.max_chars}
        return {"type": "array", "items": word, "minItems": 1, "maxItems": self.max_words}

    def check(self, value: Any, item: ItemContext | None = None) -> list[str]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("no word is given")
        words: dict[str, str] = {}
        for each in value:
            text = checked_text(each, self.max_chars)
            if found := _BETWEEN.search(text):
                raise ValueError(f"{text[:60]!r} holds {found[0]!r}; give each word on its own")
            word = " ".join(text.split())
            words.setdefault(word.casefold(), word)
        if len(words) > self.max_words:
            raise ValueError(f"{len(words)} words are more than {self.max_words}")
        return list(words.values())

    def to_labels(self, value: Sequence[str]) -> list[str]:
        """The labels of the taxonomy that the words mean, in its order; words that mean none are left out."""
        if self.taxonomy is None:
            return []
        meant = {self._key(word) for word in value}
        return [name for name in self.taxonomy.names if name in meant]

    def _key(self, word: str) -> str:
        """What makes two words the same."""
        folded = word.casefold()
        if self.taxonomy is not None:
            for label in self.taxonomy.labels:
                if folded in (label.name.casefold(), *(synonym.casefold() for synonym in label.synonyms)):
                    return label.name
        return folded

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        how = {"rows": "1", "maxSubmissions": str(self.max_words), "editable": "true", "skipDuplicates": "true"}
        named = {"name": self.name, "toName": layout.default, "required": str(self.required).lower()}
        return [ET.Element("TextArea", {**named, **how})]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        return [self.result("textarea", {"text": self.check(value)}, layout.default)]

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> list[str] | None:
        written = [part for text in member(results, "text") for part in _BETWEEN.split(str(text))]
        words = [word for word in written if word.strip()]
        return self.check(words) if words else None

    def distance(self, one: Any, other: Any) -> float | None:
        """One minus the Jaccard index of the words, by their label where they have one."""
        first, second = {self._key(word) for word in one}, {self._key(word) for word in other}
        return 1 - len(first & second) / len(first | second)

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        most = f"1 to {self.max_words} words" if self.max_words > 1 else "One word"
        return [f"{most} or short phrases of your own, each of at most {self.max_chars} characters, without commas."]

    def aggregate(self, values: Sequence[Any], how: How = "majority") -> Aggregate:
        """The words that more than half of the raters (or any, or all) give, each in the form most of them chose.

        Of too many, those that most raters give.
        """
        if unanimous(values):
            return Aggregate(list(values[0]), {})
        votes = Counter(key for value in values for key in {self._key(word) for word in value})
        forms = Counter((self._key(word), word) for value in values for word in value)
        settled = [
            min((-n, word) for (k, word), n in forms.items() if k == key)[1]
            for key in dict.fromkeys(self._key(word) for value in values for word in value)
            if is_enough(votes[key], len(values), how)
        ]
        if len(settled) > self.max_words:
            likeliest = sorted(settled, key=lambda word: -votes[self._key(word)])[: self.max_words]
            settled = [word for word in settled if word in likeliest]
        return Aggregate(settled or None, {})

    def describe(self) -> str:
        mapped = f", compared by the labels of {self.taxonomy.title}" if self.taxonomy is not None else ""
        return f"**{self.name}**: up to {self.max_words} free words{mapped}"
