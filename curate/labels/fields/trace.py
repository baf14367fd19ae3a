"""A value over time."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting
from pydantic import model_validator

from curate.labels.features import Feature, list_of, scalar
from curate.labels.fields.base import Aggregate, AggregationRule, Comparison, Field
from curate.labels.fields.checks import is_settled, members, unanimous
from curate.labels.fields.clock import MAX_S, is_cut, region_times
from curate.labels.fields.numbers import check_range, checked_number, grid_step, mean, on_grid, rescaled_number
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.fields.results import Result, control_suffix, value_of
from curate.labels.layout import Layout
from curate.labels.markup import choice, element
from curate.labels.strict import strict_object
from curate.labels.units import WITH_TIME, ItemContext, Unit

Samples = list[float | None]


class Trace(Field):
    """A value is ``{step_s, values}``: sample ``k`` holds from ``k * step_s`` to the next, from the start of the item.

    Samples lie within ``minimum`` and ``maximum`` on a grid of ``step``, null where nothing was judged, with no nulls
    at the end. ``step_s`` is the field's. In a form, people draw stretches of constant value over the waveform, each
    with a number; models answer in the same way. Stretches move to the nearest sample; where they overlap, the one that
    starts later counts.
    """

    type: Literal["trace"]
    minimum: float
    """The lower end."""
    maximum: float
    """The upper end."""
    step: float | None = None
    """The distance of values."""
    step_s: float = Setting(default=0.04, ge=0.001, le=60)
    """Seconds between samples."""
    max_s: float = Setting(default=600, gt=0, le=MAX_S)
    """The longest trace."""
    max_changes: int = Setting(default=2_000, ge=1, le=20_000)
    """The most stretches of constant value that a value may have."""

    @model_validator(mode="after")
    def _check_range(self) -> "Trace":
        check_range(self.minimum, self.maximum, self.step)
        return self

    @property
    def units(self) -> frozenset[Unit]:
        return WITH_TIME

    def check(self, value: Any, item: ItemContext | None = None) -> dict[str, Any]:
        step_s, values = members(value, "step_s", "values")
        if not isinstance(step_s, int | float) or abs(step_s - self.step_s) > 1e-9:
            raise ValueError(f"samples every {repr(step_s)[:40]} s where the field has one every {self.step_s:g} s")
        samples: Samples = [
            None if sample is None else self._on_grid(checked_number(sample, *self._bounds))
            for sample in (values if isinstance(values, list | tuple) else [values])
        ]
        _strip(samples)
        if not samples:
            raise ValueError("no sample is given")
        if len(samples) > self._max_samples:
            raise ValueError(f"{len(samples)} samples are more than {self._max_samples} ({self.max_s:g} s)")
        runs = len(_runs(samples))
        if runs > self.max_changes:
            raise ValueError(f"the value changes {runs} times, more than {self.max_changes}")
        if item is not None and item.duration_s is not None and len(samples) > self._count(item.duration_s):
            raise ValueError(f"{len(samples)} samples reach beyond the end of the item at {item.duration_s:g} s")
        return {"step_s": self.step_s, "values": samples}

    def within(self, value: Any, item: ItemContext, *, start_s: float = 0.0) -> Any:
        samples = list(value["values"][round(start_s / self.step_s) :])
        samples = samples if item.duration_s is None else samples[: self._count(item.duration_s)]
        _strip(samples)
        return self.check({"step_s": self.step_s, "values": samples}) if samples else None

    @property
    def _max_samples(self) -> int:
        return math.ceil(self.max_s / self.step_s)

    def _count(self, duration_s: float) -> int:
        """Return the number of samples that start within a duration."""
        return math.ceil(duration_s / self.step_s - 1e-6)

    @property
    def _bounds(self) -> tuple[float, float]:
        return self.minimum, self.maximum

    def _on_grid(self, sample: float) -> float:
        return on_grid(sample, *self._bounds, self.step)

    @property
    def arrow_type(self) -> pa.DataType:
        return pa.struct({"step_s": pa.float64(), "values": pa.list_(pa.float64())})

    @property
    def ends(self) -> tuple[float, float]:
        return self._bounds

    def rescaled(self, value: Any, ends: tuple[float, float], *, rounded: bool) -> dict[str, Any]:
        samples = [
            None if sample is None else rescaled_number(sample, ends, self._bounds, rounded=rounded)
            for sample in value["values"]
        ]
        return {**value, "values": samples}

    @property
    def feature(self) -> Feature:
        return {"step_s": scalar("float64"), "values": list_of(scalar("float64"))}

    def json_schema(self) -> dict[str, Any]:
        time = {"type": "number", "minimum": 0, "maximum": self._max_samples * self.step_s}
        number = {"type": "number", "minimum": self.minimum, "maximum": self.maximum}
        stretch = strict_object({"start_s": time, "end_s": time, "value": number})
        return {"type": "array", "items": stretch, "maxItems": min(self.max_changes, self._max_samples)}

    def to_answer(self, value: Any, item: ItemContext) -> Any:
        return [
            {"start_s": begin * self.step_s, "end_s": end * self.step_s, "value": number}
            for begin, end, number in _runs(self.check(value)["values"])
        ]

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        if not answer:
            return None
        stretches = [(stretch["start_s"], stretch["end_s"], stretch["value"]) for stretch in answer]
        return self.check(self._sampled(stretches), item)

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        return [
            "Stretches of time in seconds from the start of the item, each with the value that holds throughout it: a "
            f"number from {self.minimum:g} to {self.maximum:g}. Begin a new stretch wherever the value changes; leave "
            "out what cannot be told."
        ]

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
                "required": "true",
            },
        )
        return [element("Labels", {"name": self.name, "toName": to_name, "choice": "single"}, [label]), number]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        to_name = layout.find(self.name, "Audio")
        length = {} if item.duration_s is None else {"original_length": item.duration_s}
        results = []
        for count, (begin, end, number) in enumerate(_runs(self.check(value, item)["values"]), start=1):
            times = {"start": round(begin * self.step_s, 6), "end": round(end * self.step_s, 6), "channel": 0}
            region = self.result("labels", {**times, "labels": [self.name]}, to_name, region=str(count)) | length
            answer = self.result("number", {**times, "number": number}, to_name, control="value")
            results += [region, {**answer, "id": region["id"], **length}]
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        regions, numbers = {}, {}
        for result in results:
            if control_suffix(result):
                numbers[str(result.get("id"))] = value_of(result).get("number")
            else:
                regions[str(result.get("id"))] = value_of(result)
        duration_s = None if item.duration_s is None else self._count(item.duration_s) * self.step_s
        stretches = []
        for region_id, region in regions.items():
            start_s, end_s = region_times(region, item._replace(duration_s=duration_s), digits=6)
            if numbers.get(region_id) is None:
                raise ValueError(f"the stretch from {start_s:g} s to {end_s:g} s has no value")
            stretches.append((start_s, end_s, numbers[region_id]))
        return self.check(self._sampled(stretches)) if stretches else None

    def count_cut(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> int:
        regions = [value_of(result) for result in results if not control_suffix(result)]
        return sum(is_cut(float(region["end"]), item) for region in regions)

    def _sampled(self, stretches: Sequence[tuple[float, float, Any]]) -> dict[str, Any]:
        """Return constant stretches as samples. Raises ``ValueError`` for a stretch without valid times or number."""
        samples: Samples = []
        for start, end, number in sorted(stretches, key=lambda stretch: stretch[:2]):
            begin, stop = (round(checked_number(time, 0, MAX_S) / self.step_s) for time in (start, end))
            if start > end:
                raise ValueError(f"a stretch ends at {end:g} s, before it starts at {start:g} s")
            if stop > self._max_samples:
                raise ValueError(f"a stretch ends at {end:g} s, after {self.max_s:g} s")
            samples += [None] * (stop - len(samples))
            samples[begin:stop] = [checked_number(number, *self._bounds)] * (stop - begin)
        return {"step_s": self.step_s, "values": samples}

    @property
    def comparison(self) -> Comparison:
        return "trace"

    def distance(self, a: Any, b: Any) -> float | None:
        """Return the mean absolute difference of the samples that both have, as a share of the range; None without."""
        pairs = zip(a["values"], b["values"], strict=False)
        differences = [abs(first - second) for first, second in pairs if first is not None and second is not None]
        return mean(differences) / (self.maximum - self.minimum) if differences else None

    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Return for each sample the mean of the raters who judged it, null unless these are enough.

        Of more changes than a value may have, the smallest are smoothed out.
        """
        if unanimous(values):
            return Aggregate(values[0], {})
        samples: Samples = []
        for index in range(max(len(value["values"]) for value in values)):
            column = [value["values"][index] for value in values if index < len(value["values"])]
            judged = [sample for sample in column if sample is not None]
            samples.append(mean(judged) if is_settled(len(judged), len(values), rule) else None)
        _strip(samples)
        if not samples:
            return Aggregate(None, {})
        on_grid_runs = _runs([None if sample is None else self._on_grid(sample) for sample in samples])
        if len(on_grid_runs) > self.max_changes:
            samples = _smoothed(samples, self.max_changes)
        return Aggregate({"step_s": self.step_s, "values": samples}, {})

    def describe(self) -> str:
        return f"**{self.name}**: trace from {self.minimum:g} to {self.maximum:g}, one sample every {self.step_s:g} s"

    def show(self, value: Any) -> list[str]:
        judged = [sample for sample in value["values"] if sample is not None]
        return [f"{min(judged):g} to {max(judged):g}, mean {mean(judged):.2g} ({len(judged) * self.step_s:g} s)"]


