"""What an audit reports: one row for each figure, and what each is about."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Options(NamedTuple):
    """What is asked of an audit.

    ``draws`` of the bootstrap (0 for no intervals of that kind), ``epsilon`` of the alternative annotator test, and
    the ``interval`` (its wanted width) for which to say how many judgements are missing.
    """

    draws: int = 1_000
    epsilon: float = 0.2
    interval: float | None = None
    seed: int = 0


DEFAULTS = Options()


class AuditRow(NamedTuple):
    """One figure of an audit.

    ``group`` says of what: ``label``, ``rater``, ``values``, a column, or a bin of scores (``from``, ``to`` and their
    mean ``score``). ``value`` is None where the figure is
    undefined, which ``note`` explains; ``low`` and ``high`` are a 95 % interval. ``p`` is corrected for all comparisons
    of its kind. ``items``, ``judgements`` and ``raters`` are those that the figure rests on.
    """

    field: str
    group: dict[str, Any]
    measure: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    items: int
    judgements: int
    raters: int
    note: str


TOPICS: Mapping[str, Mapping[str, str]] = {
    "may the model replace a rater?": {
        "winning_rate": "raters it wins against (omega)",
        "average_advantage": "as near to others (rho)",
        "advantage": "",
        "none": "nothing to audit",
    },
    "distances, 0 (the same) to 1": {
        "distance_people": "two halves of people",
        "distance_model": "model and half of people",
        "distance_difference": "difference",
        "distance_each": "model and each judgement",
        "distance_prefilled": "model and pre-filled ones",
    },
    "over all items": {
        "share_people": "share by people",
        "share_ppi": "with the model's help",
        "share_model": "by the model alone",
        "mean_people": "mean by people",
        "mean_ppi": "with the model's help",
        "mean_model": "by the model alone",
    },
    "further judgements": {"judgements_needed": ""},
    "are scores probabilities?": {"calibration_error": "calibration error (ECE)", "brier": "Brier score"},
    "share of people who agree, by score": {"reliability": ""},
    "distance of model to people, group minus others": {"model_error": ""},
    "model minus people, group minus others": {"model_shift": ""},
    "rater minus other raters, group minus others": {"rater_shift": ""},
    "groups that are not compared": {"small_groups": ""},
}
"""The measures by what they are about, and each in words where the topic has several."""


_BARE = frozenset({"label", "values"})


def group_name(row: AuditRow) -> str:
    """Return what a row is about, such as ``fear`` or ``speaker Ann``."""
    return ", ".join(str(name) if key in _BARE else f"{key} {name}" for key, name in row.group.items())


def topic_of(row: AuditRow) -> str:
    """Return the topic that a measure belongs to."""
    return next(topic for topic, measures in TOPICS.items() if row.measure in measures)


def figure_name(row: AuditRow) -> str:
    """Return what a figure is, in words, such as ``fear: share by people``."""
    words = TOPICS[topic_of(row)][row.measure]
    group = group_name(row)
    return ": ".join(filter(None, (group if "label" in row.group else "", words))) or group


def joined(*notes: str) -> str:
    """Return notes as one text."""
    return "; ".join(note for note in notes if note)
