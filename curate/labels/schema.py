"""Label schemas: what is judged, defined once."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny, model_validator
from pydantic import Field as Setting

from curate.assets import find_asset
from curate.document import Document, load_document, nearest, parse_model, sort_problems
from curate.errors import InvalidInput
from curate.files import sha256_of
from curate.labels import record
from curate.labels.columns import reserved_names
from curate.labels.fields import FIELD_TYPES, Field, Text
from curate.labels.taxonomy import load_taxonomy
from curate.labels.units import ItemContext, Modality, Unit


class LabelSchema(BaseModel):
    """A named, versioned set of fields, and the units of annotation for which they are asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Setting(pattern=r"^[a-z0-9_]+\.v\d+$")
    title: str = ""
    units: Annotated[tuple[Unit, ...], BeforeValidator(lambda units: (units,) if isinstance(units, str) else units)] = (
        Setting(alias="unit", min_length=1)
    )
    # Appearance is not what is judged, so the hash does not depend on it.
    layout: dict[Modality, Annotated[str, Setting(pattern=r"^[A-Za-z0-9_-]+$")]] = Setting(default={}, exclude=True)
    """The layouts to use in place of the usual ones, by what an item has: a video, a sound, a picture or only text."""
    fields: dict[str, SerializeAsAny[Field]] = Setting(min_length=1)

    @model_validator(mode="after")
    def _check_fields(self) -> "LabelSchema":
        if conflicts := list(_conflicts(self.fields, self.units)):
            raise ValueError("; ".join(f"{name}: {sentence}" for (name, *_), sentence in conflicts))
        return self

    @cached_property
    def sha256(self) -> str:
        """The hash of the whole schema, including its taxonomies."""
        return sha256_of(self.model_dump_json())

    @cached_property
    def _validator(self) -> record.Validator:
        return record.Validator(self.json_schema())

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of a model's answer, bounded and within what strict mode allows."""
        return record.json_schema(self.fields)

    def to_answer(self, values: Mapping[str, Any], item: ItemContext | None = None) -> dict[str, Any]:
        """Return a record as a model should write it, for examples in prompts."""
        return record.to_answer(self.fields, values, item or ItemContext())

    def from_answer(self, answer: Any, item: ItemContext | None = None) -> dict[str, Any]:
        """Return the checked record in a model's parsed JSON answer; the inverse of ``to_answer``.

        Raises ``ValueError`` listing everything wrong with it.
        """
        return record.from_answer(self.fields, self._validator, answer, item or ItemContext())

    def repair_answer(self, answer: Any, item: ItemContext | None = None) -> tuple[dict[str, Any], list[str]]:
        """Return an answer with quotations moved to the nearest words that occur in the item's text.

        Also returns a sentence for each correction. Raises ``ValueError`` if the answer does not fit the JSON schema.
        """
        return record.repair_answer(self.fields, self._validator, answer, item or ItemContext())

    def is_asked(self, name: str, values: Mapping[str, Any]) -> bool:
        """Return whether the condition of field ``name`` holds in a record."""
        return record.is_asked(self.fields, name, values)

    def check_record(self, values: Mapping[str, Any], item: ItemContext | None = None) -> dict[str, Any]:
        """Return a whole record in its canonical form, with None for what is not answered.

        Raises ``ValueError`` listing unknown fields, invalid values, missing required fields, and values of fields
        whose condition does not hold.
        """
        return record.check_record(self.fields, values, item)


