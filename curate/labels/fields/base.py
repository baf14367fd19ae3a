"""What a field type has to say about itself, so that every other part can work without knowing it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Setting


class Aggregate(NamedTuple):
    """Several judgements as one value (None where they do not settle it) and the share of raters behind each label."""

    value: Any
    soft: dict[str, float]


class Field(BaseModel, ABC):
    """One thing that is judged. A field type is a subclass in a module of its own under ``labels/fields``.

    A value is plain data: ``str``, ``float``, ``list[str]`` …; None means not answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str = Setting(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    type: str
    question: str | None = None
    help: str | None = None
    required: bool = False

    labels: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of a value in every table that carries labels."""

    @property
    def release_type(self) -> pa.DataType:
        """The Arrow type of a value in a released shard; ``feature`` derives exactly this type."""
        return self.arrow_type

    @property
    @abstractmethod
    def feature(self) -> dict[str, Any]:
        """The Hugging Face feature of a released value, as the JSON that Parquet metadata carries."""

    def to_release(self, value: Any) -> Any:
        """A value as it is stored in a released shard (labels become class ids)."""
        return value

    @abstractmethod
    def check(self, value: Any) -> Any:
        """The value in its canonical form. Raises ``ValueError`` saying what is wrong with it."""

    @abstractmethod
    def control(self, target: str) -> ET.Element:
        """The Label Studio control that asks for it, bound to the object tag ``target``."""

    def controls(self, target: str) -> list[ET.Element]:
        """The question as a header, and the control."""
        asked = self.question or self.name.replace("_", " ").capitalize()
        header = ET.Element("Header", {"value": asked if self.required else f"{asked} (optional)", "size": "5"})
        hint = [ET.Element("Header", {"value": self.help, "size": "6"})] if self.help else []
        return [header, *hint, self.control(target)]

    @abstractmethod
    def to_prediction(self, value: Any, target: str) -> list[dict[str, Any]]:
        """Label Studio results that fill the form with ``value``."""

    @abstractmethod
    def from_result(self, results: Sequence[Mapping[str, Any]]) -> Any:
        """The value that Label Studio results of this field hold. Raises ``ValueError`` on what the schema lacks."""

    def distance(self, one: Any, other: Any) -> float | None:
        """How far two values are apart (0 same … 1 opposite), or None where that has no meaning."""
        return None

    @abstractmethod
    def aggregate(self, values: Sequence[Any]) -> Aggregate:
        """Several raters' values as one; ``values`` is not empty and holds no None."""

    @abstractmethod
    def describe(self) -> str:
        """What is judged and on what scale, as one Markdown line for the data card."""

    def _result(self, kind: str, value: dict[str, Any], target: str) -> dict[str, Any]:
        return {"id": self.name, "type": kind, "from_name": self.name, "to_name": target, "value": value}


def member(results: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """``value[key]`` of every result, lists joined. Raises ``ValueError`` for a result of another shape."""
    found: list[Any] = []
    for result in results:
        value = result.get("value")
        if not isinstance(value, Mapping) or key not in value:
            raise ValueError(f"a result without {key!r}")
        found.extend(value[key] if isinstance(value[key], list) else [value[key]])
    return found
