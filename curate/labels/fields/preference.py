"""Which of two things, and by how much."""

import statistics
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
    choice,
    control_suffix,
    member,
    members,
    nullable,
    scalar,
    strict_object,
)
from curate.labels.fields.text import checked_text, text_area, text_of
from curate.labels.layout import Layout, element
from curate.labels.units import ItemContext, Unit

SIDES = ("A", "B")
"""The names of the two objects in a layout."""

_DEGREES = {1: ("",), 2: ("", "much "), 3: ("slightly ", "", "much "), 4: ("slightly ", "", "much ", "very much ")}


class Preference(Field):
    """A value is ``{grade, reason}``: the grade a whole number from ``-grades`` (A is best) to ``grades`` (B is best).

    0 is a tie, where ``tie`` allows one. ``reason`` is text or null, and always null unless the field asks for it.
    """

    type: Literal["preference"]
    grades: int = Setting(default=2, ge=1, le=4)
    tie: bool = True
    reason: bool = False
    max_chars: int = Setting(default=600, ge=1, le=20_000)

    level: ClassVar[str] = "ordinal"

    @property
    def units(self) -> frozenset[Unit]:
        return frozenset({"pair"})

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.struct({"grade": pa.int32(), "reason": pa.string()})

    @property
    def feature(self) -> dict[str, Any]:
        return {"grade": scalar("int32"), "reason": scalar("string")}

    @property
    def _allowed(self) -> list[int]:
        return [grade for grade in range(-self.grades, self.grades + 1) if grade or self.tie]

    def json_schema(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"grade": {"type": "integer", "enum": self._allowed}}
        if self.reason:
            parts["reason"] = nullable({"type": "string", "minLength": 1, "maxLength": self.max_chars})
        return strict_object(parts)

    def to_answer(self, value: Any, item: ItemContext) -> Any:
        return value if self.reason else {"grade": value["grade"]}

    def check(self, value: Any, item: ItemContext | None = None) -> dict[str, Any]:
        grade, reason = members(value, "grade", optional=("reason",))
        if isinstance(grade, bool) or not isinstance(grade, int) or grade not in self._allowed:
            raise ValueError(f"{repr(grade)[:40]} is not one of {', '.join(map(str, self._allowed))}")
        if reason is not None and not self.reason:
            raise ValueError("a reason is given and not asked for")
        return {"grade": grade, "reason": None if reason is None else checked_text(reason, self.max_chars)}

    @property
    def _is_pairwise(self) -> bool:
        """Which of two and nothing more: one clicks the better one."""
        return self.grades == 1 and not self.tie

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        left, right = layout.named(self.name, *SIDES)
        required = str(self.required).lower()
        if self._is_pairwise:
            asked = ET.Element("Pairwise", {"name": self.name, "toName": f"{left},{right}"})
        else:
            how = {"choice": "single-radio", "layout": "inline", "required": required}
            grades = [choice("Choice", str(grade), self._words(grade)) for grade in self._allowed]
            asked = element("Choices", {"name": self.name, "toName": left, **how}, grades)
        reason = [
            ET.Element("Header", {"value": "Why? (optional)", "size": "6"}),
            text_area(f"{self.name}-reason", left, required=False),
        ]
        return [asked, *(reason if self.reason else [])]

    def _words(self, grade: int) -> str:
        if grade == 0:
            return "No difference"
        return f"{SIDES[grade > 0]} {_DEGREES[self.grades][abs(grade) - 1]}better"

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        checked = self.check(value)
        # Label Studio submits a Pairwise as about itself, and fills it in only from one about the first object.
        left, _ = layout.named(self.name, *SIDES)
        if self._is_pairwise:
            side = "left" if checked["grade"] < 0 else "right"
            results = [self.result("pairwise", {"selected": side}, left)]
        else:
            results = [self.result("choices", {"choices": [str(checked["grade"])]}, left)]
        if checked["reason"] is not None:
            results.append(self.result("textarea", {"text": [checked["reason"]]}, left, control="reason"))
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        main = [result for result in results if not control_suffix(result)]
        given = member(main, "selected" if self._is_pairwise else "choices")
        if not given:
            return None
        names = {"left": -1, "right": 1} if self._is_pairwise else {str(grade): grade for grade in self._allowed}
        if len(given) != 1 or given[0] not in names:
            raise ValueError(f"{repr(given)[:60]} is not one of {', '.join(names)}")
        reason = text_of([result for result in results if control_suffix(result)])
        return self.check({"grade": names[given[0]], "reason": reason or None})

    def distance(self, one: Any, other: Any) -> float | None:
        """The absolute difference of the grades as a share of the way from one end to the other."""
        return float(abs(one["grade"] - other["grade"]) / (2 * self.grades))

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        grades = "; ".join(f"{grade} = {self._words(grade)}" for grade in self._allowed)
        return [f"`grade` is one of: {grades}."]

    def aggregate(self, values: Sequence[Any], how: How = "majority") -> Aggregate:
        """The median grade, between two the one nearer to a tie, with its longest reason.

        None where that is a tie and none is allowed, and by intersection where grades differ.
        """
        if how == "intersection" and len({value["grade"] for value in values}) > 1:
            return Aggregate(None, {})
        grade = int(statistics.median(value["grade"] for value in values))
        if grade not in self._allowed:
            return Aggregate(None, {})
        told = [value["reason"] for value in values if value["grade"] == grade and value["reason"] is not None]
        reason = min(told, key=lambda text: (-len(text), text)) if told else None
        return Aggregate({"grade": grade, "reason": reason}, {})

    def describe(self) -> str:
        ends = f"{-self.grades} ({self._words(-self.grades)}) to {self.grades} ({self._words(self.grades)})"
        return f"**{self.name}**: preference from {ends}{'' if self.tie else ', without ties'}"