def _strip(samples: Samples) -> None:
    """Remove nulls at the end."""
    while samples and samples[-1] is None:
        samples.pop()


def _runs(samples: Sequence[float | None]) -> list[tuple[int, int, float]]:
    """Return begin, end (excluded) and value of each run of equal samples, leaving out nulls."""
    runs, index = [], 0
    for number, same in groupby(samples):
        length = len(list(same))
        if number is not None:
            runs.append((index, index + length, number))
        index += length
    return runs


def _smoothed(samples: Samples, limit: int) -> Samples:
    """Return samples with at most ``limit`` runs: runs with the smallest steps between them become their mean.

    If gaps alone separate more runs than that, the longest are kept.
    """
    runs = _runs(samples)
    steps = sorted(
        (abs(after - before), index)
        for index, ((_, end, before), (begin, _, after)) in enumerate(pairwise(runs))
        if end == begin
    )
    joined = {index for _, index in steps[: len(runs) - limit]}
    stretches: list[tuple[int, int]] = []
    for index, (begin, end, _) in enumerate(runs):
        if index - 1 in joined:
            stretches[-1] = (stretches[-1][0], end)
        else:
            stretches.append((begin, end))
    smoothed: Samples = [None] * len(samples)
    for begin, end in sorted(stretches, key=lambda stretch: stretch[0] - stretch[1])[:limit]:
        smoothed[begin:end] = [mean([sample for sample in samples[begin:end] if sample is not None])] * (end - begin)
    _strip(smoothed)
    return smoothed
