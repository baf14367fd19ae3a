"""One label or several from a taxonomy, flat or a tree, with an intensity for each where that is asked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import model_validator

from curate.labels.fields.base import (
    DEFAULT_LANGUAGE,
    Aggregate,
    Field,
    How,
    Result,
    choice,
    class_label,
    control_suffix,
    is_enough,
    known_label,
    label_lines,
    list_of,
    member,
    members,
    shown_label,
    strict_object,
)
from curate.labels.fields.intensity import Grades, Intensity, Range
from curate.labels.layout import Layout, element
from curate.labels.strict import label_schema
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import ItemContext

_MOST_BUTTONS = 60
_DEEPEST = 20


class Category(Field):
    """A value is a label, or with ``multiple`` a list of labels in the taxonomy's order without repetition.

    With ``intensity`` it is a list of ``{label, intensity}`` in that order; an intensity is one of the words given
    (action units: A to E) or a number within the range. A label of a tree stands for itself, not for those above it.
    """

    type: Literal["category"]
    taxonomy: Taxonomy
    multiple: bool = False
    intensity: Intensity | None = None

    @model_validator(mode="after")
    def _check_settings(self) -> "Category":
        below = set(self.taxonomy.roots)
        for _ in range(_DEEPEST):
            below = {child for name in below for child in self.taxonomy.children(name)}
        if below:
            raise ValueError(
                f"{min(below)!r} stands under more than {_DEEPEST} labels, too deep to be chosen in a form"
            )
        if self.intensity is not None and not self.multiple:
            raise ValueError("an intensity for each label needs `multiple: true`; for one label ask a scale beside it")
        return self

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """The taxonomy's labels in order."""
        return self.taxonomy.names

    @property
    def soft_labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """All labels."""
        return self.labels

    @property
    def level(self) -> str:  # type: ignore[override]
        """Nominal, or a set of labels."""
        return "set" if self.multiple else "nominal"

    @property
    def arrow_type(self) -> pa.DataType:
        if self.intensity is not None:
            return pa.list_(pa.struct({"label": pa.string(), "intensity": self.intensity.arrow_type}))
        return pa.list_(pa.string()) if self.multiple else pa.string()

    @property
    def release_type(self) -> pa.DataType:
        if self.intensity is not None:
            return pa.list_(pa.struct({"label": pa.int64(), "intensity": self.intensity.release_type}))
        return pa.list_(pa.int64()) if self.multiple else pa.int64()

    @property
    def feature(self) -> dict[str, Any]:
        label = class_label(self.labels)
        if self.intensity is not None:
            return list_of({"label": label, "intensity": self.intensity.feature})
        return list_of(label) if self.multiple else label

    def to_release(self, value: Any) -> Any:
        if self.intensity is not None:
            grade = self.intensity.to_release
            return [
                {"label": self.labels.index(each["label"]), "intensity": grade(each["intensity"])} for each in value
            ]
        return [self.labels.index(label) for label in value] if self.multiple else self.labels.index(value)

    def from_release(self, released: Any) -> Any:
        if self.intensity is not None:
            grade = self.intensity.from_release
            return [{"label": self.labels[each["label"]], "intensity": grade(each["intensity"])} for each in released]
        return [self.labels[at] for at in released] if self.multiple else self.labels[released]

    def labels_of(self, value: Any) -> list[str]:
        if self.intensity is not None:
            return [each["label"] for each in value]
        return list(value) if self.multiple else [value]

    def json_schema(self) -> dict[str, Any]:
        schema = label_schema(self.labels)
        if self.intensity is not None:
            schema = strict_object({"label": schema, "intensity": self.intensity.json_schema()})
        if not self.multiple:
            return schema
        return {"type": "array", "items": schema, "minItems": 1, "maxItems": len(self.labels)}

    def check(self, value: Any, item: ItemContext | None = None) -> Any:
        if self.intensity is not None:
            return self._with_intensity(value)
        chosen = list(value) if isinstance(value, list | tuple) else [value]
        for label in chosen:
            known_label(label, self.taxonomy)
        if self.multiple:
            if not chosen:
                raise ValueError("no label is chosen")
            return [label for label in self.labels if label in chosen]
        if len(chosen) != 1:
            raise ValueError(f"{len(chosen)} labels are chosen where one is allowed")
        return chosen[0]

    def _with_intensity(self, value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("no label is chosen")
        found: dict[str, Any] = {}
        for each in value:
            label, grade = members(each, "label", "intensity")
            if known_label(label, self.taxonomy) in found:
                raise ValueError(f"label {label!r} is given twice")
            try:
                found[label] = self._grades.check(grade)
            except ValueError as error:
                raise ValueError(f"the intensity of {label!r}: {error}") from error
        return [{"label": label, "intensity": found[label]} for label in self.labels if label in found]

    @property
    def _grades(self) -> Grades | Range:
        if self.intensity is None:
            raise ValueError(f"{self.name} has no intensity")
        return self.intensity

    @property
    def _is_tree(self) -> bool:
        """Labels under labels, or too many to lay out as buttons: a list to search in."""
        return len(self.taxonomy.roots) < len(self.labels) or len(self.labels) > _MOST_BUTTONS

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        common = {"name": self.name, "toName": layout.default, "required": str(self.required).lower()}
        if self._is_tree:
            once = {} if self.multiple else {"maxUsages": "1"}
            roots = [self._branch(name) for name in self.taxonomy.roots]
            asked = element("Taxonomy", {**common, "showFullPath": "true", "leafsOnly": "false", **once}, roots)
        else:
            how = {"choice": "multiple" if self.multiple else "single-radio", "layout": "inline"}
            choices = [
                choice("Choice", label.name, hotkey=label.hotkey, hint=label.definition)
                for label in self.taxonomy.labels
            ]
            asked = element("Choices", {**common, **how}, choices)
        return [asked, *self._intensity_rows(layout)]

    def _branch(self, name: str) -> ET.Element:
        made = choice("Choice", name, hint=self.taxonomy.require(name).definition)
        made.extend(self._branch(child) for child in self.taxonomy.children(name))
        return made

    def _intensity_rows(self, layout: Layout) -> list[ET.Element]:
        """A row for each label, shown when the label is chosen; the controls are numbered in the labels' order."""
        if self.intensity is None:
            return []
        return [
            element(
                "View",
                {
                    "visibleWhen": "choice-selected",
                    "whenTagName": self.name,
                    "whenChoiceValue": shown_label(label),
                    "className": "intensity",
                },
                [
                    ET.Element("Header", {"value": shown_label(label), "size": "6"}),
                    self.intensity.control(f"{self.name}-{number}", layout.default),
                ],
            )
            for number, label in enumerate(self.labels, start=1)
        ]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        checked = self.check(value)
        chosen = self.labels_of(checked)
        if self._is_tree:
            paths = [list(self.taxonomy.path(label)) for label in chosen]
            results = [self.result("taxonomy", {"taxonomy": paths}, layout.default)]
        else:
            results = [self.result("choices", {"choices": chosen}, layout.default)]
        for each in checked if self.intensity is not None else ():
            number = self.labels.index(each["label"]) + 1
            kind, content = self._grades.to_result(each["intensity"])
            results.append(self.result(kind, content, layout.default, control=str(number)))
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        main = [result for result in results if not control_suffix(result)]
        chosen = [self._last(each) for each in member(main, "taxonomy" if self._is_tree else "choices")]
        if self.intensity is None or not chosen:
            return self.check(chosen) if chosen else None
        rows = {control_suffix(result): result for result in results if control_suffix(result)}
        graded = []
        for label in chosen:
            number = str(self.labels.index(known_label(label, self.taxonomy)) + 1)
            if number not in rows:
                raise ValueError(f"no intensity is given for {label!r}")
            graded.append({"label": label, "intensity": self.intensity.from_result(rows[number])})
        return self.check(graded)

    def _last(self, chosen: Any) -> Any:
        """The label at the end of a path; the way there must be the taxonomy's."""
        if not self._is_tree or not isinstance(chosen, list) or not chosen:
            return chosen
        if list(self.taxonomy.path(known_label(chosen[-1], self.taxonomy))) != chosen:
            raise ValueError(f"{chosen[-1]!r} does not stand under {' / '.join(map(str, chosen[:-1])) or 'nothing'}")
        return chosen[-1]

    def distance(self, one: Any, other: Any) -> float | None:
        """One minus the Jaccard index of the labels; with intensities, of the labels weighted by them (Ruzicka)."""
        if self.intensity is None:
            first, second = set(self.labels_of(one)), set(self.labels_of(other))
            return 1 - len(first & second) / len(first | second)
        weights = [{each["label"]: self._grades.weight(each["intensity"]) for each in value} for value in (one, other)]
        pairs = [(weights[0].get(label, 0.0), weights[1].get(label, 0.0)) for label in {*weights[0], *weights[1]}]
        return 1 - sum(map(min, pairs)) / sum(map(max, pairs))

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        asked = "One or more labels, only those that are really there" if self.multiple else "Exactly one label"
        graded = f", each with {self.intensity.describe()}" if self.intensity is not None else ""
        return [f"{asked}{graded}:", *label_lines(self.taxonomy, several=self.multiple)]

    def aggregate(self, values: Sequence[Any], how: How = "majority") -> Aggregate:
        """Labels that more than half of the raters name; a single label needs strictly more votes than any other.

        By union, any label that is named (a label of absence only alone), and of a single one the first of those with
        the most votes; by intersection, what all name. An intensity is the median of those who name the label (the
        lower one of words).
        """
        votes = Counter(label for value in values for label in self.labels_of(value))
        soft = {label: votes[label] / len(values) for label in self.labels if votes[label]}
        if not self.multiple:
            (first, most), *rest = votes.most_common(2)
            is_tie = bool(rest) and rest[0][1] == most
            unsettled = {"union": False, "intersection": bool(rest)}.get(how, is_tie)
            return Aggregate(None if unsettled else first, soft)
        settled: list[Any] = [label for label in soft if is_enough(votes[label], len(values), how)]
        if how == "union":
            settled = [label for label in settled if not self.taxonomy.require(label).absence] or settled
        if self.intensity is not None:
            given = {
                label: [each["intensity"] for value in values for each in value if each["label"] == label]
                for label in settled
            }
            settled = [{"label": label, "intensity": self.intensity.median(given[label])} for label in settled]
        return Aggregate(settled or None, soft)

    def describe(self) -> str:
        how = "any of" if self.multiple else "one of"
        names = ", ".join(f"`{name}`" for name in self.labels)
        grades = f", each with {self.intensity.describe()}" if self.intensity is not None else ""
        return f"**{self.name}**: {how} {names} ({self.taxonomy.title}){grades}"
