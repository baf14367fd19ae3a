"""What a reader of exports returns: rows with a column for each control, and counts of what no row has."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from curate.annotation.importing.provenance import Provenance
from curate.annotation.importing.settings import Offsets


class ExportRow(NamedTuple):
    """One answer of one rater to all controls, or a task that nobody answered.

    ``place`` names the record for people. ``task`` has what the task says, by column, ``answers`` the cells of
    controls. Without ``made``, the row is no judgement, only a task. A row with a ``problem`` cannot be used.
    """

    place: str
    task: Mapping[str, str | None] = {}
    answers: Mapping[str, str] = {}
    rater: str | None = None
    made: Provenance | None = None
    problem: str | None = None


class Export(NamedTuple):
    """The rows of a file, what no row has, counted by what it is, and the controls whose answers are in rows."""

    rows: Sequence[ExportRow]
    left_out: Counter[str]
    controls: frozenset[str]

    @property
    def columns(self) -> list[str]:
        """The names of the columns that rows have, in the order in which they first have them."""
        names: dict[str, None] = {}
        for row in self.rows:
            names.update(dict.fromkeys(row.task))
            names.update(dict.fromkeys(row.answers))
        return list(names)


class Options(NamedTuple):
    """What an export does not say of itself: the frame rate of its videos, how it counts places in texts.

    ``rater`` judged everything that names no rater, such as in a file for each user.
    """

    frame_rate_hz: float | None = None
    offsets: Offsets | None = None
    rater: str | None = None


Reader = Callable[[Path, Options], Export]
"""Reads one file. Raises ``InvalidRow`` with a sentence if it is no export of the tool, or cannot be read."""


def to_cell(value: Any) -> str | None:
    """Return an answer as the text of a cell: a single one of a list as it is; objects and lists as JSON."""
    if isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], str | int | float):
        value = value[0]
        if isinstance(value, str) and value.lstrip().startswith("["):
            return json.dumps([value], ensure_ascii=False)
    if value is None or value == [] or value == {}:
        return None
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | tuple | Mapping) else str(value)


def flatten(value: Mapping[str, Any], prefix: str = "", *, depth: int = 3) -> dict[str, str | None]:
    """Return the members of an object as columns, those of objects in it by their path: ``meta.source``."""
    columns: dict[str, str | None] = {}
    for name, member in value.items():
        if isinstance(member, Mapping) and member and depth:
            columns |= flatten(member, f"{prefix}{name}.", depth=depth - 1)
        else:
            columns[f"{prefix}{name}"] = to_cell(member)
    return columns
