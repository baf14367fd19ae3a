"""How strongly each label of a category is present: in words, or as a number."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Discriminator, RootModel, Tag, model_validator
from pydantic import Field as Setting

from curate.labels.features import Feature, class_label, scalar
from curate.labels.fields.numbers import check_range, checked_number, grid_step, mean, on_grid
from curate.labels.fields.results import Result, collect
from curate.labels.markup import choice, element


class Grades(RootModel[tuple[Annotated[str, Setting(min_length=1, max_length=40)], ...]]):
    """Words from weak to strong: ``[A, B, C, D, E]``."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _check_words(self) -> "Grades":
        if len(self.root) < 2 or len(set(self.root)) < len(self.root):
            raise ValueError("an intensity has at least two words, each of them once")
        return self

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.string()

    @property
    def feature(self) -> Feature:
        return class_label(self.root)

    def to_release(self, value: str) -> int:
        return self.root.index(value)

    def from_release(self, released: int) -> str:
        return self.root[released]

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.root)}

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.root:
            raise ValueError(f"{repr(value)[:60]} is not one of {', '.join(self.root)}")
        return value

    def control(self, name: str, to_name: str) -> ET.Element:
        common = {"name": name, "toName": to_name, "choice": "single-radio", "layout": "inline", "required": "true"}
        return element("Choices", common, [choice("Choice", word) for word in self.root])

    def to_result(self, value: str) -> tuple[str, Result]:
        return "choices", {"choices": [value]}

    def from_result(self, result: Mapping[str, Any]) -> Any:
        return _single(collect([result], "choices"))

    def weight(self, value: str) -> float:
        """Return the rank as a share of the strongest, above 0 and at most 1."""
        return (self.root.index(value) + 1) / len(self.root)

    def median(self, values: Sequence[str]) -> str:
        """Return the lower median."""
        return self.root[statistics.median_low([self.root.index(value) for value in values])]

    def describe(self) -> str:
        return f"an intensity from {self.root[0]} to {self.root[-1]}"


class Range(BaseModel):
    """A number from ``minimum`` to ``maximum``, in steps of ``step`` (by default 1/200 of the range)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum: float
    maximum: float
    step: float | None = None

    @model_validator(mode="after")
    def _check_range(self) -> "Range":
        check_range(self.minimum, self.maximum, self.step)
        return self

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.float64()

    @property
    def feature(self) -> Feature:
        return scalar("float64")

    def to_release(self, value: float) -> float:
        return value

    def from_release(self, released: float) -> float:
        return released

    def json_schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}

    def check(self, value: Any) -> float:
        number = checked_number(value, self.minimum, self.maximum)
        return on_grid(number, self.minimum, self.maximum, self.step)

    def control(self, name: str, to_name: str, **attributes: str) -> ET.Element:
        """Return a box without a default, which would be submitted untouched."""
        bounds = {"min": f"{self.minimum!r}", "max": f"{self.maximum!r}"}
        step = f"{grid_step(self.minimum, self.maximum, self.step)!r}"
        common = {"name": name, "toName": to_name, **bounds, "step": step, "required": "true"}
        return ET.Element("Number", common | attributes)

    def to_result(self, value: float) -> tuple[str, Result]:
        return "number", {"number": value}

    def from_result(self, result: Mapping[str, Any]) -> Any:
        return _single(collect([result], "number"))

    def weight(self, value: float) -> float:
        """Return the share of the range (0-1), never quite 0: even the weakest label was named."""
        return max((value - self.minimum) / (self.maximum - self.minimum), 0.01)

    def median(self, values: Sequence[float]) -> float:
        """Return the median on the grid."""
        middle = sorted(values)[(len(values) - 1) // 2 : len(values) // 2 + 1]
        return self.check(mean(middle))

    def describe(self) -> str:
        return f"an intensity from {self.minimum:g} to {self.maximum:g}"


def _kind(value: Any) -> str:
    return "words" if isinstance(value, list | tuple | Grades) else "range"


Intensity = Annotated[Annotated[Grades, Tag("words")] | Annotated[Range, Tag("range")], Discriminator(_kind)]


def _single(entries: Sequence[Any]) -> Any:
    if len(entries) != 1:
        raise ValueError(f"{len(entries)} intensities are given for one label")
    return entries[0]
