"""Records, one value for each field: checking them, and their JSON form in a model's answer."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NoReturn

from curate.labels.fields import Field
from curate.labels.strict import nullable, strict_object
from curate.labels.units import ItemContext
from curate.labels.validate import compile_check

_MAX_CHARS = 2_000_000
_MAX_QUOTED = 120


def is_asked(fields: Mapping[str, Field], name: str, values: Mapping[str, Any]) -> bool:
    """Return whether the condition of field ``name`` holds, and those of the fields that it depends on."""
    for condition, labels in fields[name].when.items():
        value = values.get(condition)
        if value is None or not is_asked(fields, condition, values):
            return False
        if not set(labels).intersection(fields[condition].labels_of(value)):
            return False
    return True


def check_record(
    fields: Mapping[str, Field], values: Mapping[str, Any], item: ItemContext | None = None
) -> dict[str, Any]:
    """Return a whole record in its canonical form; see ``LabelSchema.check_record``."""
    problems = [f"{_quote(name)} is not a field" for name in values if name not in fields]
    record: dict[str, Any] = dict.fromkeys(fields)
    for name, field in fields.items():
        if values.get(name) is not None:
            try:
                record[name] = field.check(values[name], item)
            except ValueError as error:
                problems.append(f"{name}: {error}")
    _raise_for([*problems, *_completeness_problems(fields, record, answered=values)])
    return record


def _completeness_problems(
    fields: Mapping[str, Field], record: Mapping[str, Any], *, answered: Mapping[str, Any]
) -> list[str]:
    """Return required fields without a value, and values of fields that are not asked."""
    problems = []
    for name, field in fields.items():
        applies = is_asked(fields, name, record)
        if field.required and applies and record[name] is None and answered.get(name) is None:
            problems.append(f"{name}: a value is required")
        if not applies and record[name] is not None:
            ((condition, labels),) = field.when.items()
            problems.append(f"{name}: is asked only when {condition} is {' or '.join(labels)}")
    return problems


def json_schema(fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the schema of an object that requires every field; optional and conditional ones may be null."""
    properties: dict[str, Any] = {}
    for name, field in fields.items():
        value = field.json_schema()
        schema = nullable(value) if field.when or not field.required else value
        rules = [f" Null unless {condition} is {' or '.join(labels)}." for condition, labels in field.when.items()]
        properties[name] = {**schema, "description": "".join([field.question_text(), *rules])}
    return strict_object(properties)


class Validator:
    """Checks answers against a JSON schema. Creating one costs as much as hundreds of checks."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._fits = compile_check(schema)

    def __reduce__(self) -> tuple[type["Validator"], tuple[Mapping[str, Any]]]:
        # Nested functions cannot be pickled, so workers compile their own.
        return type(self), (self._schema,)

    def problems(self, answer: Any) -> list[str]:
        """Return a sentence for everything in an answer that does not fit the schema."""
        if self._fits(answer):
            return []
        errors = sorted(self._validator.iter_errors(answer), key=lambda error: list(map(str, error.path)))
        return [_sentence(error) for error in errors]

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator

        return Draft202012Validator(self._schema)


def _sentence(error: Any) -> str:
    """Return a JSON schema error with its location, without quoting all of a large value or enum."""
    while error.context:
        # For a value that may be null, the error about the other option is the useful one.
        error = next((option for option in error.context if option.validator != "type"), error.context[0])
    location = ".".join(str(step) for step in error.absolute_path) or "the reply"
    if error.validator == "enum":
        return f"{location}: {_quote(error.instance)} is not one of its {len(error.validator_value)} labels"
    if error.validator in ("maxLength", "maxItems", "minItems", "minLength"):
        return f"{location}: {len(error.instance)} long, where {error.validator} is {error.validator_value}"
    message = error.message if len(error.message) <= _MAX_QUOTED else error.message[:_MAX_QUOTED] + "…"
    return f"{location}: {message}"


def to_answer(fields: Mapping[str, Field], values: Mapping[str, Any], item: ItemContext) -> dict[str, Any]:
    """Return a checked record as a model should write it."""
    return {
        name: None if values.get(name) is None else field.to_answer(values[name], item)
        for name, field in fields.items()
    }


def from_answer(fields: Mapping[str, Field], validator: Validator, answer: Any, item: ItemContext) -> dict[str, Any]:
    """Return the record in an answer; see ``LabelSchema.from_answer``."""
    _raise_for(validator.problems(answer))
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, field in fields.items():
        try:
            values[name] = None if answer[name] is None else field.from_answer(answer[name], item)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    _raise_for([*problems, *([] if problems else _completeness_problems(fields, values, answered={}))])
    return values


def repair_answer(
    fields: Mapping[str, Field], validator: Validator, answer: Any, item: ItemContext
) -> tuple[dict[str, Any], list[str]]:
    """Return an answer with its slips corrected; see ``LabelSchema.repair_answer``."""
    _raise_for(validator.problems(answer))
    repaired: dict[str, Any] = dict(answer)
    corrections: list[str] = []
    for name, field in fields.items():
        if answer[name] is not None:
            repaired[name], sentences = field.repair_answer(answer[name], item)
            corrections += sentences
    return repaired, corrections


def parse_json(text: str) -> Any:
    """Parse a reply as strict JSON. Raises ``ValueError`` for invalid JSON, duplicate keys, and NaN or Infinity."""
    if len(text) > _MAX_CHARS:
        raise ValueError(f"the reply has {len(text)} characters, more than {_MAX_CHARS}")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"the reply is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise ValueError("the reply is nested too deeply") from error


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"the reply contains {name}, which is not a number in JSON")


def _unique_members(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"the reply gives {_quote(name)} twice")
        members[name] = value
    return members


_DECODER = json.JSONDecoder(parse_constant=_reject_constant, object_pairs_hook=_unique_members)


def _quote(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…"


def _raise_for(problems: list[str]) -> None:
    if problems:
        raise ValueError("; ".join(problems))