def load_labels(name: str, user_folder: Path | None = None) -> LabelSchema:
    """Load the label schema ``name``, such as ``utterance_emotion.v1``; ``user_folder`` wins over the shipped ones.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    document = load_document(find_asset("schemas/labels", name, suffix=".yaml", user_folder=user_folder))
    problems: list[str] = []
    fields: dict[str, Field] = {}
    raw_fields = document.data.get("fields")
    for field_name, settings in raw_fields.items() if isinstance(raw_fields, dict) else ():
        try:
            fields[str(field_name)] = _load_field(str(field_name), settings, document, user_folder)
        except InvalidInput as error:
            problems.extend(error.problems or (error.message,))
    complete = fields if isinstance(raw_fields, dict) and len(fields) == len(raw_fields) else None
    for loc, sentence in _conflicts(fields, _units(document), complete=complete is not None):
        problems.append(f"{document.location(('fields', *loc))}: {sentence}")
    # If fields are broken, a valid stand-in lets the rest of the file be checked too.
    stand_in: dict[str, Field] = {"broken": Text(name="broken", type="text")}
    data = {**document.data, "fields": stand_in if problems else complete} if complete or problems else document.data
    try:
        schema = parse_model(LabelSchema, data, document)
    except InvalidInput as error:
        problems.extend(error.problems)
    if problems:
        raise InvalidInput(f"label schema {name} cannot be used", problems=tuple(sort_problems(problems)))
    return schema


def _load_field(name: str, settings: Any, document: Document, user_folder: Path | None) -> Field:
    loc = ("fields", name)
    location = document.location(loc)
    if not isinstance(settings, Mapping) or not isinstance(settings.get("type"), str):
        raise InvalidInput(f"{location}: field {name} needs `type: <name>`{nearest('', tuple(FIELD_TYPES))}")
    field_type = FIELD_TYPES.get(settings["type"])
    if field_type is None:
        suggestion = nearest(settings["type"], tuple(FIELD_TYPES))
        raise InvalidInput(f"{location}: {settings['type']!r} is not a field type{suggestion}")
    complete = {**settings, "name": name}
    if isinstance(settings.get("taxonomy"), str):
        try:
            complete["taxonomy"] = load_taxonomy(settings["taxonomy"], user_folder)
        except InvalidInput as error:
            hint = f" ({error.hint})" if error.hint else ""
            problems = error.problems or (f"{document.location((*loc, 'taxonomy'))}: {error.message}{hint}",)
            raise InvalidInput(error.message, problems=problems) from error
    return parse_model(field_type, complete, document, loc=loc)


def _units(document: Document) -> tuple[Unit, ...]:
    """Return the valid units that the file names."""
    raw = document.data.get("unit")
    named = [raw] if isinstance(raw, str) else raw if isinstance(raw, list) else []
    return tuple(unit for unit in get_args(Unit) if unit in named)


def _conflicts(
    fields: Mapping[str, Field], units: Sequence[Unit], *, complete: bool = True
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield conflicts of the fields with each other and with the units: the location below ``fields``, a sentence."""
    above: set[str] = set()
    owners: dict[str, str] = {}
    for name, field in fields.items():
        if owner := reserved_names().get(name):
            yield (name,), f"{name} is a column of {owner} already; rename the field, for example label_{name}"
        elif name.startswith("split_"):
            yield (name,), "names that begin with split_ are those of splits in releases; rename the field"
        part = field.exclusive_part
        if part and (first := owners.setdefault(part, name)) != name:
            yield (name,), f"only one field may have {part}, and {first} has them already"
        if name != field.name:
            yield (name,), f"field {name} calls itself {field.name}"
        if unsuitable := sorted(set(units) - field.units):
            suitable = ", ".join(sorted(field.units))
            yield (
                (name,),
                f"a field of type {field.type} cannot be about unit {unsuitable[0]}; it can be about {suitable}",
            )
        for condition, labels in field.when.items():
            if sentence := _condition_problem(name, condition, labels, fields, above, complete=complete):
                yield (name, "when"), sentence
        above.add(name)


def _condition_problem(
    name: str, condition: str, labels: Sequence[str], fields: Mapping[str, Field], above: set[str], *, complete: bool
) -> str:
    field = fields.get(condition)
    if condition == name:
        return f"when: {name} cannot depend on itself"
    if field is None:
        suggestion = nearest(condition, tuple(candidate for candidate in fields if candidate != name))
        return f"when: there is no field {condition}{suggestion}" if complete else ""
    if condition not in above:
        return f"when: {condition} must come before {name}, which depends on it"
    if not field.can_be_condition:
        return f"when: {condition} is a field of type {field.type}, which cannot be a condition; use a category"
    if not labels:
        return f"when: name at least one label of {condition}{nearest('', field.labels)}"
    for label in labels:
        if label not in field.labels:
            return f"when: {label!r} is not a label of {condition}{nearest(label, field.labels)}"
    return ""
