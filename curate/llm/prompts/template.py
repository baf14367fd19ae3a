"""The one form of template that prompts have: ``{{name}}``, and parts that stand only with or without a name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from curate.llm.request import Part

_TAG = re.compile(r"\{\{(?P<sigil>[#^/]?)(?P<name>[a-z][a-z0-9_]*)\}\}")


class Name(NamedTuple):
    """A place that is filled."""

    name: str
    line: int


class Section(NamedTuple):
    """A part that stands only where ``name`` is there (``kind`` is #) or is not (^). Sections hold no sections."""

    kind: Literal["#", "^"]
    name: str
    inside: tuple["str | Name", ...]
    line: int


Node = str | Name | Section


@dataclass(frozen=True, eq=False)
class Template:
    """A parsed template, and what is wrong with it: line and sentence."""

    nodes: tuple[Node, ...] = ()
    problems: tuple[tuple[int, str], ...] = ()

    def names(self) -> Iterator[tuple[Name, Section | None]]:
        """Every place that is filled, with the section around it."""
        for node in self.nodes:
            if isinstance(node, Name):
                yield node, None
            elif isinstance(node, Section):
                yield from ((each, node) for each in node.inside if isinstance(each, Name))

    def sections(self) -> Iterator[Section]:
        """Every section in order."""
        return (node for node in self.nodes if isinstance(node, Section))

    def render(self, values: Mapping[str, Sequence[Part]]) -> tuple[Part, ...]:
        """The parts of a message: text joined, without blank ends, and media in their places; nothing for no value."""
        parts: list[Part] = []
        for node in _standing(self, frozenset(name for name, given in values.items() if given)):
            parts += values[node.name] if isinstance(node, Name) else (node,)
        return tuple(_joined(parts))


@lru_cache(maxsize=256)
def _standing(template: Template, there: frozenset[str]) -> tuple[str | Name, ...]:
    """What is left of a template where only these names have values: most items have the same."""
    found: list[str | Name] = []
    for node in template.nodes:
        is_out = isinstance(node, Section) and (node.name in there) != (node.kind == "#")
        for each in () if is_out else node.inside if isinstance(node, Section) else (node,):
            if isinstance(each, str) and found and isinstance(last := found[-1], str):
                found[-1] = last + each
            elif isinstance(each, str) or each.name in there:
                found.append(each)
    return tuple(found)


def parse_template(text: str, *, first_line: int) -> Template:
    """A template whose first line is number ``first_line`` of its file.

    A tag of a section that stands alone on its line takes no line up.
    """
    nodes: list[Node] = []
    inside: list[str | Name] = []
    problems: list[tuple[int, str]] = []
    begun: tuple[Literal["#", "^"], str, int] | None = None
    at = 0
    for tag in _TAG.finditer(text):
        line = first_line + text.count("\n", 0, tag.start())
        sigil, name = tag["sigil"], tag["name"]
        before, after = _bounds(text, tag) if sigil else (tag.start(), tag.end())
        literal, at = text[at : max(at, before)], max(at, after)
        into = nodes if begun is None else inside
        problems += _leftovers(literal, line)
        if literal:
            into.append(literal)
        if not sigil:
            into.append(Name(name, line))
        elif sigil in ("#", "^"):
            if begun:
                problems.append(
                    (line, f"{{{{{sigil}{name}}}}} stands within {{{{{begun[0]}{begun[1]}}}}}; close it first")
                )
                continue
            begun, inside = ("#" if sigil == "#" else "^", name, line), []
        elif begun is None or begun[1] != name:
            problems.append((line, f"{{{{/{name}}}}} closes nothing"))
        else:
            nodes.append(Section(begun[0], name, tuple(inside), begun[2]))
            begun = None
    rest = text[at:]
    problems += _leftovers(rest, first_line + text.count("\n"))
    if begun:
        problems.append((begun[2], f"{{{{{begun[0]}{begun[1]}}}}} is never closed by {{{{/{begun[1]}}}}}"))
    return Template((*nodes, rest) if rest else tuple(nodes), tuple(problems))


def _bounds(text: str, tag: re.Match[str]) -> tuple[int, int]:
    """Where a tag begins and ends, its whole line where it stands alone."""
    begin = text.rfind("\n", 0, tag.start()) + 1
    end = text.find("\n", tag.end())
    end = len(text) if end < 0 else end + 1
    if text[begin : tag.start()].strip() or text[tag.end() : end].strip():
        return tag.start(), tag.end()
    return begin, end


def _leftovers(literal: str, last_line: int) -> Iterator[tuple[int, str]]:
    """Braces that are no tag."""
    for found in re.finditer(r"\{\{[^{}\n]{0,30}\}?\}?|\}\}", literal):
        line = last_line - literal.count("\n", found.start())
        yield line, f"{found[0]} is not a tag; there are {{{{name}}}}, {{{{#name}}}}, {{{{^name}}}} and {{{{/name}}}}"


def _joined(parts: Sequence[Part]) -> Iterator[Part]:
    """Neighbouring texts as one; texts without blank ends, empty ones left out."""
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
