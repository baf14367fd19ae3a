"""Times of annotations: of time slots, between slots without a value, and of annotations that refer to others."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from curate.media.tiers.contents import QUOTED
from curate.media.tiers.elan.parse import Document, RawAnnotation

_SUBDIVISION = "Symbolic_Subdivision"
Times = dict[str, tuple[float, float]]
Faults = dict[str, str]


def align(document: Document) -> tuple[Times, Faults]:
    """Return start and end of annotations in milliseconds, and why the others have none, both by id."""
    by_tier = defaultdict[str, list[RawAnnotation]](list)
    for raw in document.annotations:
        by_tier[raw.tier].append(raw)
    times, faults = Times(), Faults()
    slots = dict(document.slots)
    for tier in _parents_first(document):
        annotations = by_tier.pop(tier, [])
        aligned = [raw for raw in annotations if raw.slots is not None]
        _fill_slots(slots, aligned)
        for raw in aligned:
            _align_slots(raw, slots, times, faults)
        kind = document.tiers[tier].kind
        _align_references(
            [raw for raw in annotations if raw.slots is None],
            times,
            faults,
            is_subdivided=document.constraints.get(kind) == _SUBDIVISION,
        )
    return times, faults


def _parents_first(document: Document) -> list[str]:
    """Return the tiers, each after the one that it depends on; those that depend on each other are last."""
    ordered: dict[str, None] = {}
    waiting = list(document.tiers)
    while waiting:
        ready = [name for name in waiting if _parent(document, name) in ordered or not _parent(document, name)]
        ordered.update(dict.fromkeys(ready or waiting))
        waiting = [name for name in waiting if name not in ordered]
    return list(ordered)


def _parent(document: Document, tier: str) -> str:
    parent = document.tiers[tier].parent
    return parent if parent in document.tiers else ""


def _fill_slots(slots: dict[str, float | None], annotations: Sequence[RawAnnotation]) -> None:
    """Give slots without a value, between annotations that follow each other, evenly spread times as ELAN does."""
    following = {raw.slots[0]: raw.slots[1] for raw in annotations if raw.slots is not None}
    visited: set[str] = set()
    for start in [slot for slot in following if slots.get(slot) is not None]:
        run = [start]
        slot: str | None = following[start]
        # Each slot is visited once, however many annotations lead to it.
        while slot is not None and slot in slots and slots[slot] is None and slot not in visited:
            visited.add(slot)
            run.append(slot)
            slot = following.get(slot)
        first, last = slots[start], slots.get(slot) if slot is not None else None
        if len(run) > 1 and first is not None and last is not None:
            step = (last - first) / len(run)
            slots.update({name: first + step * index for index, name in enumerate(run[1:], start=1)})


def _align_slots(raw: RawAnnotation, slots: Mapping[str, float | None], times: Times, faults: Faults) -> None:
    values: list[float] = []
    for slot in raw.slots or ():
        value = slots.get(slot)
        if slot not in slots:
            faults[raw.name] = f"its time slot {slot[:QUOTED]!r} is not in the file"
            return
        if value is None:
            faults[raw.name] = f"its time slot {slot[:QUOTED]!r} has no time, and none can be told from those around it"
            return
        if value != value:
            faults[raw.name] = f"the time of its slot {slot[:QUOTED]!r} is not a whole number of milliseconds"
            return
        values.append(value)
    times[raw.name] = (values[0], values[1])


def _align_references(
    annotations: Sequence[RawAnnotation], times: Times, faults: Faults, *, is_subdivided: bool
) -> None:
    """Give annotations the times of those that they refer to, or equal shares of them where they divide them."""
    by_parent = defaultdict[str, list[RawAnnotation]](list)
    for raw in annotations:
        if raw.parent not in times:
            state = "cannot be used" if raw.parent in faults else "has no times before it in the order of tiers"
            faults[raw.name] = f"it refers to annotation {raw.parent[:QUOTED]!r}, which {state}"
        else:
            by_parent[raw.parent].append(raw)
    for parent, parts in by_parent.items():
        start, end = times[parent]
        if not is_subdivided:
            times.update({raw.name: (start, end) for raw in parts})
            continue
        step = (end - start) / len(parts)
        for index, raw in enumerate(_in_order(parts)):
            times[raw.name] = (start + step * index, start + step * (index + 1))


def _in_order(parts: Sequence[RawAnnotation]) -> list[RawAnnotation]:
    """Return annotations of one parent, each after the one that it names as the previous; the others as in the file."""
    by_previous: dict[str, RawAnnotation] = {}
    names = {raw.name for raw in parts}
    for raw in parts:
        by_previous.setdefault(raw.previous if raw.previous in names else "", raw)
    ordered: dict[str, RawAnnotation] = {}
    following = by_previous.get("")
    while following is not None and following.name not in ordered:
        ordered[following.name] = following
        following = by_previous.get(following.name)
    return [*ordered.values(), *(raw for raw in parts if raw.name not in ordered)]
