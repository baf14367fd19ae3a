"""Reading results of Label Studio controls."""

from collections.abc import Mapping, Sequence
from typing import Any

from curate.labels.fields.checks import known_label
from curate.labels.taxonomy import Taxonomy

Result = dict[str, Any]
"""One entry of a Label Studio result."""


class PartlyRead(ValueError):
    """A part of an answer is not allowed; ``value`` is the rest of it."""

    def __init__(self, message: str, value: Any) -> None:
        super().__init__(message)
        self.value = value


def control_suffix(result: Mapping[str, Any]) -> str:
    """Return the suffix of the control that gave a result; empty for the control named like the field."""
    return str(result.get("from_name") or "").partition("-")[2]


def collect(results: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """Return ``value[key]`` of every result, lists joined. Raises ``ValueError`` for a result without it."""
    entries: list[Any] = []
    for result in results:
        value = value_of(result)
        if key not in value:
            raise ValueError(f"a result without {key!r}")
        entries.extend(value[key] if isinstance(value[key], list) else [value[key]])
    return entries


def value_of(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the ``value`` of a result. Raises ``ValueError`` if it has none."""
    value = result.get("value")
    if isinstance(value, Mapping):
        return value
    raise ValueError(f"a result of type {result.get('type')} without a value")


def region_label(result: Mapping[str, Any], key: str, taxonomy: Taxonomy) -> str:
    """Return the label of a region. Raises ``ValueError`` unless it has exactly one, which the taxonomy knows."""
    labels = value_of(result).get(key)
    if not isinstance(labels, list) or len(labels) != 1:
        count = len(labels) if isinstance(labels, list) else "no"
        raise ValueError(f"a region with {count} labels where one is needed")
    return known_label(labels[0], taxonomy)
