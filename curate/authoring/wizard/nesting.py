"""Lists of rows within the objects of a JSON file, such as the turns of each dialogue."""

from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from curate.annotation.importing.paths import INDEX, UP
from curate.errors import InvalidRow
from curate.stages.tables.documents import documents
from curate.stages.tables.nested import nested_columns, nested_rows

_MAX_DEPTH = 4
_DOCUMENTS = 20
_MIN_ROWS = 2
_IDS = ("id", "name", "key", "dialogue_id", "dialog_id", "conversation_id", "conv_id")


def rows_within(path: Path) -> str | None:
    """Return the path to the longest lists of objects with a text within the first objects; None if there are none."""
    counts: dict[str, int] = {}
    for _, document in islice(documents(path), _DOCUMENTS):
        if isinstance(document, InvalidRow):
            continue
        listed = isinstance(document, list)
        for element in document[:_DOCUMENTS] if listed else [document]:
            for rows, count in _lists(element, "[]." if listed else "", 0):
                counts[rows] = counts.get(rows, 0) + count
    best = max(counts, key=lambda rows: counts[rows], default=None)
    return best if best is not None and counts[best] >= _MIN_ROWS else None


def nested_cells(path: Path, rows: str, limit: int) -> tuple[dict[str, list[str]], bool]:
    """Return the cells of such rows by column (``^name`` for what holds them), and whether these are all rows."""
    columns = nested_columns(path, rows, ())
    read = list(islice(nested_rows(path, rows, columns), limit + 1))
    cells = [row.cells for row in read[:limit] if row.problem is None]
    by_name = {name: [(row[index] or "").strip() for row in cells] for index, name in enumerate(columns)}
    # What holds the rows holds them as one of its members, too.
    own = {name: texts for name, texts in by_name.items() if not (name.startswith(UP) and _are_nested(texts))}
    return own, len(read) <= limit


def _are_nested(cells: list[str]) -> bool:
    return all(cell[:1] in ("[", "{") for cell in cells)


def holder_of(cells: dict[str, list[str]]) -> str | None:
    """Return the column that names what holds each of such rows, such as ``^id``; None if nothing does."""
    names = (UP * levels + name for levels in range(1, _MAX_DEPTH + 1) for name in _IDS)
    return next((name for name in names if name in cells and _are_names(cells[name])), None)


def nested_key(cells: dict[str, list[str]]) -> str | None:
    """Return what names each of such rows: its own id, or that of what holds it with its place; None if nothing does.

    A name that repeats is none.
    """
    for name in _IDS:
        if name in cells and _are_names(cells[name]) and len(set(cells[name])) == len(cells[name]):
            return name
    holder = holder_of(cells)
    if holder is None:
        return None
    # The same name further down would be that of another list.
    runs = sum(first != second for first, second in pairwise(cells[holder])) + 1
    return f"{{{holder}}}_{{{INDEX}}}" if runs == len(set(cells[holder])) else None


def _are_names(cells: list[str]) -> bool:
    return bool(cells) and all(cells)


def _lists(value: Any, path: str, depth: int) -> Iterator[tuple[str, int]]:
    """Yield the paths to lists of objects with a text, and how many objects each has."""
    if depth > _MAX_DEPTH or not isinstance(value, dict):
        return
    for name, member in value.items():
        # Names that a path would have to quote are rare.
        if not (isinstance(name, str) and name.isidentifier() and name.isascii()):
            continue
        inner = f"{path}{name}"
        if isinstance(member, list) and member and all(isinstance(element, dict) for element in member):
            if any(isinstance(text, str) and " " in text for element in member for text in element.values()):
                yield f"{inner}[]", len(member)
            for element in member:
                yield from _lists(element, f"{inner}[].", depth + 1)
        elif isinstance(member, dict):
            yield from _lists(member, f"{inner}.", depth + 1)
