"""Free text."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting

from curate.labels.fields.base import Aggregate, Field, member


class Text(Field):
    """A value is a string of 1 to ``max_chars`` characters without blank ends."""

    type: Literal["text"]
    max_chars: int = Setting(default=600, ge=1, le=20_000)

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.string()

    @property
    def feature(self) -> dict[str, Any]:
        return {"dtype": "string", "_type": "Value"}

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError("the text is empty")
        if len(value.strip()) > self.max_chars:
            raise ValueError(f"{len(value.strip())} characters are more than {self.max_chars}")
        return value.strip()

    def control(self, target: str) -> ET.Element:
        return ET.Element(
            "TextArea",
            {
                "name": self.name,
                "toName": target,
                "rows": "2",
                "maxSubmissions": "1",
                "editable": "true",
                "required": str(self.required).lower(),
            },
        )

    def to_prediction(self, value: Any, target: str) -> list[dict[str, Any]]:
        return [self._result("textarea", {"text": [self.check(value)]}, target)]

    def from_result(self, results: Sequence[Mapping[str, Any]]) -> str | None:
        parts = [part for part in member(results, "text") if isinstance(part, str) and part.strip()]
        return self.check("\n".join(part.strip() for part in parts)) if parts else None

    def aggregate(self, values: Sequence[Any]) -> Aggregate:
        """The longest text, the first in alphabetical order among equals."""
        return Aggregate(min(values, key=lambda text: (-len(text), text)), {})

    def describe(self) -> str:
        return f"**{self.name}**: free text of at most {self.max_chars} characters"
