"""Pairs of items, for people to say which is better."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from curate.labels import LabelSchema
from curate.stages.contract import Problem
from curate.stages.derive.groups import connected_groups
from curate.stages.derive.parents import ParentItem, Parents
from curate.stages.derive.view import Derived, Draw, LeftOut, View, unit_problems

Side = Literal["text", "video", "audio"]
_NEEDS = {
    "text": ("no_text", "it has no text"),
    "video": ("unavailable", "it has no viewing copy yet; `export`, or `annotate push`, of its own corpus makes it"),
    "audio": ("no_audio", "it has no sound"),
}


class Pairs(View):
    """Joins two items to one of unit ``pair``, each two at most once, with sides drawn by the recipe's seed.

    What is drawn once stays drawn when the other corpus grows. Pairs whose parts belong to groups, or have speakers,
    that other pairs share stay together when a release is divided.
    """

    view: Literal["pairs"]
    of: Side
    """What is compared: texts, clips with a picture, or sounds."""
    per_item: int = Field(default=1, ge=1, le=1_000)
    """In how many pairs an item is, at most; with 2 or more, nearly everything is compared over a chain of pairs."""
    same: tuple[str, ...] = ()
    """In what both items of a pair agree: ``speaker``, ``text``, ``source``, ``group``, a column, or a label field."""
    different: str | None = None
    """In what they differ: one of the same, such as ``emotion``, or the column with the model that made a reply."""

    @property
    def is_judged(self) -> bool:
        return False

    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        yield from unit_problems(self.view, "pair", labels)
        if self.different in self.same:
            yield ("different",), f"{self.different} cannot be both the same and different"

    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        pools: dict[tuple[str, ...], list[_Candidate]] = {}
        for item in parents:
            same = tuple(_value(item, name, parents.labels) for name in self.same)
            other = None if self.different is None else _value(item, self.different, parents.labels)
            if not item.row[self.of]:
                yield LeftOut(item.item_id, *_NEEDS[self.of])
            elif None in same or (self.different is not None and other is None):
                yield LeftOut(item.item_id, "filtered", "it lacks what pairs are chosen by")
            else:
                known = tuple(value for value in same if value is not None)
                order = draw.number(item.item_id)
                pools.setdefault(known, []).append(_Candidate(item, order, str(item.row[self.of]), other))
        pairs: list[tuple[ParentItem, ParentItem]] = []
        for pool in pools.values():
            chosen = _choose(sorted(pool, key=lambda c: (c.order, c.item.item_id)), self.per_item, draw)
            pairs += [_sides(first.item, second.item, draw) for first, second in chosen]
            paired = {candidate.item.item_id for pair in chosen for candidate in pair}
            for candidate in pool:
                if candidate.item.item_id not in paired:
                    yield LeftOut(candidate.item.item_id, "filtered", "no partner is left for it")
        groups = connected_groups([_ties(left, right) for left, right in pairs])
        for (left, right), group in zip(pairs, groups, strict=True):
            yield self._pair(left, right, group)

    def _pair(self, left: ParentItem, right: ParentItem, group: str) -> Derived:
        names = {"text": (), "video": ("video", "audio"), "audio": ("audio",)}[self.of]
        media = {
            column: item.row[name]
            for name in names
            if left.row[name] and right.row[name]
            for column, item in ((name, left), (f"{name}_b", right))
        }
        is_text = self.of == "text"
        speakers = {left.row["speaker"], right.row["speaker"]}
        shared = left.row["dialogue"] if left.row["dialogue"] == right.row["dialogue"] else None
        turns = [{"speaker": turn["speaker"], "text": turn["text"]} for turn in shared or ()]
        return Derived(
            parents=(left, right),
            unit="pair",
            text=left.row["text"] if is_text else None,
            text_b=right.row["text"] if is_text else None,
            speaker=speakers.pop() if len(speakers) == 1 else None,
            dialogue=turns if turns and is_text else None,
            media=media,
            layout=self.of,
            group=group,
        )


class _Candidate(NamedTuple):
    item: ParentItem
    order: int
    content: str
    other: str | None


def _choose(pool: Sequence[_Candidate], per_item: int, draw: Draw) -> list[tuple[_Candidate, _Candidate]]:
    """Return pairs of the candidates, in drawn order: those drawn before, then each with the next that is free."""
    taken: Counter[str] = Counter()
    by_id = {candidate.item.item_id: candidate for candidate in pool}
    pairs: dict[frozenset[str], tuple[_Candidate, _Candidate]] = {}
    # How many of those that are free have the same content, or the same value: with nothing else, no search is needed.
    contents, values = (Counter(getattr(candidate, name) for candidate in pool) for name in ("content", "other"))

    def is_free(candidate: _Candidate) -> bool:
        return taken[candidate.item.item_id] < per_item

    def has_partner(first: _Candidate) -> bool:
        free = contents.total()
        return contents[first.content] < free and (first.other is None or values[first.other] < free)

    def may_pair(first: _Candidate, second: _Candidate) -> bool:
        is_new = first.content != second.content and _key(first, second) not in pairs
        return is_new and (first.other is None or first.other != second.other)

    def pair(first: _Candidate, second: _Candidate) -> None:
        pairs[_key(first, second)] = (first, second)
        for candidate in (first, second):
            taken[candidate.item.item_id] += 1
            if taken[candidate.item.item_id] == per_item:
                contents[candidate.content] -= 1
                values[candidate.other] -= 1

    for key in sorted(draw.earlier):
        first, second = (by_id.get(item_id) for item_id in key.split(":")) if key.count(":") == 1 else (None, None)
        if first and second and is_free(first) and is_free(second) and may_pair(first, second):
            pair(first, second)
    ring = [candidate for candidate in pool if is_free(candidate)]
    for index, first in enumerate(ring):
        for step in range(1, len(ring)):
            if not is_free(first) or not has_partner(first):
                break
            second = ring[(index + step) % len(ring)]
            if is_free(second) and may_pair(first, second):
                pair(first, second)
    return list(pairs.values())


def _key(first: _Candidate, second: _Candidate) -> frozenset[str]:
    return frozenset((first.item.item_id, second.item.item_id))


def _sides(first: ParentItem, second: ParentItem, draw: Draw) -> tuple[ParentItem, ParentItem]:
    """Return the items as left and right, drawn for each two, whichever comes first."""
    low, high = sorted((first, second), key=lambda item: item.item_id)
    return (low, high) if draw.number("side", low.item_id, high.item_id) % 2 else (high, low)


def _value(item: ParentItem, name: str, labels: LabelSchema) -> str | None:
    """Return what an item is chosen by: a label of a field, or a column."""
    if (field := labels.fields.get(name)) is not None:
        value = None if item.label is None else item.label[name]
        return None if value is None else ", ".join(field.show(value))
    if name == "group":
        return item.group
    return item.column("source_id" if name == "source" else name)


def _ties(left: ParentItem, right: ParentItem) -> tuple[str, ...]:
    """Return what other pairs must not share across splits: the group first, then speakers."""
    speakers = (f"speaker {item.row['speaker']}" for item in (left, right) if item.row["speaker"])
    return (left.group, right.group, *speakers)
