"""A number on a bounded scale."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import model_validator

from curate.labels.features import Feature, scalar
from curate.labels.fields.base import (
    DEFAULT_LANGUAGE,
    Aggregate,
    AggregationRule,
    Comparison,
    Field,
    Words,
    in_language,
)
from curate.labels.fields.numbers import check_range, checked_number, grid_step, mean, on_grid
from curate.labels.fields.results import Result, collect
from curate.labels.layout import Layout
from curate.labels.markup import literal
from curate.labels.units import ItemContext

_MAX_STARS = 10
_MAX_CATEGORIES = 200


class Scale(Field):
    """A value is a float from ``minimum`` to ``maximum``; on an ordinal scale it is a whole number.

    On an interval scale it lies on a grid of ``step`` (by default 1/200 of the range) that starts at ``minimum``; other
    values move to the nearest grid point.
    """

    type: Literal["scale"]
    level: Literal["ordinal", "interval"] = "interval"
    minimum: float
    maximum: float
    step: float | None = None
    low: Words | None = None
    """What the lower end means, such as calm."""
    high: Words | None = None

    @model_validator(mode="after")
    def _check_range(self) -> "Scale":
        check_range(self.minimum, self.maximum, self.step)
        if self.level == "ordinal" and not (self.minimum.is_integer() and self.maximum.is_integer()):
            raise ValueError("an ordinal scale runs from a whole number to a whole number")
        if self.level == "ordinal" and self.step is not None:
            raise ValueError("step is for interval scales; an ordinal one has whole numbers")
        return self

    def check(self, value: Any, item: ItemContext | None = None) -> float:
        number = checked_number(value, self.minimum, self.maximum)
        if self.level == "interval":
            return on_grid(number, self.minimum, self.maximum, self.step)
        if not number.is_integer():
            raise ValueError(f"{number:g} is not a whole number")
        return number

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.float64()

    @property
    def feature(self) -> Feature:
        return scalar("float64")

    def number_of(self, value: Any) -> float:
        return float(value)

    def json_schema(self) -> dict[str, Any]:
        if self.level == "ordinal":
            return {"type": "integer", "minimum": int(self.minimum), "maximum": int(self.maximum)}
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}

    def to_answer(self, value: Any, item: ItemContext) -> Any:
        return int(value) if self.level == "ordinal" else value

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        kind = "A whole number" if self.level == "ordinal" else "A number"
        return [f"{kind}: {self._ends(language)}."]

    @property
    def interval(self) -> tuple[float, float] | None:
        return (self.minimum, self.maximum) if self.level == "interval" else None

    @property
    def _is_rating(self) -> bool:
        return self.level == "ordinal" and self.minimum == 1 and self.maximum <= _MAX_STARS

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        # A slider has no default on purpose: it would be submitted untouched. It looks answered before it is, so only
        # required fields have one; an empty box shows that an optional field has no answer.
        common = {"name": self.name, "toName": layout.default, "required": str(self.required).lower()}
        if self._is_rating:
            return [ET.Element("Rating", {**common, "maxRating": f"{self.maximum:.0f}"})]
        bounds = {"min": f"{self.minimum!r}", "max": f"{self.maximum!r}"}
        if self.level == "ordinal":
            return [ET.Element("Number", {**common, **bounds, "step": "1"})]
        step = grid_step(self.minimum, self.maximum, self.step)
        slider = {"slider": "true"} if self.required else {}
        return [ET.Element("Number", {**common, **bounds, "step": f"{step!r}", **slider})]

    def controls(self, layout: Layout, language: str = DEFAULT_LANGUAGE) -> list[ET.Element]:
        header, *rest = super().controls(layout, language)
        header.set("value", f"{header.get('value')} · {literal(self._ends(language))}")
        return [header, *rest]

    def _ends(self, language: str) -> str:
        lowest, highest = in_language(self.low, language), in_language(self.high, language)
        return " to ".join(
            f"{end:g} = {words}" if words else f"{end:g}"
            for end, words in ((self.minimum, lowest), (self.maximum, highest))
        )

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        number = self.check(value)
        if self._is_rating:
            return [self.result("rating", {"rating": int(number)}, layout.default)]
        return [self.result("number", {"number": number}, layout.default)]

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> float | None:
        numbers = collect(results, "rating" if self._is_rating else "number")
        if len(numbers) > 1:
            raise ValueError(f"{len(numbers)} numbers are given where one is allowed")
        return self.check(numbers[0]) if numbers and numbers[0] is not None else None

    @property
    def comparison(self) -> Comparison:
        return self.level

    @property
    def categories(self) -> tuple[Any, ...]:
        if self.level == "interval" or self.maximum - self.minimum >= _MAX_CATEGORIES:
            return ()
        return tuple(self.minimum + step for step in range(int(self.maximum - self.minimum) + 1))

    def distance(self, a: Any, b: Any) -> float | None:
        """Return the absolute difference as a share of the scale's length."""
        return float(abs(a - b) / (self.maximum - self.minimum))

    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Return the mean on an interval scale, the lower median on an ordinal one; for ``mean`` its rounded mean."""
        if self.level == "interval":
            return Aggregate(mean(values), {})
        if rule == "mean":
            return Aggregate(float(math.floor(mean(values) + 0.5)), {})
        return Aggregate(float(statistics.median_low(values)), {})

    def describe(self) -> str:
        return f"**{self.name}**: {self.level} scale from {self._ends(DEFAULT_LANGUAGE)}"

    def show(self, value: Any) -> list[str]:
        return [f"{value:g}"]
