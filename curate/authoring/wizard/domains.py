"""What the values of a column are: labels of a shipped taxonomy or of their own, or numbers on a scale."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from curate.annotation.importing.answers import find_label
from curate.assets import list_assets
from curate.authoring.wizard.sample import parsed
from curate.labels import Taxonomy, load_labels, load_taxonomy

_SEPARATORS = ("|", ";", ",")
_MAX_LABELS, _MAX_LABEL_CHARS = 60, 60
_MAX_GRADES = 11
_USED_LABELS = 3
_USUAL_SCALES = ((0.0, 1.0), (-1.0, 1.0), (1.0, 5.0), (1.0, 7.0), (1.0, 9.0), (1.0, 10.0), (0.0, 10.0), (0.0, 100.0))


class Domain(NamedTuple):
    """The settings of the field that the values answer, those of a mapping, and labels that no taxonomy ships with."""

    field: Mapping[str, Any]
    value: Mapping[str, Any] = {}
    labels: tuple[str, ...] = ()
    """The labels of a taxonomy to write; empty if a shipped one fits"""
    definitions: Mapping[str, str] = {}
    """What labels of that taxonomy mean, where something says so"""

    @property
    def is_shipped(self) -> bool:
        """Whether the values are labels of a taxonomy that ships with curate."""
        return "taxonomy" in self.field and not self.labels


def domain_of(values: Collection[str], *, is_label: bool = False) -> Domain | None:
    """Return what values that are not blank are; None if they are neither numbers nor few enough to be labels.

    ``is_label`` says that numbers are names of labels, and that labels may be any words.
    """
    counts = Counter(values)
    numbers = _numbers(counts)
    if numbers is not None and not (is_label and len(counts) <= _MAX_LABELS and _are_whole(numbers)):
        return Domain(_scale(numbers)) if numbers else None
    answers, settings = _answers(counts)
    labels = Counter(
        label for answer, count in answers.items() for label in dict.fromkeys(answer) for _ in range(count)
    )
    if not labels or len(labels) > _MAX_LABELS or any(len(label) > _MAX_LABEL_CHARS for label in labels):
        return None
    field: dict[str, Any] = {"type": "category"}
    if settings or any(len(answer) > 1 for answer in answers):
        field["multiple"] = True
    if numbers is None and len(labels) > 1 and (taxonomy := covering(labels, answers)) is not None:
        return Domain({**field, "taxonomy": taxonomy.taxonomy}, settings)
    return Domain(field, settings, _spelled_once(labels)) if is_label else None


def covering(names: Iterable[str], answers: Iterable[Sequence[str]] = ()) -> Taxonomy | None:
    """Return the smallest shipped taxonomy that has all these labels, and allows those of each answer together."""
    names = list(names)
    for taxonomy in _taxonomies():
        try:
            labels = {name: _named(name, taxonomy) for name in names}
        except ValueError:
            continue
        together = ([labels[name] for name in answer] for answer in answers)
        if all(len(taxonomy.compatible(labels)) == len(set(labels)) for labels in together):
            return taxonomy
    return None


def known_names(names: Iterable[str]) -> tuple[Taxonomy, dict[str, str]] | None:
    """Return the shipped taxonomy that has most of these labels, and what it calls those that it has."""
    best: tuple[Taxonomy, dict[str, str]] | None = None
    names = list(names)
    for taxonomy in _taxonomies():
        labels = {}
        for name in names:
            try:
                labels[name] = _named(name, taxonomy)
            except ValueError:
                continue
        if len(set(labels.values())) == len(labels) and (best is None or len(labels) > len(best[1])):
            best = taxonomy, labels
    return best


def _named(name: str, taxonomy: Taxonomy) -> str:
    """Return the label of this name, not one whose code it happens to be. Raises ``ValueError``."""
    label = find_label(name, taxonomy)
    if label.casefold() != " ".join(name.split()).casefold():
        raise ValueError(f"{name!r} is a code")
    return label


@cache
def _taxonomies() -> tuple[Taxonomy, ...]:
    """Return the shipped taxonomies, small ones first, and before slightly smaller ones those that schemas use."""
    used = {
        field.scored_taxonomy.taxonomy
        for name in list_assets("schemas/labels", suffix=".yaml")
        for field in load_labels(name).fields.values()
        if field.scored_taxonomy is not None
    }
    taxonomies = [load_taxonomy(name) for name in list_assets("schemas/taxonomies", suffix=".yaml")]
    return tuple(sorted(taxonomies, key=lambda t: (len(t.labels) - _USED_LABELS * (t.taxonomy in used), t.taxonomy)))


def _answers(counts: Mapping[str, int]) -> tuple[dict[tuple[str, ...], int], dict[str, Any]]:
    """Return the labels in each value, with how often it occurs, and the setting that separates them."""
    lists = {value: parsed(value) for value in counts if value.startswith("[")}
    if lists and all(isinstance(members, list) for members in lists.values()):
        wholes = {value: tuple(map(str, lists.get(value) or [value])) for value in counts}
        return _summed(counts, wholes), {}
    for separator in _SEPARATORS:
        parts = {value: _parts(value, separator) for value in counts}
        distinct = {part for labels in parts.values() for part in labels}
        if any(len(labels) > 1 for labels in parts.values()) and len(distinct) < len(counts):
            return _summed(counts, parts), {"split": separator}
    return _summed(counts, {value: (value,) for value in counts}), {}


def _parts(value: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(separator) if part.strip())


def _summed(counts: Mapping[str, int], parts: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    answers: Counter[tuple[str, ...]] = Counter()
    for value, count in counts.items():
        answers[parts[value]] += count
    return dict(answers)


def _spelled_once(labels: Mapping[str, int]) -> tuple[str, ...]:
    """Return labels, of those that differ in case and spaces only the commonest, in order of their names."""
    spellings: dict[str, str] = {}
    for label in sorted(labels, key=lambda label: (-labels[label], label)):
        spellings.setdefault(" ".join(label.split()).casefold(), label)
    return tuple(sorted(spellings.values()))


def _numbers(values: Iterable[str]) -> list[float] | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _are_whole(numbers: Sequence[float]) -> bool:
    return all(number.is_integer() for number in numbers)


def _scale(numbers: Sequence[float]) -> dict[str, Any]:
    """Return a scale that holds the numbers: a usual one if there is."""
    lower, upper = min(numbers), max(numbers)
    if _are_whole(numbers) and lower <= 0:
        ends = (min(lower, -upper), max(-lower, upper)) if lower < 0 else (0.0, upper)
    else:
        usual = (ends for ends in _USUAL_SCALES if ends[0] <= lower and upper <= ends[1])
        ends = next(usual, (float(math.floor(lower)), float(math.ceil(upper))))
    if ends[0] == ends[1]:
        ends = (ends[0], ends[1] + 1)
    is_ordinal = _are_whole(numbers) and ends[1] - ends[0] < _MAX_GRADES
    return {
        "type": "scale",
        "minimum": ends[0],
        "maximum": ends[1],
        "level": "ordinal" if is_ordinal else "interval",
    }
