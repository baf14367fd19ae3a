"""A value over time."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting
from pydantic import model_validator

from curate.labels.fields.base import (
    DEFAULT_LANGUAGE,
    Aggregate,
    Field,
    How,
    Result,
    choice,
    control_suffix,
    is_enough,
    list_of,
    members,
    scalar,
    strict_object,
    unanimous,
    value_of,
)
from curate.labels.fields.clock import LONGEST_S, in_item
from curate.labels.fields.numbers import check_range, checked_number, grid_step, mean, on_grid
from curate.labels.layout import Layout, element
from curate.labels.units import WITH_TIME, ItemContext, Unit


class Trace(Field):
    """A value is ``{step_s, values}``: sample ``k`` holds from ``k * step_s`` to the next, from the item's start.

    Samples lie within ``minimum`` and ``maximum`` on a grid of ``step``, null where nothing was judged; there are no
    nulls at the end. ``step_s`` is the field's. People judge it in a form as stretches of constant value drawn over
    the waveform, each with a number; models answer so too. Stretches move to the nearest sample; where they overlap
    the one that begins later counts.
    """

    type: Literal["trace"]
    minimum: float
    maximum: float
    step: float | None = None
    step_s: float = Setting(default=0.04, ge=0.001, le=60)
    max_s: float = Setting(default=600, gt=0, le=LONGEST_S)
    max_changes: int = Setting(default=2_000, ge=1, le=20_000)
    """The most stretches that a model may answer with."""

    level: ClassVar[str] = "trace"

    @model_validator(mode="after")
    def _check_range(self) -> "Trace":
        check_range(self.minimum, self.maximum, self.step)
        return self

    @property
    def units(self) -> frozenset[Unit]:
        return WITH_TIME

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.struct({"step_s": pa.float64(), "values": pa.list_(pa.float64())})

    @property
    def feature(self) -> dict[str, Any]:
        return {"step_s": scalar("float64"), "values": list_of(scalar("float64"))}

    @property
    def _most(self) -> int:
        return math.ceil(self.max_s / self.step_s)

    def json_schema(self) -> dict[str, Any]:
        time = {"type": "number", "minimum": 0, "maximum": self._most * self.step_s}
        number = {"type": "number", "minimum": self.minimum, "maximum": self.maximum}
        stretch = strict_object({"start_s": time, "end_s": time, "value": number})
        return {"type": "array", "items": stretch, "maxItems": min(self.max_changes, self._most)}

    def to_answer(self, value: Any, item: ItemContext) -> Any:
        return [
            {"start_s": begin * self.step_s, "end_s": end * self.step_s, "value": number}
            for begin, end, number in _runs(self.check(value)["values"])
        ]

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        if not answer:
            return None
        stretches = [(each["start_s"], each["end_s"], each["value"]) for each in answer]
        return self.check(self._sampled(stretches), item)

    def check(self, value: Any, item: ItemContext | None = None) -> dict[str, Any]:
        step_s, given = members(value, "step_s", "values")
        if not isinstance(step_s, int | float) or abs(step_s - self.step_s) > 1e-9:
            raise ValueError(f"samples every {repr(step_s)[:40]} s where the field has one every {self.step_s:g} s")
        samples = [
            None if each is None else on_grid(checked_number(each, *self._bounds), *self._bounds, self.step)
            for each in (given if isinstance(given, list | tuple) else [given])
        ]
        while samples and samples[-1] is None:
            samples.pop()
        if not samples:
            raise ValueError("no sample is given")
        if len(samples) > self._most:
            raise ValueError(f"{len(samples)} samples are more than {self._most} ({self.max_s:g} s)")
        runs = len(_runs(samples))
        if runs > self.max_changes:
            raise ValueError(f"the value changes {runs} times, more than {self.max_changes}")
        if item is not None and item.duration_s is not None and len(samples) > self._count(item.duration_s):
            raise ValueError(f"{len(samples)} samples reach beyond the end of the item at {item.duration_s:g} s")
        return {"step_s": self.step_s, "values": samples}

    def _count(self, duration_s: float) -> int:
        """How many samples begin within so many seconds."""
        return math.ceil(duration_s / self.step_s - 1e-6)

    @property
    def _bounds(self) -> tuple[float, float]:
        return self.minimum, self.maximum

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        to_name = layout.find(self.name, "Audio")
        label = choice("Label", self.name, self.name.replace("_", " "))
        number = ET.Element(
            "Number",
            {
                "name": f"{self.name}-value",
                "toName": to_name,
                "perRegion": "true",
                "visibleWhen": "region-selected",
                "whenTagName": self.name,
                "min": f"{self.minimum!r}",
                "max": f"{self.maximum!r}",
                "step": f"{grid_step(self.minimum, self.maximum, self.step)!r}",
                "slider": "true",
                "required": "true",
            },
        )
        return [element("Labels", {"name": self.name, "toName": to_name, "choice": "single"}, [label]), number]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        to_name = layout.find(self.name, "Audio")
        length = {} if item.duration_s is None else {"original_length": item.duration_s}
        results = []
        for count, (begin, end, number) in enumerate(_runs(self.check(value, item)["values"]), start=1):
            where = {"start": round(begin * self.step_s, 6), "end": round(end * self.step_s, 6), "channel": 0}
            region = self.result("labels", {**where, "labels": [self.name]}, to_name, region=str(count)) | length
            answer = self.result("number", {**where, "number": number}, to_name, control="value")
            results += [region, {**answer, "id": region["id"], **length}]
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        regions = {str(result.get("id")): value_of(result) for result in results if not control_suffix(result)}
        numbers = {
            str(result.get("id")): value_of(result).get("number") for result in results if control_suffix(result)
        }
        known_s = item.duration_s
        whole = item._replace(duration_s=None if known_s is None else self._count(known_s) * self.step_s)
        stretches = []
        for name, region in regions.items():
            start_s, end_s = in_item(region, whole, digits=6)
            if numbers.get(name) is None:
                raise ValueError(f"the stretch from {start_s:g} s to {end_s:g} s has no value")
            stretches.append((start_s, end_s, numbers[name]))
        if not stretches:
            return None
        return self.check(self._sampled(stretches))

    def _sampled(self, stretches: Sequence[tuple[float, float, Any]]) -> dict[str, Any]:
        """Samples of constant stretches. Raises ``ValueError`` when one is not a stretch of time or not a number."""
        samples: list[float | None] = []
        for start, end, number in sorted(stretches, key=lambda each: each[:2]):
            begin, stop = (round(checked_number(time, 0, LONGEST_S) / self.step_s) for time in (start, end))
            if start > end:
                raise ValueError(f"a stretch ends at {end:g} s, before it starts at {start:g} s")
            if stop > self._most:
                raise ValueError(f"a stretch ends at {end:g} s, after {self.max_s:g} s")
            samples += [None] * (stop - len(samples))
            samples[begin:stop] = [checked_number(number, *self._bounds)] * (stop - begin)
        return {"step_s": self.step_s, "values": samples}

    def distance(self, one: Any, other: Any) -> float | None:
        """The mean absolute difference of the samples that both have, as a share of the range; None without any."""
        pairs = [
            (a, b) for a, b in zip(one["values"], other["values"], strict=False) if a is not None and b is not None
        ]
        gaps = [abs(a - b) for a, b in pairs]
        return mean(gaps) / (self.maximum - self.minimum) if gaps else None

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        return [
            "Stretches of time in seconds from the start of the item, each with the value that holds throughout it: a "
            f"number from {self.minimum:g} to {self.maximum:g}. Begin a new stretch wherever the value changes; leave "
            "out what cannot be told."
        ]

    def aggregate(self, values: Sequence[Any], how: How = "majority") -> Aggregate:
        """For each sample the mean of the raters who judged it, null where they are not more than half (any, all)."""
        if unanimous(values):
            return Aggregate(values[0], {})
        longest = max(len(value["values"]) for value in values)
        samples: list[float | None] = []
        for at in range(longest):
            column = [value["values"][at] if at < len(value["values"]) else None for value in values]
            given = [sample for sample in column if sample is not None]
            samples.append(mean(given) if is_enough(len(given), len(values), how) else None)
        while samples and samples[-1] is None:
            samples.pop()
        return Aggregate({"step_s": self.step_s, "values": samples} if samples else None, {})

    def describe(self) -> str:
        return f"**{self.name}**: trace from {self.minimum:g} to {self.maximum:g}, one sample every {self.step_s:g} s"


def _runs(samples: Sequence[float | None]) -> list[tuple[int, int, float]]:
    """Begin, end (excluded) and value of each stretch of equal samples, without those of nulls."""
    runs, at = [], 0
    for number, same in groupby(samples):
        length = len(list(same))
        if number is not None:
            runs.append((at, at + length, number))
        at += length
    return runs
