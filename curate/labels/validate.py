"""A quick check of values against the JSON schemas of strict mode, which finds nothing wrong with most of them."""

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_BY_TYPE = {
    "string": {"minLength", "maxLength"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties"},
}


def compile_check(schema: Mapping[str, Any]) -> Check:
    """A function that is true only for values that fit the schema.

    It may be false for some that fit (a whole number written as ``1.0``) and is so for every value where the schema
    holds a keyword beyond those of strict mode: whoever needs the reason asks a validator, which costs fifty times as
    much.
    """
    told = schema.keys() - {"description"}
    if told == {"anyOf"}:
        choices = [compile_check(choice) for choice in schema["anyOf"]]
        return lambda value: any(fits(value) for fits in choices)
    kind = schema.get("type")
    if told <= {"type", "enum"} and "enum" in told and kind in (None, "string", "integer"):
        return _check_enum(schema["enum"], int if kind == "integer" else str)
    if not isinstance(kind, str) or kind not in _TYPES or not told <= {"type", *_BY_TYPE.get(kind, ())}:
        return lambda value: False
    if kind == "object":
        return _check_object(schema)
    if kind == "array":
        return _check_array(schema)
    if kind == "string":
        least, most = schema.get("minLength", 0), schema.get("maxLength", float("inf"))
        return lambda value: isinstance(value, str) and least <= len(value) <= most
    types = _TYPES[kind]
    if kind in ("boolean", "null"):
        return lambda value: isinstance(value, types)
    low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    return lambda value: isinstance(value, types) and not isinstance(value, bool) and low <= value <= high


def _check_enum(labels: list[Any], kind: type) -> Check:
    # By exact type: True is no 1.
    known = frozenset(label for label in labels if type(label) is kind)
    return lambda value: type(value) is kind and value in known


def _check_object(schema: Mapping[str, Any]) -> Check:
    members = {name: compile_check(member) for name, member in schema.get("properties", {}).items()}
    if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(members):
        return lambda value: False

    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or value.keys() != members.keys():
            return False
        return all(check(value[name]) for name, check in members.items())

    return fits


def _check_array(schema: Mapping[str, Any]) -> Check:
    least, most = schema.get("minItems", 0), schema.get("maxItems", float("inf"))
    each = compile_check(schema["items"]) if "items" in schema else lambda value: True
    return lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(each, value))
