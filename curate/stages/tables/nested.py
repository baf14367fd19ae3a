"""Rows within the objects of a JSON file, such as the turns of each dialogue, with what holds them."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from curate.annotation.importing.paths import OF_ROWS, UP, Node, parse_path, select, value_of
from curate.errors import InvalidRow
from curate.stages.tables.delimited import Row
from curate.stages.tables.documents import documents, text_row, to_text

_MAX_NAMES = 10_000


def nested_columns(path: Path, rows: str, wanted: Collection[str]) -> list[str]:
    """Return the names that rows and what holds them have, and those paths of ``wanted`` that lead somewhere.

    Raises ``InvalidRow`` if ``rows`` leads nowhere.
    """
    names: dict[str, None] = {}
    open_paths = set(wanted)
    is_empty = True
    for _, node in _nodes(path, rows):
        if isinstance(node, str):
            continue
        is_empty = False
        mark = ""
        holder: Node | None = node
        while holder is not None and len(names) < _MAX_NAMES:
            if isinstance(holder.value, dict):
                names.update(dict.fromkeys(mark + name for name in holder.value))
            mark, holder = mark + UP, holder.parent
        known_paths = [column for column in open_paths if value_of(node, column) is not None]
        names.update(dict.fromkeys(known_paths))
        open_paths.difference_update(known_paths)
    if is_empty:
        raise InvalidRow(f"its path {rows!r} leads to no row")
    # They are there in every row, though maybe blank.
    return list(names | dict.fromkeys(column for column in open_paths if column.lstrip(UP) in OF_ROWS))


def nested_rows(path: Path, rows: str, columns: Sequence[str], names: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows that a path leads to, numbered from 1, with cells as text and None for what a row does not have.

    Rows that are lists have members that are called ``names``.
    """
    for number, node in _nodes(path, rows):
        if isinstance(node, str):
            yield Row(number, [], node)
            continue
        if names and isinstance(node.value, list):
            if len(node.value) != len(names):
                yield Row(number, [], f"the row has {len(node.value)} members, `columns` names {len(names)}")
                continue
            node = node._replace(value=dict(zip(names, node.value, strict=True)))
        try:
            cells: list[Any] = [to_text(value_of(node, column)) for column in columns]
        except RecursionError:
            yield Row(number, [], "it is nested too deeply")
            continue
        if node.value is None:
            yield Row(number, [], "it is null")
        else:
            yield text_row(number, cells)


def _nodes(path: Path, rows: str) -> Iterator[tuple[int, Node | str]]:
    """Yield the number of each row, and the row or a sentence about what cannot be read."""
    tree = parse_path(rows)
    number = 0
    for line, document in documents(path):
        if isinstance(document, InvalidRow):
            number += 1
            yield number, f"line {line}: {document.message}"
            continue
        for node in select(tree, Node(document, position=line - 1)):
            number += 1
            yield number, node
