"""YAML files whose mistakes are all reported at once, each with its file and line."""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from curate.errors import InvalidInput
from curate.sentences import TYPES, count_of, describe_error
from curate.sentences import nearest as nearest

_MAX_BYTES = 4_000_000
_MAX_DEPTH = 50
_MAX_VALUES = 50_000
_MAX_PROBLEMS = 200
_MAX_SHOWN = 60
_BAD_SCALAR = (ValueError, KeyError, AttributeError, TypeError, OverflowError)
Model = TypeVar("Model", bound=BaseModel)
Location: TypeAlias = tuple[int | str, ...]
"""The keys and indices that lead from the top of a model to a value."""
LocatedProblem: TypeAlias = tuple[Location, str]
"""A location within a model, and what is wrong there."""


class LocatedProblems(ValueError):
    """All problems of a whole model: raise it in a validator, and each one is reported with its own line."""

    def __init__(self, problems: Iterable[LocatedProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(sentence for _, sentence in self.problems))


class Document(NamedTuple):
    """A parsed file: its plain data, and the YAML tree with the lines.

    ``overrides`` holds what was set from outside the file, with the words to report instead of ``file:line``.
    """

    path: Path
    data: dict[str, Any]
    root: yaml.MappingNode
    overrides: Mapping[Location, str] = {}

    def location(self, loc: Location) -> str:
        """Return ``file:line`` of the innermost part of ``loc`` that is written in the file."""
        for override, words in self.overrides.items():
            if tuple(step for step in loc if step in override) == override:
                return words
        node: yaml.Node = self.root
        line = node.start_mark.line
        for step in loc:
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line
            elif isinstance(node, yaml.MappingNode) and (entry := _entries(node).get(str(step))):
                node, line = entry
        return f"{self.path}:{line + 1}"


def _entries(node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, int]]:
    """Return value and line of each key, built once: thousands of problems may be in one mapping."""
    entries: dict[str, tuple[yaml.Node, int]] | None = getattr(node, "entries", None)
    if entries is None:
        entries = {str(key.value): (value, key.start_mark.line) for key, value in reversed(node.value)}
        node.__dict__["entries"] = entries
    return entries


def load_document(path: Path) -> Document:
    """Load a file whose top level is a mapping. Raises ``InvalidInput`` with ``file:line`` if it is not plain YAML."""
    return parse_document(path, read_text(path))


def read_text(path: Path, *, max_bytes: int = _MAX_BYTES) -> str:
    """Read a file as UTF-8 text. Raises ``InvalidInput`` if it cannot be read, is larger, or is not such text."""
    try:
        if path.stat().st_size > max_bytes:
            raise InvalidInput(f"{path} is larger than {max_bytes / 1e6:g} MB", hint="is it the right file?")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from error


def parse_document(path: Path, text: str) -> Document:
    """Parse YAML text that has the same line numbers as the file; raises as ``load_document``."""
    if max(map(text.count, "\n,:")) > _MAX_VALUES:
        raise InvalidInput(f"{path} holds more than {_MAX_VALUES:,} values", hint="is it the right file?")
    root: yaml.Node | None = None
    try:
        root = _compose(text)
        if root is None:
            raise InvalidInput(f"{path} is empty")
        if not isinstance(root, yaml.MappingNode):
            raise InvalidInput(f"{path}:{root.start_mark.line + 1}: expected `name: value` lines at the top level")
        if problems := _structure_problems(path, root):
            raise InvalidInput(f"{path} has {count_of(len(problems), 'problem')}", problems=_shortened(problems))
        data = yaml.SafeLoader("").construct_document(root)
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError, RecursionError, *_BAD_SCALAR) as error:
        if isinstance(error, _BAD_SCALAR) and root is not None and (scalar := _bad_scalar(root)):
            value = scalar.value if len(scalar.value) <= _MAX_SHOWN else f"{scalar.value[:_MAX_SHOWN]}…"
            kind = scalar.tag.rpartition(":")[2]
            raise InvalidInput(
                f"{path}:{scalar.start_mark.line + 1}: not valid YAML: {value!r} is not a valid {kind}",
                hint="correct that line; in quotes it is a text",
            ) from error
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        reason = "nested too deeply" if isinstance(error, RecursionError) else reason
        if "found character '\\t'" in reason:
            reason = "a tab cannot indent; use spaces"
        raise InvalidInput(f"{path}{line}: not valid YAML: {reason}", hint="correct that line") from error
    return Document(path, data, root)


def _compose(text: str) -> yaml.Node | None:
    """Return the nodes of a YAML text. Raises ``yaml.YAMLError``.

    The parser in C takes a fifteenth of the time. It names mistakes in other words, and reads tabs and byte order marks
    otherwise.
    """
    if yaml.__with_libyaml__ and "\t" not in text and "\ufeff" not in text:
        with suppress(yaml.YAMLError):
            return yaml.compose(text, Loader=yaml.CSafeLoader)
    return yaml.compose(text, Loader=yaml.SafeLoader)


def parse_value(text: str) -> Any:
    """Return a value in YAML. Raises ``ValueError`` if it is not valid, or not what its tag says."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, *_BAD_SCALAR) as error:
        raise ValueError("the value is not valid YAML") from error


def parse_model(model: type[Model], data: Mapping[str, Any], document: Document, *, loc: Location = ()) -> Model:
    """Validate ``data``, found at ``loc`` in the document. Raises one ``InvalidInput`` with all problems."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _to_invalid_input(error, data, document, parent=loc, model=model) from None


