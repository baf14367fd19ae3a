"""A fast check of values against JSON schemas of strict mode, for the common case that everything fits."""

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
_KEYWORDS = {
    "string": {"minLength", "maxLength"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties"},
}


def compile_check(schema: Mapping[str, Any]) -> Check:
    """Return a function that is true only for values that fit the schema.

    It may be false for a value that fits (a whole number written as ``1.0``), and always is if the schema uses keywords
    outside strict mode. To learn the reason, use a full validator, which takes fifty times as long.
    """
    keywords = schema.keys() - {"description"}
    if keywords == {"anyOf"}:
        options = [compile_check(option) for option in schema["anyOf"]]
        return lambda value: any(fits(value) for fits in options)
    kind = schema.get("type")
    if keywords <= {"type", "enum"} and "enum" in keywords and kind in (None, "string", "integer"):
        return _check_enum(schema["enum"], int if kind == "integer" else str)
    if not isinstance(kind, str) or kind not in _TYPES or not keywords <= {"type", *_KEYWORDS.get(kind, ())}:
        return lambda value: False
    if kind == "object":
        return _check_object(schema)
    if kind == "array":
        return _check_array(schema)
    if kind == "string":
        min_length, max_length = schema.get("minLength", 0), schema.get("maxLength", float("inf"))
        return lambda value: isinstance(value, str) and min_length <= len(value) <= max_length
    types = _TYPES[kind]
    if kind in ("boolean", "null"):
        return lambda value: isinstance(value, types)
    minimum, maximum = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    return lambda value: isinstance(value, types) and not isinstance(value, bool) and minimum <= value <= maximum


def _check_enum(labels: list[Any], kind: type) -> Check:
    # Compare exact types: True equals 1, but is not one of [0, 1].
    allowed = frozenset(label for label in labels if type(label) is kind)
    return lambda value: type(value) is kind and value in allowed


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
    min_items, max_items = schema.get("minItems", 0), schema.get("maxItems", float("inf"))
    item_fits = compile_check(schema["items"]) if "items" in schema else lambda value: True
    return lambda value: isinstance(value, list) and min_items <= len(value) <= max_items and all(map(item_fits, value))
