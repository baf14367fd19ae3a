"""The part of a card on the model's proposals, measured against people who saw none."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from curate.hub.card_facts import AuditFigure
from curate.hub.card_sections import code, escape, table
from curate.sentences import count_of

_HEADING = "## Audit of the proposals"
_KINDS = ("share", "mean")
_OF_ALL = {"people": "by people", "ppi": "with the model's help", "model": "by the model alone"}
_TOO_FINE = "reliability"


def audit_section(figures: Sequence[AuditFigure], unaudited: int) -> str:
    """Return the audit as tables, with its notes; empty if nobody judged without seeing a proposal.

    ``unaudited`` is the number of judgements if they are too many to be audited here.
    """
    if unaudited:
        return f"{_HEADING}\n\n{count_of(unaudited, 'judgement')} are too many to be audited here."
    if not figures:
        return ""
    parts = [_HEADING, "The model's proposals, measured against judgements of people who did not see them."]
    defined = [figure for figure in figures if figure.value is not None]
    topics = list(dict.fromkeys(figure.topic for figure in defined))
    for topic in topics:
        members = [figure for figure in defined if figure.topic == topic]
        if shares := _shares(members):
            parts += [_title(topic), table(["field", "of", *_OF_ALL.values()], shares)]
        if rows := [_row(figure) for figure in members if _kind(figure) not in (*_KINDS, _TOO_FINE)]:
            parts += [_title(topic), table(["field", "", "value", "95 % interval", "items", "raters"], rows)]
    return "\n\n".join([*parts, "\n".join(_notes(figures))])


def _title(topic: str) -> str:
    return f"{topic[:1].upper()}{topic[1:]}{'' if topic.endswith('?') else ':'}"


def _kind(figure: AuditFigure) -> str:
    return figure.measure.partition("_")[0]


def _row(figure: AuditFigure) -> list[str]:
    value = "" if figure.value is None else f"{figure.value:.3f}"
    interval = "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"
    counts = (f"{figure.items:,}", f"{figure.raters:,}")
    return [f"`{code(figure.field)}`", escape(figure.name), value, interval, *counts]


def _shares(figures: Sequence[AuditFigure]) -> list[list[str]]:
    """Return a row for each label or number with an interval, and its share or mean by each way to tell it.

    Without an interval, too few items were judged to say anything of the others.
    """
    cells: dict[tuple[str, str], dict[str, str]] = {}
    bounded: set[tuple[str, str]] = set()
    for figure in figures:
        kind, estimator = _kind(figure), figure.measure.partition("_")[2]
        if kind in _KINDS and estimator in _OF_ALL:
            interval = "" if figure.low is None or figure.high is None else f" ({figure.low:.3f} to {figure.high:.3f})"
            of = str(figure.group.get("label", kind))
            bounded |= {(figure.field, of)} if interval else set()
            cells.setdefault((figure.field, of), {})[estimator] = f"{figure.value:.3f}{interval}"
    return [
        [f"`{code(field)}`", escape(of), *(by_estimator.get(estimator, "") for estimator in _OF_ALL)]
        for (field, of), by_estimator in cells.items()
        if (field, of) in bounded
    ]


def _notes(figures: Sequence[AuditFigure]) -> Iterator[str]:
    """Yield each note once: first those of all figures of a field, then others with what they are about."""
    fields_of_note: dict[str, list[str]] = {}
    single: dict[str, list[str]] = {}
    for field, members in groupby(figures, key=lambda figure: figure.field):
        rows = [figure for figure in members if figure.measure != _TOO_FINE]
        shared = set.intersection(*(set(figure.note.split("; ")) for figure in rows)) if rows else set()
        for note in (note for note in (rows[0].note.split("; ") if rows else ()) if note in shared):
            fields_of_note.setdefault(note, []).append(code(field))
        for figure in rows:
            remainder = "; ".join(note for note in figure.note.split("; ") if note not in shared)
            single.setdefault(remainder, []).append(f"{code(field)}: {escape(figure.name.rpartition(': ')[2])}")
    for note, names in (*fields_of_note.items(), *single.items()):
        if note:
            yield f"- {escape(note)} ({', '.join(dict.fromkeys(names))})"
