"""Tables of figures with notes: those that all figures of a table share above it, the others as footnotes."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from curate.cli.output import say, show_table


class Line(NamedTuple):
    """A line of a table: its cells, the first one its name, and notes (``;`` between them)."""

    cells: Sequence[Any]
    note: str = ""


class Figures(NamedTuple):
    """A table of figures; with ``inline``, notes of a line stand in it instead of below all tables."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Line]
    inline: bool = False


def show_figures(tables: Iterable[Figures]) -> None:
    """Print tables with their titles and notes; of a table without any figure, only these."""
    footnotes: dict[str, int] = {}
    for number, table in enumerate(tables):
        lines = table.lines
        shared = [note for note in _notes(lines[0]) if all(note in _notes(line) for line in lines)]
        rows = []
        for line in lines:
            line_notes = [note for note in _notes(line) if note not in shared]
            marks = [f"[{footnotes.setdefault(note, len(footnotes) + 1)}]" for note in line_notes if not table.inline]
            rows.append((*line.cells, "; ".join(line_notes) if table.inline else " ".join(marks)))
        if number:
            say("")
        say(table.title)
        for note in shared:
            say(f"  {note}")
        if any(cell not in ("", "-", None) for line in lines for cell in line.cells[1:]):
            show_table([*table.columns, ""], rows)
    if footnotes:
        say("")
    for text, mark in footnotes.items():
        say(f"[{mark}] {text}")


def interval_cell(lower: float | None, upper: float | None) -> str:
    """Return an interval in words, empty for none."""
    return "" if lower is None or upper is None else f"{lower:.3f} to {upper:.3f}"


def _notes(line: Line) -> list[str]:
    return [note for note in line.note.split("; ") if note]
