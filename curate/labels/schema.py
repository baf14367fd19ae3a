"""Label schemas: what is judged, once, for everyone."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny
from pydantic import Field as Setting

from curate.assets import find_asset
from curate.document import Document, load_document, nearest, parse_model, sort_problems
from curate.errors import InvalidInput
from curate.labels.fields import FIELD_TYPES, Field, Text
from curate.labels.taxonomy import load_taxonomy

Unit = Literal["utterance", "window", "frame", "clip", "image", "post", "dialogue", "pair"]


class LabelSchema(BaseModel):
    """A named, versioned set of fields and the units of annotation that they are asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Setting(pattern=r"^[a-z0-9_]+\.v\d+$")
    title: str = ""
    units: Annotated[tuple[Unit, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = Setting(
        alias="unit", min_length=1
    )
    fields: dict[str, SerializeAsAny[Field]] = Setting(min_length=1)

    @cached_property
    def sha256(self) -> str:
        """The hash of all that the schema says, its taxonomies included."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


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
    # Where every field is broken, one that is not lets the rest of the file be checked all the same.
    stand_in: dict[str, Field] = {"broken": Text(name="broken", type="text")}
    data = {**document.data, "fields": fields or stand_in} if fields or problems else document.data
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
