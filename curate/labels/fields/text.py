"""Free text."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting

from curate.labels.features import Feature, scalar
from curate.labels.fields.base import Aggregate, AggregationRule, Field
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.fields.results import Result, collect
from curate.labels.layout import Layout
from curate.labels.units import ItemContext

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""All but line breaks and tabs; also the word joiner, which only the fence of prompts adds, and byte order marks."""


class Text(Field):
    """A value is a string of 1 to ``max_chars`` characters without surrounding white space."""

    type: Literal["text"]
    max_chars: int = Setting(default=600, ge=1, le=20_000)
    """The longest text."""

    def check(self, value: Any, item: ItemContext | None = None) -> str:
        return checked_text(value, self.max_chars)

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.string()

    @property
    def feature(self) -> Feature:
        return scalar("string")

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": self.max_chars}

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        return [f"At most {self.max_chars} characters."]

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        return [text_area(self.name, layout.default, required=self.required)]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        return [self.result("textarea", {"text": [self.check(value)]}, layout.default)]

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> str | None:
        text = text_of(results)
        return self.check(text) if text else None

    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Return the longest text; of equally long ones, the first in alphabetical order."""
        return Aggregate(longest(values), {})

    def describe(self) -> str:
        return f"**{self.name}**: free text of at most {self.max_chars} characters"


def checked_text(value: Any, max_chars: int) -> str:
    """Return a text without surrounding white space and control characters.

    Raises ``ValueError`` for anything empty, too long, or with half of a surrogate pair.
    """
    text = without_controls(value).strip() if isinstance(value, str) else ""
    if not text:
        raise ValueError("the text is empty")
    if len(text) > max_chars:
        raise ValueError(f"{len(text)} characters are more than {max_chars}")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("the text contains half a character (a lone surrogate)")
    return text


def without_controls(text: str) -> str:
    """Return a text without characters that control a terminal, a file or the direction of other text."""
    return _CONTROLS.sub("", text)


def longest(texts: Sequence[str]) -> str:
    """Return the longest text; of equally long ones, the first in alphabetical order."""
    return min(texts, key=lambda text: (-len(text), text))


def text_area(name: str, to_name: str, *, required: bool) -> ET.Element:
    """Return a control for one text."""
    size = {"rows": "2", "maxSubmissions": "1", "editable": "true"}
    return ET.Element("TextArea", {"name": name, "toName": to_name, **size, "required": str(required).lower()})


def text_of(results: Sequence[Mapping[str, Any]]) -> str:
    """Return what was written in a text area, several entries as lines."""
    parts = [part.strip() for part in collect(results, "text") if isinstance(part, str)]
    return "\n".join(part for part in parts if part)
