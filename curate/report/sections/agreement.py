"""How far people agree: the main figure of each field as a plot, and all figures behind it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from curate.corpus.figures import Figure

_MAIN = ("krippendorff_alpha", "label_alpha", "gwet", "ccc", "icc_2_1", "detection_f1", "boundary_f1", "percent")
"""Which measure of a field is its main one: the first that it has"""
_WIDTH = 100.0


class AgreementFigure(NamedTuple):
    """The main figure of a field or group; positions from 0 to 100 on a scale from ``SCALE[0]`` to ``SCALE[1]``."""

    name: str
    row: Figure
    dot: float
    line: tuple[float, float] | None


class AgreementGroup(NamedTuple):
    """The main figures that are defined, and every figure with the words of its group."""

    figures: list[AgreementFigure]
    rows: list[tuple[str, Figure]]


SCALE = (-0.2, 1.0)
ZERO = 100 * (0 - SCALE[0]) / (SCALE[1] - SCALE[0])


def agreement_group(rows: Sequence[Figure], by: str = "") -> AgreementGroup:
    """Return the plot and the table of some agreement rows, which are grouped by ``by``."""
    keyed: dict[tuple[Any, ...], list[Figure]] = {}
    for row in rows:
        outer = {key: value for key, value in row.group.items() if key in (by, "values", "arm")}
        keyed.setdefault((row.field, *sorted((k, str(v)) for k, v in outer.items())), []).append(row)
    figures: list[AgreementFigure] = []
    for members in keyed.values():
        main = _main(members)
        if main is not None and main.value is not None:
            line = None if main.low is None or main.high is None else (_x_position(main.low), _x_position(main.high))
            figures.append(AgreementFigure(_name(main, by), main, _x_position(main.value), line))
    return AgreementGroup(figures, [(_words(row.group), row) for row in rows])


def _main(rows: Iterable[Figure]) -> Figure | None:
    rows = list(rows)
    for start in _MAIN:
        for row in rows:
            if row.measure.startswith(start) and "tolerance" not in row.group:
                return row
    return rows[0] if rows else None


def _name(row: Figure, by: str) -> str:
    return ", ".join([row.field, *(words for words in (_words(_only(row.group, (by, "values"))),) if words)])


def _only(group: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key in keys}


def _words(group: Mapping[str, Any]) -> str:
    entries = ((key, "not stated" if value is None else str(value)) for key, value in group.items())
    return ", ".join(
        value if key in ("values", "arm", "rater", "label") else f"{key} {value}" for key, value in entries
    )


def _x_position(value: float) -> float:
    share = (value - SCALE[0]) / (SCALE[1] - SCALE[0])
    return round(_WIDTH * min(1.0, max(0.0, share)), 2)
