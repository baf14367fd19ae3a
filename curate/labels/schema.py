"""Label schemas: what is judged, once, for everyone."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny, model_validator
from pydantic import Field as Setting

from curate.assets import find_asset, shipped
from curate.document import Document, load_document, nearest, parse_model, sort_problems
from curate.errors import InvalidInput
from curate.labels import record as answers
from curate.labels.fields import FIELD_TYPES, Category, Field, Text
from curate.labels.taxonomy import load_taxonomy
from curate.labels.units import ItemContext, Shown, Unit


class LabelSchema(BaseModel):
    """A named, versioned set of fields and the units of annotation that they are asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Setting(pattern=r"^[a-z0-9_]+\.v\d+$")
    title: str = ""
    units: Annotated[tuple[Unit, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = Setting(
        alias="unit", min_length=1
    )
    # How it looks is not what is judged: the hash does not depend on it.
    layout: dict[Shown, Annotated[str, Setting(pattern=r"^[A-Za-z0-9_-]+$")]] = Setting(default={}, exclude=True)
    """The layout for items of which there is a video, a sound, a picture or only text, where not the usual one."""
    fields: dict[str, SerializeAsAny[Field]] = Setting(min_length=1)

    @model_validator(mode="after")
    def _check_fields(self) -> "LabelSchema":
        if found := [f"{name}: {sentence}" for (name, *_), sentence in _disagreements(self.fields, self.units)]:
            raise ValueError("; ".join(found))
        return self

    @cached_property
    def sha256(self) -> str:
        """The hash of all that the schema says, its taxonomies included."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @cached_property
    def _validator(self) -> answers.Validator:
        return answers.Validator(self.json_schema())

    def json_schema(self) -> dict[str, Any]:
        """The JSON schema in which a model must answer, bounded and within what strict mode allows."""
        return answers.json_schema(self.fields)

    def to_answer(self, values: Mapping[str, Any], item: ItemContext | None = None) -> dict[str, Any]:
        """A record as a model is to write it, for examples in prompts."""
        return answers.to_answer(self.fields, values, item or ItemContext())

    def from_answer(self, answer: Any, item: ItemContext | None = None) -> dict[str, Any]:
        """The checked record that a model's answer, as JSON gives it, holds; the inverse of ``to_answer``.

        Raises ``ValueError`` listing what is wrong with it.
        """
        return answers.from_answer(self.fields, self._validator, answer, item or ItemContext())

    def parse_answer(self, text: str, item: ItemContext | None = None) -> dict[str, Any]:
        """The same of a reply that is nothing but the answer's JSON."""
        return self.from_answer(answers.parse_json(text), item)

    def mend_answer(self, answer: Any, item: ItemContext | None = None) -> tuple[dict[str, Any], list[str]]:
        """An answer that does not fit the item, with quotations moved to the nearest words that stand in its text.

        Gives the answer to read once more and a sentence for everything changed, none where there was nothing to mend.
        Raises ``ValueError`` where it is no answer in the first place.
        """
        return answers.mend_answer(self.fields, self._validator, answer, item or ItemContext())

    def is_asked(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether the condition of field ``name`` holds in a record."""
        return answers.is_asked(self.fields, name, values)

    def check_record(self, values: Mapping[str, Any], item: ItemContext | None = None) -> dict[str, Any]:
        """A whole record in its canonical form, with None for what is not answered.

        Raises ``ValueError`` listing what does not fit: unknown fields, values, missing required fields, and values of
        fields that are not asked.
        """
        return answers.check_record(self.fields, values, item)


def load_labels(name: str, beside: Path | None = None) -> LabelSchema:
    """The label schema ``name`` (such as ``utterance_emotion.v1``), the user's own before the shipped one.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    document = load_document(find_asset("schemas/labels", name, suffix=".yaml", beside=beside))
    problems: list[str] = []
    fields: dict[str, Field] = {}
    raw_fields = document.data.get("fields")
    for field_name, settings in raw_fields.items() if isinstance(raw_fields, dict) else ():
        try:
            fields[str(field_name)] = _field(str(field_name), settings, document, beside)
        except InvalidInput as error:
            problems.extend(error.problems or (error.message,))
    whole = fields if isinstance(raw_fields, dict) and len(fields) == len(raw_fields) else None
    for loc, sentence in _disagreements(fields, _units(document), complete=whole is not None):
        problems.append(f"{document.place(('fields', *loc))}: {sentence}")
    # Where fields are broken, one that is not lets the rest of the file be checked all the same.
    stand_in: dict[str, Field] = {"broken": Text(name="broken", type="text")}
    data = {**document.data, "fields": stand_in if problems else whole} if whole or problems else document.data
    try:
        schema = parse_model(LabelSchema, data, document)
    except InvalidInput as error:
        problems.extend(error.problems)
    if problems:
        raise InvalidInput(f"label schema {name} cannot be used", problems=tuple(sort_problems(problems)))
    return schema


def _field(name: str, settings: Any, document: Document, beside: Path | None) -> Field:
    at = ("fields", name)
    place = document.place(at)
    if not isinstance(settings, Mapping) or not isinstance(settings.get("type"), str):
        raise InvalidInput(f"{place}: field {name} needs `type: <name>`{nearest('', tuple(FIELD_TYPES))}")
    kind = FIELD_TYPES.get(settings["type"])
    if kind is None:
        raise InvalidInput(
            f"{place}: {settings['type']!r} is not a field type{nearest(settings['type'], tuple(FIELD_TYPES))}"
        )
    filled = {**settings, "name": name}
    if isinstance(settings.get("taxonomy"), str):
        try:
            filled["taxonomy"] = load_taxonomy(settings["taxonomy"], beside)
        except InvalidInput as error:
            hint = f" ({error.hint})" if error.hint else ""
            problems = error.problems or (f"{document.place((*at, 'taxonomy'))}: {error.message}{hint}",)
            raise InvalidInput(error.message, problems=problems) from error
    return parse_model(kind, filled, document, at=at)


def _units(document: Document) -> tuple[Unit, ...]:
    """The units that the file names, as far as there are such."""
    raw = document.data.get("unit")
    named = [raw] if isinstance(raw, str) else raw if isinstance(raw, list) else []
    return tuple(unit for unit in get_args(Unit) if unit in named)


RELEASED = (
    *("item_id", "source_id", "collection", "licence", "title", "unit", "start_s", "end_s", "speaker"),
    *("text", "text_source", "audio", "face", "face_outcome", "face_identity"),
    *("label_source", "reviewed", "raters", "agreement"),
    *("judgements", "judgement_id", "annotator", "acted_at", "skipped", "origins"),
    *("prelabel", "prelabel_id", "labeller", "model", "outcome"),
)
"""The columns of every release and the members of its structures, which no field may be named like."""


@cache
def _columns() -> dict[str, str]:
    """The columns that stand beside a label's, in a table or in a release, and where that is."""
    found = dict.fromkeys(RELEASED, "every release")
    for path in sorted((shipped("schemas") / "tables").glob("*.yaml")):
        table = yaml.safe_load(path.read_text("utf-8"))
        if table.get("per_label_schema"):
            found.update(dict.fromkeys(table["columns"], f"table {path.stem}"))
    return found


def _disagreements(
    fields: Mapping[str, Field], units: Sequence[Unit], *, complete: bool = True
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the fields say against each other or against the unit: the place below ``fields``, and a sentence."""
    before: set[str] = set()
    claims: dict[str, str] = {}
    for name, field in fields.items():
        if where := _columns().get(name):
            yield (name,), f"{name} is a column of {where} already; call the field otherwise: label_{name}"
        if field.claim and (first := claims.setdefault(field.claim, name)) != name:
            yield (name,), f"only one field may have {field.claim}, and {first} has them already"
        if name != field.name:
            yield (name,), f"field {name} calls itself {field.name}"
        if wrong := sorted(set(units) - field.units):
            allowed = ", ".join(sorted(field.units))
            yield (name,), f"a field of type {field.type} cannot be about unit {wrong[0]}; it can be about {allowed}"
        for asked, labels in field.when.items():
            if sentence := _condition_problem(name, asked, labels, fields, before, complete=complete):
                yield (name, "when"), sentence
        before.add(name)


def _condition_problem(
    name: str, asked: str, labels: Sequence[str], fields: Mapping[str, Field], before: set[str], *, complete: bool
) -> str:
    other = fields.get(asked)
    if asked == name:
        return f"when: {name} cannot depend on itself"
    if other is None:
        others = tuple(each for each in fields if each != name)
        return f"when: there is no field {asked}{nearest(asked, others)}" if complete else ""
    if asked not in before:
        return f"when: {asked} must stand above {name}, which depends on it"
    if not isinstance(other, Category):
        return f"when: {asked} is a field of type {other.type}, and only a category can be asked about"
    if not labels:
        return f"when: name at least one label of {asked}{nearest('', other.labels)}"
    for label in labels:
        if label not in other.labels:
            return f"when: {label!r} is not a label of {asked}{nearest(label, other.labels)}"
    return ""
