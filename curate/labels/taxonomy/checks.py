"""Mistakes among the labels and maps of a taxonomy that are valid one by one."""

import re
import unicodedata
from collections.abc import Iterator, Mapping

from curate.document import LocatedProblem, nearest
from curate.labels.taxonomy.label import Label, MapRule

_EXTERNAL_PART = r"[a-z0-9_]+\.v\d+:."
_MAX_LISTED = 5

Location = tuple[int | str, ...]


def name_key(name: str) -> str:
    """Return what distinguishes names within a taxonomy: everything but case and repeated spaces."""
    return unicodedata.normalize("NFC", " ".join(name.casefold().split()))


def label_problems(labels: tuple[Label, ...], *, has_vad_source: bool) -> Iterator[LocatedProblem]:
    """Yield every mistake among labels, with its location in the file."""
    by_name = {label.name: label for label in labels}
    yield from _name_problems(labels)
    yield from _parent_problems(labels, by_name)
    hotkeys: dict[str, str] = {}
    for index, label in enumerate(labels):
        location = ("labels", index)
        if label.hotkey:
            first = hotkeys.setdefault(label.hotkey, label.name)
            if first != label.name:
                yield (*location, "hotkey"), f"hotkey {label.hotkey} belongs to {first!r} already; choose another"
        if label.opposite is not None:
            yield from _opposite_problems(label, label.opposite, by_name, (*location, "opposite"))
        for part in label.composed_of:
            if part == label.name:
                yield (*location, "composed_of"), f"{label.name!r} is composed of itself"
            elif part not in by_name and not re.match(_EXTERNAL_PART, part):
                yield (*location, "composed_of"), f"{part!r} is not a label here{nearest(part, tuple(by_name))}"
        if (label.valence, label.arousal, label.dominance) != (None,) * 3 and not has_vad_source:
            yield location, f"{label.name!r} has coordinates; name their source as `vad_source` at the top"


def _name_problems(labels: tuple[Label, ...]) -> Iterator[LocatedProblem]:
    names: dict[str, str] = {}
    for index, label in enumerate(labels):
        location, name = ("labels", index, "name"), label.name
        if name != name.strip():
            yield location, f"label {name!r} begins or ends with a space; remove it"
        if any(unicodedata.category(char) == "Cc" for char in name):
            yield location, f"label {name!r} contains a control character or a line break; remove it"
        if any(unicodedata.category(char) == "Cs" for char in name):
            yield location, f"label {name!r} has half of a character (\\ud8…), which YAML does not join; write it out"
        if (first := names.get(name_key(name))) is not None:
            same = "given twice" if first == name else "the same but for case or spaces"
            yield location, f"labels {first!r} and {name!r} are {same}; remove or rename one"
        names.setdefault(name_key(name), name)


def _parent_problems(labels: tuple[Label, ...], by_name: Mapping[str, Label]) -> Iterator[LocatedProblem]:
    reported: set[str] = set()
    rooted: set[str] = set()
    for index, label in enumerate(labels):
        location = ("labels", index, "parent")
        path: dict[str, None] = {}
        step: str | None = label.name
        while step is not None and step in by_name and step not in path and step not in rooted:
            path[step] = None
            step = by_name[step].parent
        if step in path and step not in reported:
            circle = [*list(path)[list(path).index(step) :], step]
            reported.update(circle)
            yield location, f"parents run in a circle: {' > '.join(circle)}; remove one of them"
        rooted.update(path)
        if label.parent is not None and label.parent not in by_name:
            suggestion = nearest(label.parent, tuple(by_name))
            yield location, f"parent {label.parent!r} of {label.name!r} is not a label here{suggestion}"


def _opposite_problems(
    label: Label, opposite: str, by_name: Mapping[str, Label], location: Location
) -> Iterator[LocatedProblem]:
    counterpart = by_name.get(opposite)
    if counterpart is None:
        yield location, f"opposite {opposite!r} is not a label here{nearest(opposite, tuple(by_name))}"
    elif counterpart.name == label.name:
        yield location, f"{label.name!r} is its own opposite"
    elif counterpart.opposite != label.name:
        says = f"says {counterpart.opposite!r}" if counterpart.opposite else "has none"
        yield (
            location,
            f"{label.name!r} says that its opposite is {counterpart.name!r}, which {says}; opposites are mutual",
        )


def map_problems(taxonomy: str, labels: tuple[Label, ...], target: str, rule: MapRule) -> Iterator[LocatedProblem]:
    """Yield every mistake in a map that shows without its target."""
    by_name = {label.name: label for label in labels}
    location = ("maps", target)
    if target == taxonomy:
        yield location, f"{target} maps to itself; remove this map"
        return
    for name in rule.labels:
        if name not in by_name:
            yield (*location, "labels", name), f"{name!r} is not a label here{nearest(name, tuple(by_name))}"
    missing = [name for name in by_name if rule.targets(name, by_name) is None]
    if missing:
        more = f" and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
        listed = ", ".join(map(repr, missing[:_MAX_LISTED])) + more
        yield (*location, "labels"), f"the map leaves out {listed}; add a target, or `{missing[0]}: null` to drop it"
