"""A YAML file whose every mistake can be told with its file and line, all of them at once."""

import difflib
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from curate.errors import InvalidInput

_MAX_BYTES = 4_000_000
_MAX_DEPTH = 50
_MOST_NAMES = 45
Model = TypeVar("Model", bound=BaseModel)
Finding: TypeAlias = tuple[tuple[int | str, ...], str]
"""A place within a model, and what is wrong there."""


class Findings(ValueError):
    """All that a validator found wrong with a whole model: raise it there, and each finding gets its own line."""

    def __init__(self, found: Iterable[Finding]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(sentence for _, sentence in self.found))


class Document(NamedTuple):
    """A parsed file: its plain data, and the tree that knows the lines."""

    path: Path
    data: dict[str, Any]
    root: yaml.MappingNode
    overrides: Mapping[tuple[int | str, ...], str] = {}
    """What was set from outside the file, by place: the words to show instead of ``file:line``."""

    def place(self, loc: tuple[int | str, ...]) -> str:
        """``file:line`` of the innermost part of ``loc`` that is written in the file."""
        for where, words in self.overrides.items():
            if tuple(step for step in loc if step in where) == where:
                return words
        node: yaml.Node = self.root
        line = node.start_mark.line
        for step in loc:
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line
            elif isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(step):
                        node, line = value, key.start_mark.line
                        break
        return f"{self.path}:{line + 1}"


def load_document(path: Path) -> Document:
    """The file's top-level mapping. Raises ``InvalidInput`` with ``file:line`` for whatever is not plain YAML data."""
    return parse_document(path, read_text(path))


def read_text(path: Path, *, most_bytes: int = _MAX_BYTES) -> str:
    """The file as UTF-8 text. Raises ``InvalidInput`` where it cannot be read, is larger, or is not such text."""
    try:
        if path.stat().st_size > most_bytes:
            raise InvalidInput(f"{path} is larger than {most_bytes / 1e6:g} MB", hint="is it the right file?")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from error


def parse_document(path: Path, text: str) -> Document:
    """The top-level mapping of YAML text, which stands on the same lines in the file; raises as ``load_document``."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise InvalidInput(f"{path} is empty")
        if not isinstance(root, yaml.MappingNode):
            raise InvalidInput(f"{path}:{root.start_mark.line + 1}: expected `name: value` lines at the top level")
        problems = _structure_problems(path, root)
        if problems:
            raise InvalidInput(f"{path} has {_count(problems)}", problems=tuple(problems))
        constructor = yaml.SafeLoader("")
        data = constructor.construct_document(root)
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error) or "nested too deeply"
        raise InvalidInput(f"{path}{where}: not valid YAML: {why}", hint="mend that line") from error
    return Document(path, data, root)


def parse_model(
    model: type[Model], data: Mapping[str, Any], document: Document, *, at: tuple[int | str, ...] = ()
) -> Model:
    """``data`` as a validated ``model``; raises one ``InvalidInput`` that lists every problem."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise as_invalid_input(error, document, at=at, model=model) from None


def as_invalid_input(
    error: ValidationError, document: Document, *, at: tuple[int | str, ...] = (), model: type[BaseModel] | None = None
) -> InvalidInput:
    """Pydantic's findings as sentences with their places and the nearest valid names."""
    errors = error.errors()
    # A list that lost its broken members is then found too short: that is no mistake of its own.
    within = [e["loc"] for e in errors]
    errors = [
        e
        for e in errors
        if e["type"] != "too_short"
        or not any(len(w) > len(e["loc"]) and w[: len(e["loc"])] == e["loc"] for w in within)
    ]
    located: list[tuple[str, str]] = []
    for e in errors:
        loc, cause = (*at, *e["loc"]), e.get("ctx", {}).get("error")
        if isinstance(cause, Findings):
            located += [(document.place((*loc, *inside)), sentence) for inside, sentence in cause.found]
        else:
            located.append((document.place(loc), _sentence(e, loc, document, model)))
    problems = tuple(sort_problems(f"{place}: {sentence}" for place, sentence in located))
    return InvalidInput(f"{document.path} has {_count(problems)}", problems=problems)


def nearest(name: str, names: Sequence[str]) -> str:
    """``; did you mean x?`` or, where nothing is near, ``; valid: …``."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    more = ", …" if len(names) > _MOST_NAMES else ""
    return f"; valid: {', '.join(names[:_MOST_NAMES])}{more}" if names else ""


def sort_problems(problems: Iterable[str]) -> list[str]:
    """Each problem once, in the order of file and line."""

    def place(problem: str) -> tuple[str, int]:
        match = re.match(r"(.*?):(\d+): ", problem)
        return (match[1], int(match[2])) if match else ("", 0)

    return sorted(dict.fromkeys(problems), key=place)


def _sentence(error: Any, loc: tuple[int | str, ...], document: Document, model: type[BaseModel] | None) -> str:
    name, kind, context = str(loc[-1]) if loc else "it", error["type"], error.get("ctx", {})
    if len(loc) > 1 and isinstance(loc[-1], int):
        name = f"{loc[-2]}, number {loc[-1] + 1}"
    if kind == "extra_forbidden":
        owner, names = _settings_of(error["loc"], model)
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
        return f"{name} is {error['input']!r}{nearest(str(error['input']), expected)}"
    if kind == "string_pattern_mismatch":
        return f"{name} is {error['input']!r}; allowed is {context['pattern'].strip('^$')}"
    message = error["msg"].removeprefix("Value error, ")
    value = error["input"]
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool) and kind != "value_error" else ""
    return f"{name}: {message[0].lower()}{message[1:]}{shown}"


def _settings_of(loc: tuple[int | str, ...], model: type[BaseModel] | None) -> tuple[str, list[str]]:
    """What the unknown name stands in, for the sentence, and the names valid there."""
    owner: Any = model
    label = ""
    for step in loc[:-1]:
        found = None
        for candidate in _models_within(owner):
            if isinstance(step, str) and step in candidate.model_fields:
                found, label = candidate.model_fields[step].annotation, f" of {step}"
                break
            tag = candidate.model_fields.get("stage") or candidate.model_fields.get("type")
            if tag is not None and isinstance(step, str) and step in getattr(tag.annotation, "__args__", ()):
                found, label = candidate, f" of {step}"
                break
        owner = found if found is not None else owner
    models = _models_within(owner)
    return label, list(models[0].model_fields) if models else []


def _models_within(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_within(part)]


def _structure_problems(path: Path, root: yaml.Node) -> list[str]:
    """Repeated keys, aliases and keys that are not plain words: YAML lets them pass, and each hides a mistake."""
    problems: list[str] = []
    seen: set[int] = set()
    stack: list[tuple[yaml.Node, int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        where = f"{path}:{node.start_mark.line + 1}"
        if depth > _MAX_DEPTH:
            return [f"{where}: nested more than {_MAX_DEPTH} levels deep"]
        if isinstance(node, yaml.CollectionNode):
            if id(node) in seen:
                return [f"{where}: aliases (*name) are not allowed; write the value out"]
            seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys: dict[Hashable, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    problems.append(f"{path}:{line}: a name must be a plain word")
                    continue
                if key.value in keys:
                    problems.append(f"{path}:{line}: {key.value} is given twice (first on line {keys[key.value]})")
                keys.setdefault(key.value, line)
                stack.append((value, depth + 1))
        elif isinstance(node, yaml.SequenceNode):
            stack.extend((child, depth + 1) for child in node.value)
    return sorted(problems)


def _count(problems: list[str] | tuple[str, ...]) -> str:
    return "a problem" if len(problems) == 1 else f"{len(problems)} problems"
