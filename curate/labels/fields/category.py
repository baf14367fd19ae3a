"""One label or several from a taxonomy, flat or a tree, optionally with an intensity for each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import model_validator

from curate.labels.features import Feature, class_label, list_of
from curate.labels.fields.base import Aggregate, AggregationRule, Comparison, Field
from curate.labels.fields.checks import check_compatible, is_settled, known_label, label_lines, members
from curate.labels.fields.intensity import Grades, Intensity, Range
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.fields.results import Result, collect, control_suffix
from curate.labels.layout import Layout
from curate.labels.markup import choice, element, grouped_choices, label_caption
from curate.labels.strict import label_schema, strict_object
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import ItemContext

_MAX_BUTTONS = 60
_MAX_DEPTH = 20


class Category(Field):
    """A value is a label, or with ``multiple`` a list of distinct labels in the taxonomy's order.

    With ``intensity`` it is a list of ``{label, intensity}`` in that order; an intensity is one of the words given
    (action units: A to E) or a number within the range. A label of a tree does not imply its parents.
    """

    type: Literal["category"]
    taxonomy: Taxonomy
    """The taxonomy with the labels, by name."""
    multiple: bool = False
    """Whether a value may hold several labels."""
    intensity: Intensity | None = None

    @model_validator(mode="after")
    def _check_settings(self) -> "Category":
        below = set(self.taxonomy.roots)
        for _ in range(_MAX_DEPTH):
            below = {child for name in below for child in self.taxonomy.children(name)}
        if below:
            raise ValueError(
                f"{min(below)!r} has more than {_MAX_DEPTH} labels above it, too many to choose from a form"
            )
        if self.intensity is not None and not self.multiple:
            raise ValueError(
                "an intensity for each label needs `multiple: true`; for one label add a field of type scale"
            )
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        return self.taxonomy.names

    def check(self, value: Any, item: ItemContext | None = None) -> Any:
        if self.intensity is not None:
            return self._check_intensities(value)
        labels = list(value) if isinstance(value, list | tuple) else [value]
        for label in labels:
            known_label(label, self.taxonomy)
        if self.multiple:
            if not labels:
                raise ValueError("no label is chosen")
            check_compatible(labels, self.taxonomy)
            return [label for label in self.labels if label in labels]
        if len(labels) != 1:
            raise ValueError(f"{len(labels)} labels are chosen where one is allowed")
        return labels[0]

    def _check_intensities(self, value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("no label is chosen")
        intensities: dict[str, Any] = {}
        for entry in value:
            label, intensity = members(entry, "label", "intensity")
            if known_label(label, self.taxonomy) in intensities:
                raise ValueError(f"label {label!r} is given twice")
            try:
                intensities[label] = self._grades.check(intensity)
            except ValueError as error:
                raise ValueError(f"the intensity of {label!r}: {error}") from error
        check_compatible(list(intensities), self.taxonomy)
        return [{"label": label, "intensity": intensities[label]} for label in self.labels if label in intensities]

    @property
    def _grades(self) -> Grades | Range:
        if self.intensity is None:
            raise ValueError(f"{self.name} has no intensity")
        return self.intensity

    @property
    def arrow_type(self) -> pa.DataType:
        if self.intensity is not None:
            return pa.list_(pa.struct({"label": pa.string(), "intensity": self.intensity.arrow_type}))
        return pa.list_(pa.string()) if self.multiple else pa.string()

    @property
    def feature(self) -> Feature:
        label = class_label(self.labels)
        if self.intensity is not None:
            return list_of({"label": label, "intensity": self.intensity.feature})
        return list_of(label) if self.multiple else label

    def to_release(self, value: Any) -> Any:
        index = self.labels.index
        if self.intensity is not None:
            grade = self.intensity.to_release
            return [{"label": index(entry["label"]), "intensity": grade(entry["intensity"])} for entry in value]
        return [index(label) for label in value] if self.multiple else index(value)

    def from_release(self, released: Any) -> Any:
        if self.intensity is not None:
            grade = self.intensity.from_release
            return [
                {"label": self.labels[entry["label"]], "intensity": grade(entry["intensity"])} for entry in released
            ]
        return [self.labels[index] for index in released] if self.multiple else self.labels[released]

    def labels_of(self, value: Any) -> list[str]:
        if self.intensity is not None:
            return [entry["label"] for entry in value]
        return list(value) if self.multiple else [value]

    def json_schema(self) -> dict[str, Any]:
        schema = label_schema(self.labels)
        if self.intensity is not None:
            schema = strict_object({"label": schema, "intensity": self.intensity.json_schema()})
        if not self.multiple:
            return schema
        return {"type": "array", "items": schema, "minItems": 1, "maxItems": len(self.labels)}

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        question = "One or more labels, only those that are really there" if self.multiple else "Exactly one label"
        graded = f", each with {self.intensity.describe()}" if self.intensity is not None else ""
        return [f"{question}{graded}:", *label_lines(self.taxonomy, multiple=self.multiple)]

    @property
    def scored_taxonomy(self) -> Taxonomy | None:
        return self.taxonomy if self.intensity is None else None

    @property
    def graded_taxonomy(self) -> Taxonomy | None:
        return self.taxonomy if self.intensity is not None else None

    @property
    def is_multiple(self) -> bool:
        return self.multiple

    def from_labels(self, labels: Sequence[str]) -> Any:
        if self.intensity is not None:
            return super().from_labels(labels)
        likeliest = {label: 1 / rank for rank, label in enumerate(labels, start=1)}
        return self.check(self.taxonomy.compatible(labels, likeliest) if self.multiple else labels[0])

    def repair_answer(self, answer: Any, item: ItemContext) -> tuple[Any, list[str]]:
        """See ``Field.repair_answer``: a label of absence is left out if others are given too."""
        if not self.multiple or not isinstance(answer, list):
            return answer, []
        names = [entry["label"] if isinstance(entry, dict) else entry for entry in answer]
        if not all(isinstance(name, str) and name in self.taxonomy.by_name for name in names):
            return answer, []
        chosen = self.taxonomy.compatible(names)
        left_out = [name for name in dict.fromkeys(names) if name not in chosen]
        sentences = [f"{self.name}: left out {name!r}, which goes with no other label" for name in left_out]
        return [entry for entry, name in zip(answer, names, strict=True) if name in chosen], sentences

    @property
    def can_be_condition(self) -> bool:
        return True

    @property
    def hotkey_control(self) -> str:
        return "" if self._is_list else self.name

    @property
    def _is_list(self) -> bool:
        """Whether people choose from a searchable list, because there are too many labels for buttons."""
        return len(self.labels) > _MAX_BUTTONS

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        common = {"name": self.name, "toName": layout.default, "required": str(self.required).lower()}
        if self._is_list:
            once = {} if self.multiple else {"maxUsages": "1"}
            roots = [self._branch(name) for name in self.taxonomy.roots]
            control = element("Taxonomy", {**common, "showFullPath": "true", "leafsOnly": "false", **once}, roots)
        else:
            attributes = {"choice": "multiple" if self.multiple else "single-radio", "layout": "inline"}
            control = element("Choices", {**common, **attributes}, grouped_choices(self.taxonomy))
        return [control, *self._intensity_rows(layout)]

    def _branch(self, name: str) -> ET.Element:
        branch = choice("Choice", name, hint=self.taxonomy.require(name).definition)
        branch.extend(self._branch(child) for child in self.taxonomy.children(name))
        return branch

    def _intensity_rows(self, layout: Layout) -> list[ET.Element]:
        """Return a row for each label, visible while the label is chosen; controls are numbered in label order."""
        if self.intensity is None:
            return []
        rows = []
        for number, label in enumerate(self.labels, start=1):
            caption = label_caption(label)
            condition = {"visibleWhen": "choice-selected", "whenTagName": self.name, "whenChoiceValue": caption}
            header = ET.Element("Header", {"value": caption, "size": "6"})
            control = self.intensity.control(f"{self.name}-{number}", layout.default)
            rows.append(element("View", {**condition, "className": "intensity"}, [header, control]))
        return rows

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        checked = self.check(value)
        labels = self.labels_of(checked)
        if self._is_list:
            paths = [list(self.taxonomy.path(label)) for label in labels]
            results = [self.result("taxonomy", {"taxonomy": paths}, layout.default)]
        else:
            results = [self.result("choices", {"choices": labels}, layout.default)]
        for entry in checked if self.intensity is not None else ():
            number = self.labels.index(entry["label"]) + 1
            kind, content = self._grades.to_result(entry["intensity"])
            results.append(self.result(kind, content, layout.default, control=str(number)))
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        main = [result for result in results if not control_suffix(result)]
        labels = [
            self._last(path)
            for result in main
            for path in collect([result], "taxonomy" if result.get("type") == "taxonomy" else "choices")
        ]
        if self.intensity is None or not labels:
            return self.check(labels) if labels else None
        rows = {control_suffix(result): result for result in results if control_suffix(result)}
        graded = []
        for label in labels:
            number = str(self.labels.index(known_label(label, self.taxonomy)) + 1)
            if number not in rows:
                raise ValueError(f"no intensity is given for {label!r}")
            graded.append({"label": label, "intensity": self.intensity.from_result(rows[number])})
        return self.check(graded)

    def _last(self, path: Any) -> Any:
        """Return the label at the end of a path. Raises ``ValueError`` if the taxonomy has another path to it."""
        if not isinstance(path, list) or not path:
            return path
        if list(self.taxonomy.path(known_label(path[-1], self.taxonomy))) != path:
            raise ValueError(f"{path[-1]!r} is not a child of {' / '.join(map(str, path[:-1])) or 'nothing'}")
        return path[-1]

    @property
    def soft_labels(self) -> tuple[str, ...]:
        return self.labels

    @property
    def comparison(self) -> Comparison:
        return "labels" if self.multiple else "label"

    def comparable(self, value: Any) -> Any:
        return frozenset(self.labels_of(value)) if self.multiple else value

    @property
    def categories(self) -> tuple[Any, ...]:
        return () if self.multiple else self.labels

    def distance(self, a: Any, b: Any) -> float | None:
        """Return one minus the Jaccard index of the labels; with intensities, weighted by them (Ruzicka)."""
        if self.intensity is None:
            first, second = set(self.labels_of(a)), set(self.labels_of(b))
            return 1 - len(first & second) / len(first | second)
        weights = [{entry["label"]: self._grades.weight(entry["intensity"]) for entry in value} for value in (a, b)]
        pairs = [(weights[0].get(label, 0.0), weights[1].get(label, 0.0)) for label in {*weights[0], *weights[1]}]
        return 1 - sum(map(min, pairs)) / sum(map(max, pairs))

    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Return the labels that enough raters name; a single label needs strictly more votes than any other.

        By union, every label that is named, and as a single label the first of those with the most votes; by
        intersection, labels that all raters name. A label of absence stands alone: by union, if no other is named;
        else, if more raters name it. An intensity is the median of the raters who name the label (of words, the lower
        median).
        """
        votes = Counter(label for value in values for label in self.labels_of(value))
        soft = {label: votes[label] / len(values) for label in self.labels if votes[label]}
        if not self.multiple:
            (first, count), *rest = votes.most_common(2)
            is_tie = bool(rest) and rest[0][1] == count
            is_open = {"union": False, "intersection": bool(rest)}.get(rule, is_tie)
            return Aggregate(None if is_open else first, soft)
        settled = [label for label in soft if is_settled(votes[label], len(values), rule)]
        return Aggregate(self.select(settled, values, None if rule == "union" else soft), soft)

    @property
    def is_graded(self) -> bool:
        return self.intensity is not None

    def select(self, labels: Sequence[str], values: Sequence[Any], support: Mapping[str, float] | None) -> Any:
        """Return the labels in order, each with the median of its intensities; see ``Taxonomy.compatible``."""
        chosen = self.taxonomy.compatible([label for label in self.labels if label in labels], support)
        if self.intensity is None or not chosen:
            return chosen or None
        grades: dict[str, list[Any]] = {label: [] for label in chosen}
        for entry in (entry for value in values for entry in value):
            if entry["label"] in grades:
                grades[entry["label"]].append(entry["intensity"])
        return [{"label": label, "intensity": self.intensity.median(grades[label])} for label in chosen]

    def describe(self) -> str:
        kind = "any of" if self.multiple else "one of"
        names = ", ".join(f"`{name}`" for name in self.labels)
        graded = f", each with {self.intensity.describe()}" if self.intensity is not None else ""
        return f"**{self.name}**: {kind} {names} ({self.taxonomy.title}){graded}"

    def show(self, value: Any) -> list[str]:
        if self.intensity is None:
            return self.labels_of(value)
        return [f"{entry['label']} ({entry['intensity']})" for entry in value]
