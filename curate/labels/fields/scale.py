"""A number on a bounded scale."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import model_validator

from curate.labels.fields.base import Aggregate, Field, member

_MOST_STARS = 10
_SLIDER_STEPS = 40


class Scale(Field):
    """A value is a float from ``minimum`` to ``maximum``; on an ordinal scale it is a whole number."""

    type: Literal["scale"]
    minimum: float
    maximum: float
    level: Literal["ordinal", "interval"] = "interval"

    @model_validator(mode="after")
    def _check_range(self) -> "Scale":
        if not (math.isfinite(self.minimum) and math.isfinite(self.maximum) and self.minimum < self.maximum):
            raise ValueError(f"minimum {self.minimum:g} must be below maximum {self.maximum:g}")
        if self.level == "ordinal" and not (self.minimum.is_integer() and self.maximum.is_integer()):
            raise ValueError("an ordinal scale runs from a whole number to a whole number")
        return self

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.float64()

    @property
    def feature(self) -> dict[str, Any]:
        return {"dtype": "float64", "_type": "Value"}

    def check(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{value!r} is not a number")
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value:g} is not within {self.minimum:g} to {self.maximum:g}")
        if self.level == "ordinal" and not float(value).is_integer():
            raise ValueError(f"{value:g} is not a whole number")
        return float(value)

    @property
    def _is_rating(self) -> bool:
        return self.level == "ordinal" and self.minimum == 1 and self.maximum <= _MOST_STARS

    def control(self, target: str) -> ET.Element:
        # A slider has no default on purpose: it would be submitted untouched.
        common = {"name": self.name, "toName": target, "required": str(self.required).lower()}
        if self._is_rating:
            return ET.Element("Rating", {**common, "maxRating": f"{self.maximum:.0f}"})
        bounds = {"min": f"{self.minimum:g}", "max": f"{self.maximum:g}"}
        if self.level == "ordinal":
            return ET.Element("Number", {**common, **bounds, "step": "1"})
        step = (self.maximum - self.minimum) / _SLIDER_STEPS
        return ET.Element("Number", {**common, **bounds, "step": f"{step:g}", "slider": "true"})

    def controls(self, target: str) -> list[ET.Element]:
        header, *rest = super().controls(target)
        header.set("value", f"{header.get('value')} · {self.minimum:g} to {self.maximum:g}")
        return [header, *rest]

    def to_prediction(self, value: Any, target: str) -> list[dict[str, Any]]:
        number = self.check(value)
        if self._is_rating:
            return [self._result("rating", {"rating": int(number)}, target)]
        return [self._result("number", {"number": number}, target)]

    def from_result(self, results: Sequence[Mapping[str, Any]]) -> float | None:
        numbers = member(results, "rating" if self._is_rating else "number")
        if len(numbers) > 1:
            raise ValueError(f"{len(numbers)} numbers are given where one is allowed")
        return self.check(numbers[0]) if numbers and numbers[0] is not None else None

    def distance(self, one: Any, other: Any) -> float | None:
        """The absolute difference as a share of the scale's length."""
        return float(abs(one - other) / (self.maximum - self.minimum))

    def aggregate(self, values: Sequence[Any]) -> Aggregate:
        """The mean on an interval scale, the lower median on an ordinal one."""
        if self.level == "ordinal":
            return Aggregate(float(statistics.median_low(values)), {})
        return Aggregate(statistics.fmean(values), {})

    def describe(self) -> str:
        return f"**{self.name}**: {self.level} scale from {self.minimum:g} to {self.maximum:g}"
