"""Small slips of models mended, as far as a JSON schema tells what was meant."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from curate.labels.fields.text import without_controls

_BEYOND = 0.02
_MAX_EXTRA = 20
_NUMBER = re.compile(r"\s*[-+]?\d{1,15}(?:\.\d{1,15})?\s*")


def remove_controls(value: Any) -> Any:
    """Return a JSON value whose texts have no control characters, and none that only a prompt's fence adds."""
    if isinstance(value, str):
        return without_controls(value)
    if isinstance(value, list):
        return [remove_controls(entry) for entry in value]
    return {name: remove_controls(entry) for name, entry in value.items()} if isinstance(value, dict) else value


def mend(value: Any, schema: Mapping[str, Any], name: str = "") -> tuple[Any, list[str]]:
    """Return a value nearer to its JSON schema, and a sentence for each slip mended; the rest stays as it is.

    Mends the case of labels, a lone value for a list, numbers in quotes, numbers up to 2 % of the range beyond it,
    texts slightly too long, and members that the schema does not have.
    """
    notes: list[str] = []
    return _mend(value, schema, name, notes), notes


def _mend(value: Any, schema: Mapping[str, Any], name: str, notes: list[str]) -> Any:
    options: Iterable[Mapping[str, Any]] = schema.get("anyOf", ())
    if options:
        if value is None:
            return None
        return _mend(value, next((option for option in options if option.get("type") != "null"), {}), name, notes)
    kind = schema.get("type")
    if kind == "array" and value is not None:
        if not isinstance(value, list):
            notes.append(f"{name}: a single value taken as a list")
            value = [value]
        return [_mend(entry, schema.get("items", {}), name, notes) for entry in value]
    if kind == "object" and isinstance(value, dict):
        members = schema.get("properties", {})
        if extra := [member for member in value if member not in members]:
            notes.append(f"{name or 'the reply'}: left out {', '.join(map(repr, extra[:3]))}"[:120])
        return {
            member: _mend(entry, members[member], f"{name}.{member}" if name else member, notes)
            for member, entry in value.items()
            if member in members
        }
    if kind == "string" and isinstance(value, str):
        return _mend_text(value, schema, name, notes)
    if kind in ("integer", "number"):
        return _mend_number(value, schema, name, notes)
    return value


def _mend_text(text: str, schema: Mapping[str, Any], name: str, notes: list[str]) -> str:
    enum, longest = schema.get("enum"), schema.get("maxLength")
    if enum and text not in enum:
        matches = [label for label in enum if label.casefold() == text.strip().casefold()]
        if len(matches) == 1:
            notes.append(f"{name}: {text!r} read as {matches[0]!r}"[:120])
            return str(matches[0])
    if not enum and longest is not None and longest < len(text) <= longest + max(_MAX_EXTRA, longest // 5):
        notes.append(f"{name}: {len(text)} characters cut to {longest}")
        return text[:longest].rstrip()
    return text


def _mend_number(value: Any, schema: Mapping[str, Any], name: str, notes: list[str]) -> Any:
    number = value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
        number = int(number) if number.is_integer() else number
    if isinstance(number, bool) or not isinstance(number, int | float):
        return value
    minimum, maximum = schema.get("minimum"), schema.get("maximum")
    if minimum is not None and maximum is not None:
        slack = _BEYOND * (maximum - minimum) + 1e-9
        if minimum - slack <= number <= maximum + slack:
            number = min(max(number, minimum), maximum)
    if type(number) is not type(value) or number != value:
        notes.append(f"{name}: {str(value)[:40]!r} read as {number:g}")
    return number
