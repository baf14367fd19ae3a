"""JSON schemas within what OpenAI's strict mode allows; other providers follow the same rules."""

from collections.abc import Iterator, Sequence
from typing import Any

_MAX_ENUM_VALUES = 1_000
_LONG_ENUM = 250
_LONG_ENUM_CHARS = 15_000
_MAX_CHARS = 120_000
_MAX_PROPERTIES = 5_000
_MAX_DEPTH = 10

# fmt: off
_KEYWORDS = frozenset({
    "type", "enum", "anyOf", "properties", "required", "additionalProperties", "items", "description",
    "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength",
})
# fmt: on


def strict_object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an object with exactly these members."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a value that may be null; strict mode has no optional properties."""
    return {"anyOf": [schema, {"type": "null"}]}


def label_schema(names: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a label: an enum, or a bounded string if there are too many labels for one."""
    chars = sum(map(len, names))
    if len(names) > _MAX_ENUM_VALUES or (len(names) > _LONG_ENUM and chars > _LONG_ENUM_CHARS):
        return {"type": "string", "minLength": 1, "maxLength": max(map(len, names))}
    return {"type": "string", "enum": list(names)}


def strict_problems(schema: dict[str, Any]) -> list[str]:
    """Return what strict mode would refuse in a JSON schema, each problem with its location.

    Checks the keywords, that objects are closed and require every member, and the limits on enum values, characters,
    properties and depth.
    """
    problems: list[str] = []
    values = chars = properties = 0
    if schema.get("type") != "object":
        problems.append("the whole is not an object")
    for location, depth, part in _parts(schema):
        if unsupported := sorted(part.keys() - _KEYWORDS):
            problems.append(f"{location}: keyword {unsupported[0]} is not allowed")
        if depth > _MAX_DEPTH:
            problems.append(f"{location}: nested more than {_MAX_DEPTH} levels deep")
        names = part.get("properties", {})
        if part.get("type") == "object":
            if part.get("additionalProperties") is not False:
                problems.append(f"{location}: additionalProperties must be false")
            if list(names) != part.get("required"):
                problems.append(f"{location}: every property must be required")
        enum = [str(value) for value in part.get("enum", ())]
        values += len(enum)
        properties += len(names)
        chars += sum(map(len, names)) + sum(map(len, enum))
        if len(enum) > _LONG_ENUM and sum(map(len, enum)) > _LONG_ENUM_CHARS:
            problems.append(f"{location}: an enum of {len(enum)} values may have {_LONG_ENUM_CHARS} characters")
    for kind, count, limit in (
        ("enum values", values, _MAX_ENUM_VALUES),
        ("characters in names", chars, _MAX_CHARS),
        ("properties", properties, _MAX_PROPERTIES),
    ):
        if count > limit:
            problems.append(f"{count} {kind} are more than {limit}")
    return problems


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield every nested schema with its location and the number of objects and lists around it."""
    stack: list[tuple[str, int, dict[str, Any]]] = [("the answer", 0, schema)]
    while stack:
        location, depth, part = stack.pop()
        yield location, depth, part
        stack += [(f"{location}.{name}", depth + 1, member) for name, member in part.get("properties", {}).items()]
        stack += [(location, depth, option) for option in part.get("anyOf", ())]
        if "items" in part:
            stack.append((f"{location}[]", depth + 1, part["items"]))
