"""Words of messages: counted nouns, and what is wrong with a value, what it may be and the most similar valid name."""

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

_MAX_NAMES = 45
_MAX_SHOWN = 60
TYPES = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), "a text"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list such as [a, b]"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), "a group of settings"),
}
"""What a value must be, by pydantic's name of the error."""
_SIZES = {
    "too_short": ("at least", "entry"),
    "too_long": ("at most", "entry"),
    "string_too_short": ("at least", "character"),
    "string_too_long": ("at most", "character"),
}
_LIMITS = {
    "greater_than": "greater than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
    "multiple_of": "a multiple of",
}


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 item``, ``1,200 items``, ``2 entries``, ``3 people``."""
    if number == 1:
        return f"1 {noun}"
    head, _, last = noun.rpartition(" ")
    ending = last[:-1] + "ies" if last.endswith("y") and last[-2:-1] not in "aeiou" else f"{last}s"
    plural = {"person": "people", "erratum": "errata"}.get(last, ending)
    return f"{number:,} {f'{head} {plural}'.strip()}"


def verb_of(number: int, singular: str, plural: str) -> str:
    """Return the form of a verb that fits a number: ``is`` or ``are``."""
    return singular if number == 1 else plural


def nearest(name: str, names: Sequence[str]) -> str:
    """Return ``; did you mean x?``, or ``; valid: …`` if no name is similar."""
    similar = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if similar:
        return f"; did you mean {similar[0]}?"
    more = ", …" if len(names) > _MAX_NAMES else ""
    return f"; valid: {', '.join(names[:_MAX_NAMES])}{more}" if names else ""


def describe_error(details: Any, loc: tuple[int | str, ...], model: "type[BaseModel]") -> str:
    """Return pydantic's error at ``loc`` within ``model`` as a sentence without its wording.

    ``details["expected"]`` lists what the value may be, as values of ``TYPES``, where it has a wrong type.
    """
    name, kind, context = str(loc[-1]) if loc else "it", details["type"], details.get("ctx", {})
    if len(loc) > 1 and isinstance(loc[-1], int):
        name = f"{loc[-2]}, number {loc[-1] + 1}"
    if kind == "extra_forbidden":
        owner, names = _settings_of(details["loc"], model)
        return f"{name} is not a setting{owner}{nearest(name, names)}"
    if kind == "missing":
        return f"{name} is missing"
    if kind == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        return f"{context['tag']!r} is not a {context['discriminator'].strip(chr(39))}{nearest(context['tag'], tags)}"
    if kind == "union_tag_not_found":
        return f"needs `{context['discriminator'].strip(chr(39))}: <name>`"
    if kind == "literal_error":
        expected = [part.strip(" '") for part in context["expected"].replace(" or ", ", ").split(",")]
        return f"{name} is {details['input']!r}{nearest(str(details['input']), expected)}"
    if kind == "string_pattern_mismatch":
        return f"{name} is {details['input']!r}; allowed is {context['pattern'].strip('^$')}"
    if kind == "value_error":
        message = details["msg"].removeprefix("Value error, ")
        return f"{name}: {message[0].lower()}{message[1:]}"
    value = _show(details["input"])
    if details["expected"]:
        return f"{name} must be {' or '.join(details['expected'])}, not {value}"
    if kind in _SIZES:
        limit = next(context[key] for key in ("min_length", "max_length") if key in context)
        word, noun = _SIZES[kind]
        return f"{name} needs {word} {count_of(limit, noun)}"
    if kind in _LIMITS:
        return f"{name} must be {_LIMITS[kind]} {context[next(iter(context))]:g}, not {value}"
    return f"{name} cannot be {value}"


def _show(value: Any) -> str:
    """Return a value as it is written in YAML, or what kind of thing it is."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a group of settings"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _settings_of(loc: tuple[int | str, ...], model: "type[BaseModel]") -> tuple[str, list[str]]:
    """Return the words for the model that the unknown name at ``loc`` was given to, and its valid names."""
    owner: Any = model
    words = ""
    for step in loc[:-1]:
        for candidate in _models_within(owner):
            if isinstance(step, str) and step in candidate.model_fields:
                owner, words = candidate.model_fields[step].annotation, f" of {step}"
                break
            tag = candidate.model_fields.get("stage") or candidate.model_fields.get("type")
            if tag is not None and isinstance(step, str) and step in getattr(tag.annotation, "__args__", ()):
                owner, words = candidate, f" of {step}"
                break
    models = _models_within(owner)
    return words, list(models[0].model_fields) if models else []


def _models_within(annotation: Any) -> "list[type[BaseModel]]":
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_within(part)]
