"""What a JSON schema may hold for a model to be bound to it (OpenAI's strict mode, which others follow)."""

from collections.abc import Iterator, Sequence
from typing import Any

MOST_ENUM_VALUES = 1_000
_LONG_ENUM = 250
_LONG_ENUM_CHARS = 15_000
_MOST_CHARS = 120_000
_MOST_PROPERTIES = 5_000
_DEEPEST = 10

_KEYWORDS = frozenset(
    (
        "type",
        "enum",
        "anyOf",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "description",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
    )
)


def label_schema(names: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a label: an enum, or a bounded string where there are more than an enum may hold."""
    chars = sum(map(len, names))
    if len(names) > MOST_ENUM_VALUES or (len(names) > _LONG_ENUM and chars > _LONG_ENUM_CHARS):
        return {"type": "string", "minLength": 1, "maxLength": max(map(len, names))}
    return {"type": "string", "enum": list(names)}


def strict_problems(schema: dict[str, Any]) -> list[str]:
    """What in a JSON schema strict mode refuses, each with its place; empty for a schema that a model can be bound to.

    Checked are the keywords, that objects are closed with every member required, and the limits on enum values,
    characters, properties and depth.
    """
    problems: list[str] = []
    values = chars = properties = 0
    if schema.get("type") != "object":
        problems.append("the whole is not an object")
    for place, depth, part in _parts(schema):
        if strange := sorted(part.keys() - _KEYWORDS):
            problems.append(f"{place}: keyword {strange[0]} is not allowed")
        if depth > _DEEPEST:
            problems.append(f"{place}: nested more than {_DEEPEST} levels deep")
        names = part.get("properties", {})
        if part.get("type") == "object":
            if part.get("additionalProperties") is not False:
                problems.append(f"{place}: additionalProperties must be false")
            if list(names) != part.get("required"):
                problems.append(f"{place}: every property must be required")
        enum = [str(value) for value in part.get("enum", ())]
        values += len(enum)
        properties += len(names)
        chars += sum(map(len, names)) + sum(map(len, enum))
        if len(enum) > _LONG_ENUM and sum(map(len, enum)) > _LONG_ENUM_CHARS:
            problems.append(f"{place}: an enum of {len(enum)} values may have {_LONG_ENUM_CHARS} characters")
    for what, count, most in (
        ("enum values", values, MOST_ENUM_VALUES),
        ("characters in names", chars, _MOST_CHARS),
        ("properties", properties, _MOST_PROPERTIES),
    ):
        if count > most:
            problems.append(f"{count} {what} are more than {most}")
    return problems


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Every schema within a schema, with its place and how many objects and lists lie around it."""
    stack: list[tuple[str, int, dict[str, Any]]] = [("the answer", 0, schema)]
    while stack:
        place, depth, part = stack.pop()
        yield place, depth, part
        stack += [(f"{place}.{name}", depth + 1, each) for name, each in part.get("properties", {}).items()]
        stack += [(place, depth, each) for each in part.get("anyOf", ())]
        if "items" in part:
            stack.append((f"{place}[]", depth + 1, part["items"]))
