"""How the model's proposals compare with people who saw none: a table for each field."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from curate.corpus.figures import Figure
from curate.report.findings import NamedFigure

_TOO_FINE = frozenset({"reliability"})


class AuditRow(NamedTuple):
    """A figure with its name and the notes that are its own; ``topic`` is empty if the row before has the same."""

    topic: str
    name: str
    row: Figure
    note: str


class AuditTable(NamedTuple):
    """The figures of a field, and the notes that all of them share."""

    field: str
    notes: list[str]
    rows: list[AuditRow]


def audit_tables(figures: Sequence[NamedFigure]) -> list[AuditTable]:
    """Return the figures of an audit by field, without the bins of reliability diagrams."""
    listed = [figure for figure in figures if figure.row.measure not in _TOO_FINE]
    return [_table(field, list(members)) for field, members in groupby(listed, key=lambda figure: figure.row.field)]


def _table(field: str, figures: Sequence[NamedFigure]) -> AuditTable:
    order = list(dict.fromkeys(figure.topic for figure in figures))
    figures = sorted(figures, key=lambda figure: order.index(figure.topic))
    notes = [figure.row.note.split("; ") for figure in figures]
    shared = set.intersection(*map(set, notes))
    topics = ["", *(figure.topic for figure in figures)]
    rows = [
        AuditRow(
            figure.topic if figure.topic != before else "",
            figure.name,
            figure.row,
            "; ".join(note for note in row_notes if note not in shared),
        )
        for figure, row_notes, before in zip(figures, notes, topics, strict=False)
    ]
    return AuditTable(field, [note for note in notes[0] if note and note in shared], rows)
