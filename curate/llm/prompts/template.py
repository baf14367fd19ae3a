"""The template language of prompts: ``{{name}}``, and sections that depend on whether a name has a value."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from curate.llm.request import MessagePart

_TAG = re.compile(r"\{\{(?P<sigil>[#^/]?)(?P<name>[a-z][a-z0-9_]*)\}\}")
_STRAY_BRACES = re.compile(r"\{\{[^{}\n]{0,30}\}?\}?|\}\}")


class Placeholder(NamedTuple):
    """``{{name}}``: replaced by the value of the name."""

    name: str
    line: int


class Section(NamedTuple):
    """Nodes rendered only if ``name`` has a value (``kind`` is #) or has none (^). Sections do not nest."""

    kind: Literal["#", "^"]
    name: str
    nodes: tuple["str | Placeholder", ...]
    line: int


Node = str | Placeholder | Section


@dataclass(frozen=True, eq=False)
class Template:
    """A parsed template and its mistakes as (line, sentence) pairs."""

    nodes: tuple[Node, ...] = ()
    problems: tuple[tuple[int, str], ...] = ()

    def placeholders(self) -> Iterator[tuple[Placeholder, Section | None]]:
        """Yield every placeholder with the section around it."""
        for node in self.nodes:
            if isinstance(node, Placeholder):
                yield node, None
            elif isinstance(node, Section):
                yield from ((inner, node) for inner in node.nodes if isinstance(inner, Placeholder))

    def sections(self) -> Iterator[Section]:
        """Yield every section in order."""
        return (node for node in self.nodes if isinstance(node, Section))

    def render(self, values: Mapping[str, Sequence[MessagePart]]) -> tuple[MessagePart, ...]:
        """Return the parts of a message: stripped text and media in order. Names without a value render as nothing."""
        names = frozenset(name for name, parts in values.items() if parts)
        parts: list[MessagePart] = []
        for node in _active_nodes(self, names):
            parts += values[node.name] if isinstance(node, Placeholder) else (node,)
        return tuple(_merge_text(parts))


@lru_cache(maxsize=256)
def _active_nodes(template: Template, names: frozenset[str]) -> tuple[str | Placeholder, ...]:
    # Cached because most items have values for the same names.
    active: list[str | Placeholder] = []
    for node in template.nodes:
        if not isinstance(node, Section):
            active.append(node)
        elif (node.name in names) == (node.kind == "#"):
            active += node.nodes
    return tuple(node for node in active if isinstance(node, str) or node.name in names)


def parse_template(text: str, *, first_line: int) -> Template:
    """Return the template; ``first_line`` is the number of its first line in the file, for messages.

    A section tag alone on its line takes no line in the result.
    """
    nodes: list[Node] = []
    inner: list[str | Placeholder] = []
    problems: list[tuple[int, str]] = []
    opened: tuple[Literal["#", "^"], str, int] | None = None
    position = 0
    for tag in _TAG.finditer(text):
        line = first_line + text.count("\n", 0, tag.start())
        sigil, name = tag["sigil"], tag["name"]
        start, end = _tag_span(text, tag) if sigil else tag.span()
        literal, position = text[position : max(position, start)], max(position, end)
        target = nodes if opened is None else inner
        problems += _stray_braces(literal, line)
        if literal:
            target.append(literal)
        if not sigil:
            target.append(Placeholder(name, line))
        elif sigil in ("#", "^"):
            if opened:
                problems.append(
                    (line, f"{{{{{sigil}{name}}}}} is inside {{{{{opened[0]}{opened[1]}}}}}; close that section first")
                )
                continue
            opened, inner = ("#" if sigil == "#" else "^", name, line), []
        elif opened is None or opened[1] != name:
            problems.append((line, f"{{{{/{name}}}}} closes no section"))
        else:
            nodes.append(Section(opened[0], name, tuple(inner), opened[2]))
            opened = None
    rest = text[position:]
    problems += _stray_braces(rest, first_line + text.count("\n"))
    if opened:
        problems.append((opened[2], f"{{{{{opened[0]}{opened[1]}}}}} is never closed by {{{{/{opened[1]}}}}}"))
    return Template((*nodes, rest) if rest else tuple(nodes), tuple(problems))


def _tag_span(text: str, tag: re.Match[str]) -> tuple[int, int]:
    """Return where a tag starts and ends, or its whole line if nothing else is on it."""
    start = text.rfind("\n", 0, tag.start()) + 1
    end = text.find("\n", tag.end())
    end = len(text) if end < 0 else end + 1
    if text[start : tag.start()].strip() or text[tag.end() : end].strip():
        return tag.span()
    return start, end


def _stray_braces(literal: str, last_line: int) -> Iterator[tuple[int, str]]:
    for match in _STRAY_BRACES.finditer(literal):
        line = last_line - literal.count("\n", match.start())
        yield line, f"{match[0]} is not a tag; valid: {{{{name}}}}, {{{{#name}}}}, {{{{^name}}}} and {{{{/name}}}}"


def _merge_text(parts: Sequence[MessagePart]) -> Iterator[MessagePart]:
    """Join neighbouring texts, strip them, and drop empty ones."""
    text = ""
    for part in (*parts, None):
        if isinstance(part, str):
            text += part
            continue
        if text.strip():
            yield text.strip()
        text = ""
        if part is not None:
            yield part
