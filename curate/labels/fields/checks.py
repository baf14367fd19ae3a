"""Checks and rules that several field types share."""

from collections.abc import Mapping, Sequence
from typing import Any

from curate.labels.taxonomy import Label, Taxonomy


def known_label(name: Any, taxonomy: Taxonomy) -> str:
    """Return ``name``. Raises ``ValueError`` unless it is a label of the taxonomy."""
    if not isinstance(name, str) or name not in taxonomy.by_name:
        raise ValueError(f"{name!r} is not a label of {taxonomy.taxonomy}")
    return name


def check_compatible(labels: Sequence[str], taxonomy: Taxonomy) -> None:
    """Raise ``ValueError`` if a label of absence, such as neutral, is chosen together with another."""
    left_out = [label for label in labels if label not in taxonomy.compatible(labels)]
    if left_out:
        chosen = ", ".join(label for label in labels if label not in left_out)
        raise ValueError(f"{left_out[0]!r} goes with no other label, and {chosen or left_out[-1]!r} is chosen too")


def members(value: Any, *names: str, optional: Sequence[str] = ()) -> list[Any]:
    """Return the members of a mapping in order, with None for missing optional ones.

    Raises ``ValueError`` for missing and for unknown members.
    """
    mapping = value if isinstance(value, Mapping) else {}
    allowed = (*names, *optional)
    if missing := [name for name in names if name not in mapping]:
        raise ValueError(f"{missing[0]} is missing in {repr(value)[:60]}")
    if unknown := [name for name in mapping if name not in allowed]:
        raise ValueError(f"{unknown[0]!r} is not one of {', '.join(allowed)}")
    return [mapping.get(name) for name in allowed]


def is_settled(votes: int, raters: int, rule: str) -> bool:
    """Return whether ``votes`` of ``raters`` are enough under an aggregation rule."""
    if rule == "union":
        return votes > 0
    return votes == raters if rule == "intersection" else votes * 2 > raters


def unanimous(values: Sequence[Any]) -> bool:
    """Return whether all raters gave the same value."""
    return all(value == values[0] for value in values)


def label_lines(taxonomy: Taxonomy, *, multiple: bool = False) -> list[str]:
    """Return a line of a prompt for each label, children indented: its name, its meaning, and if it excludes others."""
    lines = []
    for label in taxonomy.labels:
        indent = "  " * (len(taxonomy.path(label.name)) - 1)
        alone = " Never together with another label." if multiple and label.absence else ""
        lines.append(f"{indent}- {label.name}{_meaning(label)}{alone}")
    return lines


def _meaning(label: Label) -> str:
    if label.definition:
        return f": {label.definition}"
    return f" (such as {', '.join(label.synonyms[:4])})" if label.synonyms else ""
