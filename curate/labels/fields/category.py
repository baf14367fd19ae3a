"""One label or several from a taxonomy."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa

from curate.labels.fields.base import Aggregate, Field, Result, choice, member
from curate.labels.item import ItemContext
from curate.labels.layout import Layout
from curate.labels.taxonomy import Taxonomy


class Category(Field):
    """A value is a label, or with ``multiple`` a list of labels in the taxonomy's order without repetition."""

    type: Literal["category"]
    taxonomy: Taxonomy
    multiple: bool = False

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
        return pa.list_(pa.string()) if self.multiple else pa.string()

    @property
    def release_type(self) -> pa.DataType:
        return pa.list_(pa.int64()) if self.multiple else pa.int64()

    @property
    def feature(self) -> dict[str, Any]:
        label = {"names": list(self.labels), "_type": "ClassLabel"}
        return {"feature": label, "_type": "List"} if self.multiple else label

    def to_release(self, value: Any) -> Any:
        return [self.labels.index(label) for label in value] if self.multiple else self.labels.index(value)

    def from_release(self, released: Any) -> Any:
        return [self.labels[at] for at in released] if self.multiple else self.labels[released]

    def labels_of(self, value: Any) -> list[str]:
        return list(value) if self.multiple else [value]

    def json_schema(self) -> dict[str, Any]:
        label = {"type": "string", "enum": list(self.labels)}
        return (
            {"type": "array", "items": label, "minItems": 1, "maxItems": len(self.labels)} if self.multiple else label
        )

    def check(self, value: Any, item: ItemContext | None = None) -> Any:
        chosen = list(value) if isinstance(value, list | tuple) else [value]
        unknown = [label for label in chosen if label not in self.labels]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a label of {self.taxonomy.taxonomy}")
        if self.multiple:
            if not chosen:
                raise ValueError("no label is chosen")
            return [label for label in self.labels if label in chosen]
        if len(chosen) != 1:
            raise ValueError(f"{len(chosen)} labels are chosen where one is allowed")
        return chosen[0]

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        choices = ET.Element(
            "Choices",
            {
                "name": self.name,
                "toName": layout.default,
                "choice": "multiple" if self.multiple else "single-radio",
                "layout": "inline",
                "required": str(self.required).lower(),
            },
        )
        for label in self.taxonomy.labels:
            choices.append(choice("Choice", label.name, hotkey=label.hotkey, hint=label.definition))
        return [choices]

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        chosen = self.check(value)
        return [self.result("choices", {"choices": chosen if self.multiple else [chosen]}, layout.default)]

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        chosen = member(results, "choices")
        return self.check(chosen) if chosen else None

    def distance(self, one: Any, other: Any) -> float | None:
        """One minus the Jaccard index of the two sets of labels."""
        first, second = set(self.labels_of(one)), set(self.labels_of(other))
        return 1 - len(first & second) / len(first | second)

    def aggregate(self, values: Sequence[Any]) -> Aggregate:
        """Labels that more than half of the raters name; a single label needs strictly more votes than any other."""
        votes = Counter(label for value in values for label in self.labels_of(value))
        soft = {label: votes[label] / len(values) for label in self.labels if votes[label]}
        if self.multiple:
            return Aggregate([label for label, share in soft.items() if share > 0.5] or None, soft)
        (first, most), *rest = votes.most_common(2)
        return Aggregate(None if rest and rest[0][1] == most else first, soft)

    def describe(self) -> str:
        how = "any of" if self.multiple else "one of"
        names = ", ".join(f"`{name}`" for name in self.labels)
        return f"**{self.name}**: {how} {names} ({self.taxonomy.title})"