def _to_invalid_input(
    error: ValidationError, data: Mapping[str, Any], document: Document, *, parent: Location, model: type[BaseModel]
) -> InvalidInput:
    """Pydantic's errors as sentences with their lines and the most similar valid names."""
    problems: list[str] = []
    errors = _join_alternatives(_without_consequences(error.errors()), data)
    left_out = len(errors) - _MAX_PROBLEMS
    for details in errors[:_MAX_PROBLEMS]:
        loc, cause = (*parent, *details["loc"]), details.get("ctx", {}).get("error")
        if isinstance(cause, LocatedProblems):
            problems += [f"{document.location((*loc, *inner))}: {sentence}" for inner, sentence in cause.problems]
        else:
            problems.append(f"{document.location(loc)}: {describe_error(details, loc, model)}")
    problems = sort_problems(problems)
    count = count_of(len(problems) if left_out <= 0 else len(errors), "problem")
    problems += [f"and {left_out:,} more"] if left_out > 0 else []
    return InvalidInput(f"{document.path} has {count}", problems=tuple(problems))


def _without_consequences(errors: Sequence[Any]) -> list[Any]:
    """Return the errors without lists that pydantic finds too short only because their members are wrong."""
    locations = [details["loc"] for details in errors]
    return [
        details
        for details in errors
        if details["type"] != "too_short"
        or not any(len(loc) > len(details["loc"]) and loc[: len(details["loc"])] == details["loc"] for loc in locations)
    ]


def _join_alternatives(errors: Sequence[Any], data: Mapping[str, Any]) -> list[Any]:
    """Return the errors with locations that the data have, and those of a value of several types as one."""
    joined: dict[tuple[Any, ...], Any] = {}
    for details in errors:
        loc = _location_in_data(details, data)
        is_type = details["type"] in TYPES
        key = (loc, "type") if is_type else (loc, details["type"], details["msg"])
        if is_type and key in joined:
            expected = dict.fromkeys([*joined[key]["expected"], TYPES[details["type"]]])
            joined[key] = {**joined[key], "expected": tuple(expected)}
        else:
            joined[key] = {**details, "loc": loc, "expected": (TYPES[details["type"]],) if is_type else ()}
    # Where a list was given and is wrong in itself, it does not matter that it could have been one value.
    wrong_inside = {loc[:depth] for loc, *_ in joined for depth in range(len(loc))}
    wrong_inside.update(loc for loc, kind, *_ in joined if kind != "type")
    return [details for (loc, kind, *_), details in joined.items() if kind != "type" or loc not in wrong_inside]


def _location_in_data(details: Any, data: Mapping[str, Any]) -> Location:
    """Return the location of an error within the data, without the names of types that pydantic puts into it."""
    value: Any = data
    loc: list[int | str] = []
    for depth, step in enumerate(details["loc"]):
        is_tag = isinstance(value, Mapping) and step in (value.get("stage"), value.get("type"), value.get("view"))
        is_index = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if is_index or (isinstance(value, Mapping) and step in value):
            value = value[step]
        elif not is_tag and not (details["type"] == "missing" and depth == len(details["loc"]) - 1):
            continue
        loc.append(step)
    return tuple(loc)


def sort_problems(problems: Iterable[str]) -> list[str]:
    """Return each problem once, in the order of file and line."""

    def file_and_line(problem: str) -> tuple[str, int]:
        match = re.match(r"(.*?):(\d+): ", problem)
        return (match[1], int(match[2])) if match else ("", 0)

    return sorted(dict.fromkeys(problems), key=file_and_line)


def _structure_problems(path: Path, root: yaml.Node) -> list[str]:
    """Repeated keys, aliases and keys that are not plain words: YAML allows them, and each hides a mistake."""
    problems: list[str] = []
    visited: set[int] = set()
    stack: list[tuple[yaml.Node, int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        location = f"{path}:{node.start_mark.line + 1}"
        if depth > _MAX_DEPTH:
            return [f"{location}: nested more than {_MAX_DEPTH} levels deep"]
        if isinstance(node, yaml.CollectionNode):
            if id(node) in visited:
                return [f"{location}: aliases (*name) are not allowed; write the value out"]
            visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            lines: dict[Hashable, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    problems.append(f"{path}:{line}: a name must be a plain word")
                    continue
                if key.value in lines:
                    problems.append(f"{path}:{line}: {key.value} is given twice (first on line {lines[key.value]})")
                lines.setdefault(key.value, line)
                stack.append((value, depth + 1))
        elif isinstance(node, yaml.SequenceNode):
            stack.extend((child, depth + 1) for child in node.value)
    return sorted(problems)


def _bad_scalar(root: yaml.Node) -> yaml.ScalarNode | None:
    """Return the first value that is not what its tag says, such as ``!!bool maybe``."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, yaml.MappingNode):
            stack.extend(part for pair in reversed(node.value) for part in reversed(pair))
        elif isinstance(node, yaml.SequenceNode):
            stack.extend(reversed(node.value))
        elif isinstance(node, yaml.ScalarNode):
            try:
                yaml.SafeLoader("").construct_document(node)
            except (yaml.YAMLError, *_BAD_SCALAR):
                return node
    return None


def _shortened(problems: Sequence[str]) -> tuple[str, ...]:
    more = len(problems) - _MAX_PROBLEMS
    return (*problems[:_MAX_PROBLEMS], f"and {more:,} more") if more > 0 else tuple(problems)
