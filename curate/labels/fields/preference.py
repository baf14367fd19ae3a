"""Which of two things is better, and by how much."""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting

from curate.labels.features import Feature, scalar
from curate.labels.fields.base import Aggregate, AggregationRule, Comparison, Field
from curate.labels.fields.checks import members
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.fields.results import Result, collect, control_suffix
from curate.labels.fields.text import checked_text, longest, text_area, text_of
from curate.labels.layout import Layout
from curate.labels.markup import choice, element
from curate.labels.strict import nullable, strict_object
from curate.labels.units import ItemContext, Unit

SIDES = ("A", "B")
"""The names of the two objects in a layout."""

_NUMBER = re.compile(r"[+-]?\d{1,3}")
_WORDS = {"left": -1, "right": 1, "a": -1, "b": 1, "tie": 0}
"""What other tools call the better one; each is the mildest grade."""
_DEGREES = {1: ("",), 2: ("", "much "), 3: ("slightly ", "", "much "), 4: ("slightly ", "", "much ", "very much ")}


class Preference(Field):
    """A value is ``{grade, reason}``: the grade is a whole number from ``-grades`` (A is best) to ``grades`` (B).

    0 is a tie, allowed if ``tie`` is set. ``reason`` is text or null, and always null unless the field asks for it.
    """

    type: Literal["preference"]
    grades: int = Setting(default=2, ge=1, le=4)
    """How many degrees of preference there are for each side."""
    tie: bool = True
    """Whether both sides may be equally good."""
    reason: bool = False
    """Whether a reason is asked for."""
    max_chars: int = Setting(default=600, ge=1, le=20_000)
    """The longest reason."""

    @property
    def units(self) -> frozenset[Unit]:
        return frozenset({"pair"})

    def check(self, value: Any, item: ItemContext | None = None) -> dict[str, Any]:
        grade, reason = members(value, "grade", optional=("reason",))
        if isinstance(grade, bool) or not isinstance(grade, int) or grade not in self._allowed:
            raise ValueError(f"{repr(grade)[:40]} is not one of {', '.join(map(str, self._allowed))}")
        if reason is not None and not self.reason:
            raise ValueError("a reason is given, but the field does not ask for one")
        return {"grade": grade, "reason": None if reason is None else checked_text(reason, self.max_chars)}

    @property
    def _allowed(self) -> list[int]:
        return [grade for grade in range(-self.grades, self.grades + 1) if grade or self.tie]

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.struct({"grade": pa.int32(), "reason": pa.string()})

    @property
    def feature(self) -> Feature:
        return {"grade": scalar("int32"), "reason": scalar("string")}

    def json_schema(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"grade": {"type": "integer", "enum": self._allowed}}
        if self.reason:
            parts["reason"] = nullable({"type": "string", "minLength": 1, "maxLength": self.max_chars})
        return strict_object(parts)

    def to_answer(self, value: Any, item: ItemContext) -> Any:
        return value if self.reason else {"grade": value["grade"]}

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        grades = "; ".join(f"{grade} = {self._in_words(grade)}" for grade in self._allowed)
        return [f"`grade` is one of: {grades}."]

    @property
    def _is_pairwise(self) -> bool:
        """Whether people simply click the better of the two."""
        return self.grades == 1 and not self.tie

    def from_text(self, text: str) -> Any:
        """See ``Field.from_text``: also a grade alone, or left, right, A, B or tie."""
        word = text.strip().casefold()
        if word in _WORDS:
            return self.check({"grade": _WORDS[word]})
        return self.check({"grade": int(word)}) if _NUMBER.fullmatch(word) else super().from_text(text)

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        left, right = layout.named(self.name, *SIDES)
        if self._is_pairwise:
            control = ET.Element("Pairwise", {"name": self.name, "toName": f"{left},{right}"})
        else:
            attributes = {"choice": "single-radio", "layout": "inline", "required": str(self.required).lower()}
            grades = [choice("Choice", str(grade), self._in_words(grade)) for grade in self._allowed]
            control = element("Choices", {"name": self.name, "toName": left, **attributes}, grades)
        reason = [
            ET.Element("Header", {"value": "Why? (optional)", "size": "6"}),
            text_area(f"{self.name}-reason", left, required=False),
        ]
        return [control, *(reason if self.reason else [])]

    def _in_words(self, grade: int) -> str:
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
        answers = collect(main, "selected" if self._is_pairwise else "choices")
        if not answers:
            return None
        grades = {"left": -1, "right": 1} if self._is_pairwise else {str(grade): grade for grade in self._allowed}
        if len(answers) != 1 or answers[0] not in grades:
            raise ValueError(f"{repr(answers)[:60]} is not one of {', '.join(grades)}")
        reason = text_of([result for result in results if control_suffix(result)])
        return self.check({"grade": grades[answers[0]], "reason": reason or None})

    @property
    def comparison(self) -> Comparison:
        return "preference"

    def comparable(self, value: Any) -> float:
        return float(value["grade"])

    @property
    def categories(self) -> tuple[Any, ...]:
        return tuple(map(float, self._allowed))

    def distance(self, a: Any, b: Any) -> float | None:
        """Return the absolute difference of the grades as a share of the largest possible one."""
        return float(abs(a["grade"] - b["grade"]) / (2 * self.grades))

    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Return the median grade (between two, the one nearer to a tie) with the longest reason given for it.

        None if that is a tie and none is allowed, and by intersection if grades differ.
        """
        if rule == "intersection" and len({value["grade"] for value in values}) > 1:
            return Aggregate(None, {})
        grade = int(statistics.median(value["grade"] for value in values))
        if grade not in self._allowed:
            return Aggregate(None, {})
        reasons = [value["reason"] for value in values if value["grade"] == grade and value["reason"] is not None]
        return Aggregate({"grade": grade, "reason": longest(reasons) if reasons else None}, {})

    def describe(self) -> str:
        ends = f"{-self.grades} ({self._in_words(-self.grades)}) to {self.grades} ({self._in_words(self.grades)})"
        return f"**{self.name}**: preference from {ends}{'' if self.tie else ', without ties'}"

    def show(self, value: Any) -> list[str]:
        return [f"{self._in_words(value['grade'])}{': ' + value['reason'] if value['reason'] else ''}"]
