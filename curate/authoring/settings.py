"""Every setting of a stage with its type, default and meaning, read from the code."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from curate.authoring.schema import described_schema
from curate.errors import InvalidInput
from curate.labels import FIELD_TYPES
from curate.recipe import Recipe
from curate.sentences import nearest
from curate.stages import STAGES

REQUIRED = "required"
_MAX_DEFAULT_CHARS = 40
_SCALARS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
_UNQUOTED = ("whole number", "number", "true or false")
_REFERENCE = "#/$defs/"


class Setting(NamedTuple):
    """A setting: its name, what its values are, its default (``required`` if it has none) and its meaning."""

    name: str
    type: str
    default: str
    meaning: str


class SettingGroup(NamedTuple):
    """Settings that belong together: where they are first used (empty for the stage itself), and what they are."""

    place: str
    meaning: str
    settings: tuple[Setting, ...]


def stage_settings(stage: str) -> list[SettingGroup]:
    """Return the settings of a stage, then those of each group within it. Raises ``InvalidInput`` for other names."""
    kind = next((kind for kind in STAGES if kind.kind() == stage), None)
    if kind is None:
        names = [kind.kind() for kind in STAGES]
        raise InvalidInput(f"there is no stage {stage}{nearest(stage, names)}", hint=f"one of {', '.join(names)}")
    return list(_groups(described_schema(kind)))


def recipe_settings() -> SettingGroup:
    """Return the settings of a recipe itself."""
    return next(_groups(described_schema(Recipe)))


def field_settings(kind: str) -> SettingGroup:
    """Return the settings of a field type of label schemas."""
    group = next(_groups(described_schema(FIELD_TYPES[kind])))
    rows = (
        row._replace(type="text") if row.name == "taxonomy" else row for row in group.settings if row.name != "name"
    )
    return group._replace(settings=tuple(rows))


def _groups(schema: Mapping[str, Any]) -> Iterator[SettingGroup]:
    """Yield the groups of a schema, each once, where it is first used."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    groups = [("", schema)]
    seen_references: set[str] = set()
    for path, group in groups:
        settings = []
        for name, value in group.get("properties", {}).items():
            if "const" in value:
                continue
            inner = list(dict.fromkeys(_references(value)))
            meaning = value.get("description") or next((definitions[ref].get("description", "") for ref in inner), "")
            is_required = name in group.get("required", ())
            default = REQUIRED if is_required else _default(value.get("default"), has_settings=bool(inner))
            settings.append(Setting(name, _type(value, definitions), default, meaning))
            tags = _tags(value)
            for reference in inner:
                if reference not in seen_references:
                    seen_references.add(reference)
                    groups.append((f"{path}.{name}{tags.get(reference, '')}".lstrip("."), definitions[reference]))
        yield SettingGroup(path, group.get("description", ""), tuple(settings))


def _tags(schema: Mapping[str, Any]) -> dict[str, str]:
    """Return what chooses each of several groups of settings, by its reference, such as `` (view: pairs)``."""
    choice = schema.get("discriminator", {})
    names = choice.get("mapping", {}).items()
    return {ref.removeprefix(_REFERENCE): f" ({choice['propertyName']}: {name})" for name, ref in names}


def _references(schema: Any) -> Iterator[str]:
    """Yield the names of the groups of settings that values of a schema consist of."""
    if isinstance(schema, Mapping):
        if (reference := schema.get("$ref")) is not None:
            yield reference.removeprefix(_REFERENCE)
        for name, part in schema.items():
            if name != "default":
                yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def _type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return in words what the values of a schema are."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        return "settings" if definitions[name].get("type") == "object" else _type(definitions[name], definitions)
    if "anyOf" in schema or "oneOf" in schema:
        options = schema.get("anyOf") or schema["oneOf"]
        parts = [_type(part, definitions) for part in options if part.get("type") != "null"]
        # Where a text may be written without quotation marks, YAML makes numbers of some.
        if {"text", "whole number", "number"} <= {*parts}:
            parts = [part for part in parts if part not in _UNQUOTED]
        return " or ".join(dict.fromkeys(parts))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(
            value if isinstance(value, str) and value.isidentifier() else json.dumps(value) for value in values
        )
    kind = schema.get("type")
    if kind == "array":
        members = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {_type(members, definitions)}"
    if kind == "object":
        members = schema.get("additionalProperties")
        return f"{_type(members, definitions)} by name" if isinstance(members, Mapping) else "settings"
    if schema.get("format") == "date":
        return "date"
    return _SCALARS.get(str(kind), "any value") + _range(schema)


def _range(schema: Mapping[str, Any]) -> str:
    lower, upper = schema.get("minimum"), schema.get("maximum")
    if lower is not None and upper is not None:
        return f", {lower:g} to {upper:g}"
    limits = {
        "from": lower,
        "up to": upper,
        "above": schema.get("exclusiveMinimum"),
        "below": schema.get("exclusiveMaximum"),
    }
    words = [f"{word} {value:g}" for word, value in limits.items() if value is not None]
    return f", {' and '.join(sorted(words))}" if words else ""


def _default(value: Any, *, has_settings: bool) -> str:
    if value is None or value in ([], {}, "") or has_settings:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_DEFAULT_CHARS else f"{text[:_MAX_DEFAULT_CHARS]}…"
