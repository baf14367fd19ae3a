"""Free text."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting

from curate.labels.fields.base import DEFAULT_LANGUAGE, Aggregate, Field, How, Result, member
from curate.labels.layout import Layout
from curate.labels.units import ItemContext


class Text(Field):
    """A value is a string of 1 to ``max_chars`` characters without blank ends."""

    type: Literal["text"]
    max_chars: int = Setting(default=600, ge=1, le=20_000)

    level: ClassVar[str] = "text"

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.string()

    @property
    def feature(self) -> dict[str, Any]:
        return {"dtype": "string", "_type": "Value"}

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": self.max_chars}

    def check(self, value: Any, item: ItemContext | None = None) -> str:
        return checked_text(value, self.max_chars)

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        return [text_area(self.name, layout.default, required=self.required)]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        return [self.result("textarea", {"text": [self.check(value)]}, layout.default)]

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> str | None:
        written = text_of(results)
        return self.check(written) if written else None

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        return [f"At most {self.max_chars} characters."]

    def aggregate(self, values: Sequence[Any], how: How = "majority") -> Aggregate:
        """The longest text, the first in alphabetical order among equals."""
        return Aggregate(min(values, key=lambda text: (-len(text), text)), {})

    def describe(self) -> str:
        return f"**{self.name}**: free text of at most {self.max_chars} characters"


def checked_text(value: Any, max_chars: int) -> str:
    """A text without blank ends. Raises ``ValueError`` for none, too long a one, or half of a surrogate pair."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the text is empty")
    text = value.strip()
    if len(text) > max_chars:
        raise ValueError(f"{len(text)} characters are more than {max_chars}")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("the text holds half a character (a lone surrogate)")
    return text


def text_area(name: str, to_name: str, *, required: bool) -> ET.Element:
    """A control for one text."""
    return ET.Element(
        "TextArea",
        {
            "name": name,
            "toName": to_name,
            "rows": "2",
            "maxSubmissions": "1",
            "editable": "true",
            "required": str(required).lower(),
        },
    )


def text_of(results: Sequence[Mapping[str, Any]]) -> str:
    """What was written in a text area, several entries as lines."""
    parts = [part.strip() for part in member(results, "text") if isinstance(part, str)]
    return "\n".join(part for part in parts if part)
