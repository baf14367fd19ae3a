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
    Aggregate,
    AggregationRule,
    Comparison,
    Field,
)
from curate.labels.fields.numbers import check_range, checked_number, grid_step, mean, on_grid, rescaled_number, spaced
from curate.labels.fields.phrases import DEFAULT_LANGUAGE, Words, in_language, phrase
from curate.labels.fields.results import Result, collect, value_of
from curate.labels.layout import Layout
from curate.labels.markup import choice, element, literal
from curate.labels.units import ItemContext

_MAX_CATEGORIES = 200
OTHER = "other"
"""The label of every value that has no button."""


class Scale(Field):
    """A value is a float from ``minimum`` to ``maximum``; on an ordinal scale it is a whole number.

    On an interval scale it lies on a grid of ``step`` (by default 1/200 of the range) that starts at ``minimum``; other
    values move to the nearest grid point.
    """

    type: Literal["scale"]
    level: Literal["ordinal", "interval"] = "interval"
    """``ordinal`` for whole numbers whose distances mean nothing, ``interval`` for others."""
    minimum: float
    """The lower end."""
    maximum: float
    """The upper end."""
    step: float | None = None
    """The distance of values on an interval scale; by default 1/200 of the range."""
    low: Words | None = None
    """What the lower end means, such as calm."""
    high: Words | None = None
    """What the upper end means, such as excited."""

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

    @property
    def ends(self) -> tuple[float, float]:
        return self.minimum, self.maximum

    def rescaled(self, value: Any, ends: tuple[float, float], *, rounded: bool) -> float:
        return rescaled_number(value, ends, self.ends, rounded=rounded)

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
    def buttons(self) -> list[float]:
        """The values that have a button in forms: all of a coarse scale, evenly spaced ones of a finer one."""
        step = 1.0 if self.level == "ordinal" else grid_step(self.minimum, self.maximum, self.step)
        return [self.check(value) for value in spaced(self.minimum, self.maximum, step)]

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        """Return a button for each value, and a box for other values where there are too many for buttons.

        A slider would show a value before one is given, and could not give the value on which it rests.
        """
        common = {"name": self.name, "toName": layout.default, "required": str(self.required).lower()}
        step = 1.0 if self.level == "ordinal" else grid_step(self.minimum, self.maximum, self.step)
        bounds = {"min": f"{self.minimum!r}", "max": f"{self.maximum!r}", "step": f"{step!r}"}
        buttons = self.buttons
        if not buttons:
            return [ET.Element("Number", {**common, **bounds})]
        choices = [choice("Choice", f"{value:g}") for value in buttons]
        if len(buttons) > round((self.maximum - self.minimum) / step):
            return [element("Choices", {**common, "choice": "single-radio", "layout": "inline"}, choices)]
        label = phrase("other", language)
        condition = {"visibleWhen": "choice-selected", "whenTagName": self.name, "whenChoiceValue": label}
        number = ET.Element("Number", {**common, **bounds, "name": f"{self.name}-other", "required": "true"})
        choices.append(choice("Choice", OTHER, label, other="true"))
        return [
            element("Choices", {**common, "choice": "single-radio", "layout": "inline"}, choices),
            element("View", condition, [number]),
        ]

    def controls(self, layout: Layout, language: str = DEFAULT_LANGUAGE) -> list[ET.Element]:
        header, *rest = super().controls(layout, language)
        header.set("value", f"{header.get('value')} · {literal(self._ends(language))}")
        return [header, *rest]

    def _ends(self, language: str) -> str:
        lowest, highest = in_language(self.low, language), in_language(self.high, language)
        return f" {phrase('to', language)} ".join(
            f"{end:g} = {words}" if words else f"{end:g}"
            for end, words in ((self.minimum, lowest), (self.maximum, highest))
        )

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        number, buttons = self.check(value), self.buttons
        if not buttons:
            return [self.result("number", {"number": number}, layout.default)]
        if number in buttons:
            return [self.result("choices", {"choices": [f"{number:g}"]}, layout.default)]
        return [
            self.result("choices", {"choices": [OTHER]}, layout.default),
            self.result("number", {"number": number}, layout.default, control="other"),
        ]

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> float | None:
        """See ``Field.from_result``; sliders and stars, which earlier forms had, are read too."""
        by_kind: dict[str, list[Any]] = {"choices": [], "number": [], "rating": []}
        for result in results:
            kind = next((kind for kind in by_kind if kind in value_of(result)), "choices")
            by_kind[kind] += collect([result], kind)
        chosen = by_kind["choices"]
        if len(chosen) > 1:
            raise ValueError(f"{len(chosen)} values are chosen where one is allowed")
        if chosen and chosen[0] != OTHER:
            values = {f"{value:g}": value for value in self.buttons}
            if chosen[0] not in values:
                raise ValueError(f"{repr(chosen[0])[:40]} is not one of {', '.join(values)}")
            return values[chosen[0]]
        numbers = [number for number in (*by_kind["number"], *by_kind["rating"]) if number is not None]
        if len(numbers) > 1:
            raise ValueError(f"{len(numbers)} numbers are given where one is allowed")
        if chosen and not numbers:
            raise ValueError("another value is chosen, but none is given")
        return self.check(numbers[0]) if numbers else None

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
