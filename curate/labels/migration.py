"""Maps from stored values to a changed label schema: labels renamed, merged, dropped or split, and scales converted."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, StrictStr
from pydantic import Field as Setting

from curate.document import Document, Location, load_document, nearest, parse_model, sort_problems
from curate.errors import InvalidInput
from curate.labels.fields import Field
from curate.labels.schema import LabelSchema


class Split(BaseModel):
    """What decides which of several labels takes the place of one: the value of another field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: StrictStr
    """The stored field that decides."""
    to: dict[StrictStr, tuple[StrictStr, ...] | tuple[FiniteFloat, FiniteFloat]] = Setting(min_length=1)
    """For each new label, the labels of that field, or the lowest and the highest number, for which it is meant."""

    def label_for(self, value: Any) -> str | None:
        """Return the only new label that ``value`` of the deciding field stands for, or None."""
        targets = [target for target, cases in self.to.items() if _is_case(value, cases)]
        return targets[0] if len(targets) == 1 else None


class FieldMap(BaseModel):
    """What becomes of the stored values of one field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rename: dict[StrictStr, StrictStr] = Setting(default={})
    """The new name of each label."""
    merge: dict[StrictStr, tuple[StrictStr, ...]] = Setting(default={})
    """For a new label, those that it takes the place of."""
    drop: Literal["all"] | tuple[StrictStr, ...] = Setting(default=())
    """Labels without a successor, or ``all`` to leave out the field."""
    split: dict[StrictStr, Split] = Setting(default={})
    """Labels with several successors, and what decides; where it does not, the item is judged again."""
    scale: tuple[FiniteFloat, FiniteFloat] | None = None
    """The ends of the scale on which people judged: they become the ends of the new one."""
    rounded: bool = False
    """Whether converted numbers move to the nearest whole one (halves up), as an ordinal scale needs."""
    to: StrictStr | None = None
    """The new name of the field."""
    again: bool = False
    """Whether answers that fit neither the label schema nor this map are to be judged again."""

    @property
    def names(self) -> dict[str, str | None]:
        """The successor of each label that is renamed, merged or dropped; None for dropped ones."""
        merged = {old: new for new, olds in self.merge.items() for old in olds}
        dropped = dict.fromkeys(() if self.drop == "all" else self.drop)
        return {**self.rename, **merged, **dropped}

    def convert(self, field: Field, value: Any, deciding: Mapping[str, Any]) -> Any:
        """Return a stored value in the form that ``field`` now has; None if nothing of it is left.

        ``deciding`` holds the stored values of the fields that decide. Raises ``Undecided`` if a split is not decided,
        and ``ValueError`` for what does not fit the field.
        """
        if self.drop == "all":
            return None
        if field.is_multiple and isinstance(value, str):
            value = [value]
        names = self.names
        for label in set(field.labels_of(value)) & self.split.keys() if self.split else ():
            names[label] = self.split[label].label_for(deciding[self.split[label].by])
            if names[label] is None:
                raise Undecided(f"{label!r} is split, and {self.split[label].by} does not decide it")
        if names:
            value = field.relabelled(value, names)
        if self.scale is not None:
            value = field.rescaled(value, self.scale, rounded=self.rounded)
        return None if value is None else field.check(value)


class Undecided(ValueError):
    """A label is split, and the value that should decide between its successors does not."""


def load_migration(file: Path, labels: LabelSchema, stored: Collection[str]) -> dict[str, FieldMap]:
    """Load a map by the names of ``stored`` fields. Raises ``InvalidInput`` with every problem, file and line."""
    document = load_document(file)
    maps: dict[str, FieldMap] = {}
    problems: list[str] = []
    for key, data in document.data.items():
        name = str(key)
        if not isinstance(data, Mapping) or not data:
            example = "`{rename: {old: new}}`"
            problems.append(f"{document.location((name,))}: {name} needs what becomes of its values, such as {example}")
            continue
        try:
            maps[name] = parse_model(FieldMap, data, document, loc=(name,))
        except InvalidInput as error:
            problems += error.problems
    for loc, sentence in _problems(maps, labels, stored):
        problems.append(f"{document.location(loc)}: {sentence}")
    _refuse(document, problems)
    return maps


def _problems(
    maps: Mapping[str, FieldMap], labels: LabelSchema, stored: Collection[str]
) -> Iterator[tuple[Location, str]]:
    fields = tuple(labels.fields)
    targets = [rules.to or name for name, rules in maps.items() if rules.drop != "all"]
    for name, rules in maps.items():
        target = rules.to or name
        if name not in stored:
            yield (name,), f"no judgement has a field {name}{nearest(name, tuple(stored))}"
        elif rules.drop == "all":
            if surplus := rules.model_fields_set - {"drop"}:
                yield (name,), f"drop: all leaves out the field, so there is nothing to {sorted(surplus)[0]}"
        elif target not in fields:
            yield (name, "to"), f"label schema {labels.name} has no field {target}{nearest(target, fields)}"
        elif targets.count(target) > 1:
            yield (name, "to"), f"several stored fields would become {target}"
        else:
            yield from _field_problems(name, rules, labels.fields[target], stored)


def _field_problems(
    name: str, rules: FieldMap, field: Field, stored: Collection[str]
) -> Iterator[tuple[Location, str]]:
    sources = [*rules.rename, *(old for olds in rules.merge.values() for old in olds), *rules.drop, *rules.split]
    if sources and not field.labels:
        yield (name,), f"a field of type {field.type} has no labels of a taxonomy"
        return
    for label in dict.fromkeys(label for label in sources if sources.count(label) > 1):
        yield (name,), f"{label!r} has more than one successor"
    for key, labels in (("rename", rules.rename.values()), ("merge", rules.merge)):
        yield from (
            ((name, key), f"{label!r} is not a label of {field.name}{nearest(label, field.labels)}")
            for label in labels
            if label not in field.labels
        )
    for label, split in rules.split.items():
        if split.by not in stored or split.by == name:
            candidates = tuple(field_name for field_name in stored if field_name != name)
            yield (name, "split", label, "by"), f"{split.by} is not another stored field{nearest(split.by, candidates)}"
        for target in split.to:
            if target not in field.labels:
                sentence = f"{target!r} is not a label of {field.name}{nearest(target, field.labels)}"
                yield (name, "split", label, "to"), sentence
    if rules.scale is not None and field.ends is None:
        yield (name, "scale"), f"a field of type {field.type} has no scale"
    if rules.scale is not None and rules.scale[0] >= rules.scale[1]:
        yield (name, "scale"), "the lower end comes first: [1, 9]"


def _is_case(value: Any, cases: tuple[Any, ...]) -> bool:
    if isinstance(value, float | int):
        return len(cases) == 2 and not isinstance(cases[0], str) and bool(cases[0] <= value <= cases[1])
    labels = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return any((entry.get("label") if isinstance(entry, dict) else entry) in cases for entry in labels)


def _refuse(document: Document, problems: list[str]) -> None:
    if problems:
        raise InvalidInput(f"{document.path} cannot be used", problems=tuple(sort_problems(problems)))
