"""A whole record: its JSON schema for models, its check, and the reading of a reply."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NoReturn

from curate.labels.fields import Field
from curate.labels.units import ItemContext
from curate.labels.validate import compile_check

_MOST_CHARS = 2_000_000
_MOST_SHOWN = 120


def json_schema(fields: Mapping[str, Field]) -> dict[str, Any]:
    """An object with every field required; a field that may be left out or is conditional may be null."""
    properties: dict[str, Any] = {}
    for name, field in fields.items():
        value = field.json_schema()
        may_lack = not field.required or field.when
        # Strict mode knows no optional property: a union with null stands in for one.
        schema = {"anyOf": [value, {"type": "null"}]} if may_lack else value
        properties[name] = {**schema, "description": _description(field)}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _description(field: Field) -> str:
    when = "".join(f" Null unless {other} is {' or '.join(labels)}." for other, labels in field.when.items())
    return field.asked() + when


def is_asked(fields: Mapping[str, Field], name: str, values: Mapping[str, Any]) -> bool:
    """Whether the condition of field ``name`` holds, and those of the fields that it depends on."""
    for asked, labels in fields[name].when.items():
        given = values.get(asked)
        if given is None or not is_asked(fields, asked, values):
            return False
        if not set(labels).intersection(fields[asked].labels_of(given)):
            return False
    return True


def check_record(
    fields: Mapping[str, Field], values: Mapping[str, Any], item: ItemContext | None = None
) -> dict[str, Any]:
    """A whole record in its canonical form; see ``LabelSchema.check_record``."""
    problems = [f"{_short(name)} is no field" for name in values if name not in fields]
    record: dict[str, Any] = dict.fromkeys(fields)
    for name, field in fields.items():
        if values.get(name) is not None:
            try:
                record[name] = field.check(values[name], item)
            except ValueError as error:
                problems.append(f"{name}: {error}")
    _raise_for([*problems, *_incomplete(fields, record, broken=values)])
    return record


def _incomplete(fields: Mapping[str, Field], record: Mapping[str, Any], *, broken: Mapping[str, Any]) -> list[str]:
    """Required fields without a value, and values of fields that are not asked."""
    problems = []
    for name, field in fields.items():
        asked = is_asked(fields, name, record)
        if field.required and asked and record[name] is None and broken.get(name) is None:
            problems.append(f"{name}: a value is required")
        if not asked and record[name] is not None:
            ((other, labels),) = field.when.items()
            problems.append(f"{name}: is asked only when {other} is {' or '.join(labels)}")
    return problems


def to_answer(fields: Mapping[str, Field], values: Mapping[str, Any], item: ItemContext) -> dict[str, Any]:
    """A checked record as a model is to write it."""
    return {
        name: None if values.get(name) is None else field.to_answer(values[name], item)
        for name, field in fields.items()
    }


class Validator:
    """What checks answers against a JSON schema. Making one costs as much as hundreds of checks."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._fits = compile_check(schema)

    def __reduce__(self) -> tuple[type["Validator"], tuple[Mapping[str, Any]]]:
        # Workers compile their own: functions within functions cannot be sent to them.
        return type(self), (self._schema,)

    def misfits(self, answer: Any) -> list[str]:
        """A sentence for everything about an answer that does not fit; empty where all of it does."""
        if self._fits(answer):
            return []
        errors = sorted(self._validator.iter_errors(answer), key=lambda error: list(map(str, error.path)))
        return [_sentence(error) for error in errors]

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator

        return Draft202012Validator(self._schema)


def from_answer(fields: Mapping[str, Field], validator: Validator, answer: Any, item: ItemContext) -> dict[str, Any]:
    """The record that an answer holds; see ``LabelSchema.from_answer``."""
    _raise_for(validator.misfits(answer))
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, field in fields.items():
        try:
            values[name] = None if answer[name] is None else field.from_answer(answer[name], item)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    _raise_for([*problems, *([] if problems else _incomplete(fields, values, broken={}))])
    return values


def mend_answer(
    fields: Mapping[str, Field], validator: Validator, answer: Any, item: ItemContext
) -> tuple[dict[str, Any], list[str]]:
    """An answer with its slips put right; see ``LabelSchema.mend_answer``."""
    _raise_for(validator.misfits(answer))
    mended: dict[str, Any] = dict(answer)
    told: list[str] = []
    for name, field in fields.items():
        if answer[name] is not None:
            mended[name], slips = field.mend_answer(answer[name], item)
            told += slips
    return mended, told


def parse_json(text: str) -> Any:
    """What a reply holds as JSON. Raises ``ValueError`` for what is none, repeated names and numbers that are none."""
    if len(text) > _MOST_CHARS:
        raise ValueError(f"the reply has {len(text)} characters, more than {_MOST_CHARS}")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"the reply is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise ValueError("the reply is nested too deeply") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the reply holds {name}, which is no number")


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the reply gives {_short(name)} twice")
        found[name] = value
    return found


def _sentence(error: Any) -> str:
    """A finding of the JSON schema with its place, shortened: it would quote all of a large value or enum."""
    while error.context:
        # Of a value that may be null, what is wrong with the other choice is what helps.
        error = next((each for each in error.context if each.validator != "type"), error.context[0])
    place = ".".join(str(step) for step in error.absolute_path) or "the reply"
    if error.validator == "enum":
        return f"{place}: {_short(error.instance)} is not one of its {len(error.validator_value)} labels"
    if error.validator in ("maxLength", "maxItems", "minItems", "minLength"):
        return f"{place}: {len(error.instance)} long, where {error.validator} is {error.validator_value}"
    return f"{place}: {error.message if len(error.message) <= _MOST_SHOWN else error.message[:_MOST_SHOWN] + '…'}"


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_object)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"


def _raise_for(problems: list[str]) -> None:
    if problems:
        raise ValueError("; ".join(problems))
