"""What the API takes and what it refuses, and a value that fits a JSON schema."""

import base64
import math
import random
import re
from typing import Any

PARAMETERS = frozenset(
    re.findall(
        r"\w+",
        """model messages response_format temperature top_p seed max_completion_tokens max_tokens reasoning_effort n
        stop presence_penalty frequency_penalty logprobs top_logprobs user metadata store service_tier verbosity stream
        modalities logit_bias prompt_cache_key safety_identifier""",
    )
)


class Refused(Exception):
    """The request is not one that the API takes."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


def value_of(schema: Any, chance: random.Random, root: Any) -> Any:
    """A value that fits a (strict) JSON schema; the same for the same seed."""
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return value_of(target, chance, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.choice(schema["enum"])
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return value_of(chance.choice(schema[name]), chance, root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = chance.choice(kind)
    match kind:
        case "object":
            made: dict[str, Any] = {}
            for name, part in schema.get("properties", {}).items():
                made[name] = _conditional(part, made, chance, root)
            return made
        case "array":
            most = min(schema.get("maxItems", 2), max(schema.get("minItems", 0), 2))
            count = chance.randint(schema.get("minItems", 0), most)
            made = [value_of(schema.get("items", {}), chance, root) for _ in range(count)]
            return [one for at, one in enumerate(made) if one not in made[:at]]
        case "number" | "integer":
            low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            high = max(low, schema.get("maximum", low + 1))
            if kind == "integer":
                return chance.randint(math.ceil(low), math.floor(high))
            return round(chance.uniform(low, high), 3)
        case "boolean":
            return chance.random() < 0.5
        case "null":
            return None
    text = "a word of " + chance.choice(["joy", "doubt", "rest"])
    return text[: schema.get("maxLength", 100)]


def _conditional(part: Any, before: dict[str, Any], chance: random.Random, root: Any) -> Any:
    """As a model does it: null where the description says so ("Null unless rating is yes or maybe"), else a value."""
    condition = re.search(r"Null unless (\w+) is (.+?)\.", part.get("description", ""))
    if condition is None:
        return value_of(part, chance, root)
    given = before.get(condition[1])
    asked = any(label in (given if isinstance(given, list) else [given]) for label in condition[2].split(" or "))
    return value_of(part["anyOf"][0], chance, root) if asked else None


def check_part(part: Any) -> None:
    match part.get("type"):
        case "text":
            if not isinstance(part.get("text"), str):
                raise Refused("Invalid type for 'text'")
        case "image_url":
            head, _, data = part["image_url"]["url"].partition(",")
            if not re.fullmatch(r"data:image/(jpeg|png|webp|gif);base64", head):
                raise Refused("You uploaded an unsupported image", "invalid_image_format")
            if part["image_url"].get("detail", "auto") not in ("low", "high", "auto"):
                raise Refused("Invalid value for 'detail'")
            decode(data)
        case "input_audio":
            if part["input_audio"].get("format") not in ("wav", "mp3"):
                raise Refused("Invalid value for 'format'")
            decode(part["input_audio"]["data"])
        case "video_url":
            # As servers other than OpenAI's take it.
            head, _, data = part["video_url"]["url"].partition(",")
            if head != "data:video/mp4;base64":
                raise Refused("Unsupported video")
            decode(data)
        case strange:
            raise Refused(f"Invalid value: '{strange}' as the type of a part")


def decode(data: str) -> None:
    try:
        if not base64.b64decode(data, validate=True):
            raise Refused("empty media")
    except ValueError as error:
        raise Refused("Invalid base64") from error


def check_format(form: Any) -> None:
    if form.get("type") not in ("json_schema", "json_object", "text"):
        raise Refused("Invalid value for 'response_format.type'")
    if form["type"] != "json_schema":
        return
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", form["json_schema"].get("name", "")):
        raise Refused("Invalid 'response_format.json_schema.name'")
    if form["json_schema"].get("strict"):
        schema = form["json_schema"]["schema"]
        if schema.get("type") != "object":
            raise Refused("schema must be of type object", "invalid_json_schema")
        check_strict(schema, ())


def check_strict(schema: Any, place: tuple[str, ...]) -> None:
    """The rules of strict mode: every object closed, every property required, no oneOf, allOf or not."""
    if not isinstance(schema, dict):
        return
    context = f"In context={place}"
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            raise Refused(f"{context}, 'additionalProperties' is required to be false", "invalid_json_schema")
        if set(schema.get("required", ())) != set(schema.get("properties", {})):
            raise Refused(f"{context}, 'required' must name every key of properties", "invalid_json_schema")
    if strange := {"oneOf", "allOf", "not", "if", "then", "else", "patternProperties"} & set(schema):
        raise Refused(f"{context}, '{sorted(strange)[0]}' is not permitted", "invalid_json_schema")
    for name in ("properties", "$defs"):
        for key, part in schema.get(name, {}).items():
            check_strict(part, (*place, name, key))
    for part in schema.get("anyOf", ()):
        check_strict(part, (*place, "anyOf"))
    check_strict(schema.get("items"), (*place, "items"))
