"""Paths of JMESPath to the rows of a nested document, and to the values of a row."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Optional

_MAX_CHARS = 500
_ALLOWED = frozenset(
    {"field", "subexpression", "index_expression", "index", "slice", "projection", "value_projection", "flatten"}
    | {"filter_projection", "current", "identity", "comparator", "literal"}
    | {"and_expression", "or_expression", "not_expression"}
)
UP, INDEX, KEY, VALUE, LIST = "^", "<index>", "<key>", "<value>", "<list>"
"""The start of names in the object that holds a row; its place in its list; the name that it is a member by; itself;
the place of its list in another one"""
OF_ROWS = (INDEX, KEY, VALUE, LIST)
"""Columns that each row has of itself"""

AT_INDEX = f"[{INDEX}]"

Path = Mapping[str, Any]
"""A parsed path: a node of the syntax tree of JMESPath."""


class Node(NamedTuple):
    """A value within a document, the object that holds it, its place in a list, and the name of the member it is in."""

    value: Any
    parent: Optional["Node"] = None
    position: int | None = None
    key: str | None = None
    outer: int | None = None
    """The place of its list, if that is in a list itself."""

    def member(self, name: str) -> "Node":
        """Return a member of an object."""
        return Node(self.value[name], self, None, name)

    def elements(self) -> Iterator["Node"]:
        """Yield the elements of a list; nothing for any other value."""
        if isinstance(self.value, list):
            for index, value in enumerate(self.value):
                yield Node(value, self.parent, index, self.key, self.position)


@lru_cache(maxsize=1024)
def parse_path(text: str) -> Path:
    """Return a path as a tree. Raises ``ValueError`` with a sentence for anything but names, indices and filters."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    if len(text) > _MAX_CHARS:
        raise ValueError(f"the path {text[:60]!r}… is longer than {_MAX_CHARS} characters")
    try:
        tree: Path = jmespath.compile(text).parsed
    except (JMESPathError, RecursionError) as error:
        raise ValueError(f"{text!r} is not a path such as dialogues[].turns[]: {str(error).splitlines()[0]}") from error
    if unknown := next((node["type"] for node in _nodes(tree) if node["type"] not in _ALLOWED), None):
        raise ValueError(f"{text!r} has a {unknown.replace('_', ' ')}: a path has names, [], indices and filters only")
    return tree


def select(path: Path, node: Node) -> Iterator[Node]:
    """Yield the values that a path leads to, as JMESPath does, each with what holds it."""
    yield from _STEPS.get(path["type"], _plain)(path, node)


def value_of(node: Node, column: str) -> Any:
    """Return the value of a column in a row: a member, a path to one, or ``^name`` of what holds the row.

    Returns None if there is none. Names that are paths as well, such as ``a.b``, are names first. ``[<index>]`` is the
    member of another list at the place that the row has in its own.
    """
    if isinstance(node.value, dict) and column in node.value:
        return node.value[column]
    if AT_INDEX in column:
        if node.position is None:
            return None
        column = column.replace(AT_INDEX, f"[{node.position}]")
    while column.startswith(UP):
        if node.parent is None:
            return None
        node, column = node.parent, column[1:]
    if column in OF_ROWS:
        return {INDEX: node.position, KEY: node.key, VALUE: node.value, LIST: node.outer}[column]
    if isinstance(node.value, dict) and column in node.value:
        return node.value[column]
    try:
        path = parse_path(column)
    except ValueError:
        return None
    return None if path["type"] == "field" else _search(path, node.value)


def _field(path: Path, node: Node) -> Iterator[Node]:
    if isinstance(node.value, dict) and path["value"] in node.value:
        yield node.member(path["value"])


def _chain(path: Path, node: Node) -> Iterator[Node]:
    first, *rest = path["children"]
    for inner in select(first, node):
        yield from _chain({"children": rest}, inner) if rest else (inner,)


def _index(path: Path, node: Node) -> Iterator[Node]:
    elements = list(node.elements())
    if -len(elements) <= path["value"] < len(elements):
        yield elements[path["value"]]


def _projection(path: Path, node: Node) -> Iterator[Node]:
    items, rest = path["children"]
    for element in _elements(items, node):
        yield from select(rest, element)


def _value_projection(path: Path, node: Node) -> Iterator[Node]:
    objects, rest = path["children"]
    for holder in select(objects, node):
        for name in holder.value if isinstance(holder.value, dict) else ():
            yield from select(rest, holder.member(name))


def _filter_projection(path: Path, node: Node) -> Iterator[Node]:
    items, rest, condition = path["children"]
    for element in (element for holder in select(items, node) for element in holder.elements()):
        if _search(condition, element.value) not in (None, False, "", [], {}):
            yield from select(rest, element)


def _plain(path: Path, node: Node) -> Iterator[Node]:
    if (value := _search(path, node.value)) is not None:
        yield node._replace(value=value)


def _elements(path: Path, node: Node) -> Iterator[Node]:
    """Yield the elements of the list that a path leads to, or of the lists in it if they are flattened."""
    if path["type"] == "index_expression" and path["children"][-1]["type"] == "slice":
        *inner, cut = path["children"]
        for holder in _chain({"children": inner}, node):
            yield from list(holder.elements())[slice(*cut["children"])]
        return
    if path["type"] != "flatten":
        yield from (element for holder in select(path, node) for element in holder.elements())
        return
    (inner_path,) = path["children"]
    is_projected = inner_path["type"].endswith("projection")
    holders = select(inner_path, node) if is_projected else _elements(inner_path, node)
    for holder in holders:
        yield from holder.elements() if isinstance(holder.value, list) else (holder,)


_STEPS: Mapping[str, Callable[[Path, Node], Iterator[Node]]] = {
    "field": _field,
    "subexpression": _chain,
    "index_expression": _chain,
    "index": _index,
    "projection": _projection,
    "value_projection": _value_projection,
    "filter_projection": _filter_projection,
    "identity": lambda path, node: iter((node,)),
    "current": lambda path, node: iter((node,)),
}


def _search(path: Path, value: Any) -> Any:
    from jmespath.visitor import TreeInterpreter

    return TreeInterpreter().visit(path, value)


def _nodes(path: Path) -> Iterator[Path]:
    yield path
    for child in path.get("children", ()):
        if isinstance(child, dict):
            yield from _nodes(child)
