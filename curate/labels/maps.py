"""Maps between taxonomies: direct, or over the shortest chain of maps, each saying what is lost on the way."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from curate.assets import find_asset, list_assets
from curate.document import Document, LocatedProblem, load_document, nearest, sort_problems
from curate.errors import InvalidInput
from curate.labels.taxonomy import Kind, MapRule, Taxonomy, read_taxonomy, targets_of

Weights = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class TaxonomyMap:
    """Where every label of ``source`` goes in ``target``: to one label, to several, or to none."""

    source: Taxonomy
    target: Taxonomy
    weights: Weights
    """For every source label its targets with shares that sum to one; empty for a label that is dropped."""
    lossy: bool
    """Different labels become the same, or are dropped, or only come near."""
    via: tuple[str, ...] = ()
    """The taxonomies between the two, where there is no direct map."""
    sources: tuple[str, ...] = ()
    """What the maps rest on."""

    @property
    def kind(self) -> Kind:
        """How many labels become how many."""
        return kind_of({name: tuple(shares) for name, shares in self.weights.items()})

    @property
    def dropped(self) -> tuple[str, ...]:
        """The source labels that go nowhere."""
        return tuple(name for name, shares in self.weights.items() if not shares)

    @cached_property
    def unreached(self) -> tuple[str, ...]:
        """The target labels that nothing becomes."""
        reached = {target for shares in self.weights.values() for target in shares}
        return tuple(name for name in self.target.names if name not in reached)

    @property
    def one_way(self) -> bool:
        """Whether there is no way back: some label, there or here, has no one counterpart."""
        return self.lossy or self.kind != "one_to_one" or bool(self.unreached)

    def map_label(self, label: str) -> tuple[str, ...]:
        """What one label becomes, in the target's order. Raises ``ValueError`` for an unknown label."""
        self.source.require(label)
        return tuple(self.weights[label])

    def map_scores(self, scores: Mapping[str, float], *, combine: Literal["max", "sum"] = "max") -> dict[str, float]:
        """Scores of labels as scores of target labels, in the target's order; what is dropped is gone.

        ``max`` suits labels judged one by one: the best of those that become the same label. ``sum`` suits shares of
        one whole: they add up, and a label that becomes several is divided. Raises ``ValueError`` for an unknown label.
        """
        found: dict[str, float] = {}
        for label, score in scores.items():
            self.source.require(label)
            for target, share in self.weights[label].items():
                if combine == "sum":
                    found[target] = found.get(target, 0.0) + score * share
                else:
                    found[target] = max(found.get(target, score), score)
        return {target: found[target] for target in sorted(found, key=self._order.__getitem__)}

    @cached_property
    def _order(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.target.names)}


def kind_of(labels: Mapping[str, tuple[str, ...]]) -> Kind:
    """How many labels become how many; those that are dropped do not count."""
    every = [target for targets in labels.values() for target in set(targets)]
    many = len(every) > len(set(every))
    several = any(len(set(targets)) > 1 for targets in labels.values())
    if several:
        return "many_to_many" if many else "one_to_many"
    return "many_to_one" if many else "one_to_one"


def rules_of(taxonomy: Taxonomy) -> dict[str, MapRule]:
    """The taxonomy's maps by target; one whose labels are all composed of another's maps there by their parts."""
    parts = {label.name: [part.partition(":") for part in label.composed_of] for label in taxonomy.labels}
    wholes = {whole for found in parts.values() for whole, colon, _ in found if colon}
    if len(wholes) != 1 or not all(parts.values()) or (target := wholes.pop()) in taxonomy.maps:
        return taxonomy.maps
    labels = {name: tuple(part for _, _, part in found) for name, found in parts.items()}
    kind = kind_of(labels)
    derived = MapRule(kind=kind, lossy=kind.startswith("many"), source=taxonomy.source, labels=labels)
    return {**taxonomy.maps, target: derived}


def load_map(source: str, target: str, beside: Path | None = None) -> TaxonomyMap:
    """The map from one taxonomy to another, composed over the fewest taxonomies where there is no direct one.

    Among chains of one length that with the fewest lossy maps is taken. A map that loses nothing also leads back.
    Raises ``InvalidInput`` with file and line for a map that cannot be followed, and where nothing leads there.
    """
    shelf = _Shelf(beside)
    here, there = shelf.open(source).taxonomy, shelf.open(target).taxonomy
    if source == target:
        return TaxonomyMap(here, here, {name: {name: 1.0} for name in here.names}, lossy=False)
    if target in rules_of(here):
        return shelf.step(source, target)
    queue: list[tuple[int, int, tuple[str, ...]]] = [(0, 0, (source,))]
    done: set[str] = set()
    while queue:
        hops, losses, way = heapq.heappop(queue)
        if way[-1] == target:
            steps = [shelf.step(one, other) for one, other in pairwise(way)]
            return _composed(here, there, steps, way[1:-1])
        if way[-1] in done:
            continue
        done.add(way[-1])
        for name in shelf.neighbours(way[-1]):
            if name not in done:
                heapq.heappush(queue, (hops + 1, losses + shelf.step(way[-1], name).lossy, (*way, name)))
    reached = ", ".join(sorted(done - {source})) or "no other taxonomy"
    raise InvalidInput(
        f"no map leads from {source} to {target}; from {source} one reaches {reached}",
        problems=tuple(shelf.unreadable),
        hint=f"write one under `maps:` in a {source}.yaml of your own",
    )


def check_taxonomy(path: Path, beside: Path | None = None) -> Taxonomy:
    """The taxonomy in a file, once all that it says of others is true too: its maps, and what its labels are made of.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    shelf = _Shelf(beside)
    opened = _read(path)
    problems: list[str] = []
    for target in opened.taxonomy.maps:
        try:
            _follow(opened, target, shelf)
        except InvalidInput as error:
            problems += error.problems or (error.message,)
    problems += opened.told(_part_findings(opened.taxonomy, shelf))
    if problems:
        raise InvalidInput(f"{path} cannot be used", problems=tuple(sort_problems(problems)))
    return opened.taxonomy


class _Opened(NamedTuple):
    taxonomy: Taxonomy
    document: Document

    def told(self, found: Iterable[LocatedProblem]) -> list[str]:
        return [f"{self.document.location(place)}: {sentence}" for place, sentence in found]


class _Shelf:
    """The taxonomies in reach, each read once."""

    def __init__(self, beside: Path | None) -> None:
        self.unreadable: list[str] = []
        self._beside = beside
        self._opened: dict[str, _Opened] = {}
        self._steps: dict[tuple[str, str], TaxonomyMap] = {}

    def open(self, name: str) -> _Opened:
        """The taxonomy of this name with its file."""
        if name not in self._opened:
            self._opened[name] = _read(find_asset("schemas/taxonomies", name, suffix=".yaml", user_folder=self._beside))
        return self._opened[name]

    def step(self, source: str, target: str) -> TaxonomyMap:
        """The map between two neighbours, by the source's own rule or the other's one turned round."""
        if (source, target) not in self._steps:
            opened = self.open(source)
            if target in rules_of(opened.taxonomy):
                self._steps[source, target] = _follow(opened, target, self)
            else:
                self._steps[source, target] = _turned_round(self.step(target, source))
        return self._steps[source, target]

    def neighbours(self, name: str) -> list[str]:
        """The taxonomies one map away: those that ``name`` maps to, and those whose maps to it lose nothing."""
        forward = rules_of(self.open(name).taxonomy)
        back = [
            other
            for other in self._everything
            if other not in forward
            and name in rules_of(self.open(other).taxonomy)
            and not self.step(other, name).one_way
        ]
        return [*forward, *back]

    @cached_property
    def _everything(self) -> list[str]:
        readable: list[str] = []
        for name in sorted(list_assets("schemas/taxonomies", suffix=".yaml", user_folder=self._beside)):
            try:
                self.open(name)
                readable.append(name)
            except InvalidInput as error:
                # A broken file that no chain needs is no reason to stop; where none is found, it is told.
                self.unreadable += error.problems or (error.message,)
        return readable


def _read(path: Path) -> _Opened:
    document = load_document(path)
    return _Opened(read_taxonomy(document), document)


def _follow(opened: _Opened, target: str, shelf: _Shelf) -> TaxonomyMap:
    """The map that a taxonomy's own rule gives. Raises ``InvalidInput`` where the rule is not right."""
    source, rule = opened.taxonomy, rules_of(opened.taxonomy)[target]
    place = opened.document.location(("maps", target))
    try:
        there = shelf.open(target).taxonomy
    except InvalidInput as error:
        first = error.problems[0] if error.problems else f"{error.message}; {error.hint}"
        raise InvalidInput(f"the map from {source.taxonomy} cannot be used", problems=(f"{place}: {first}",)) from None
    own = target in source.maps
    if problems := opened.told(_rule_findings(source, rule, there) if own else _part_findings(source, shelf)):
        raise InvalidInput(
            f"the map from {source.taxonomy} to {target} cannot be used", problems=tuple(sort_problems(problems))
        )
    weights = {}
    for name in source.names:
        targets = sorted(set(targets_of(source, rule, name) or ()), key=there.names.index)
        weights[name] = {label: 1 / len(targets) for label in targets}
    return TaxonomyMap(source, there, weights, rule.lossy, sources=(rule.source,) if rule.source else ())


def _rule_findings(source: Taxonomy, rule: MapRule, target: Taxonomy) -> Iterator[LocatedProblem]:
    at = ("maps", target.taxonomy)
    wrong = False
    for name, targets in rule.labels.items():
        for label in targets:
            if label not in target.by_name:
                wrong = True
                yield (*at, "labels", name), _astray(name, label, rule, target)
    if wrong:
        return
    every = {name: targets_of(source, rule, name) or () for name in source.names}
    if (kind := kind_of(every)) != rule.kind:
        yield (*at, "kind"), f"kind is {rule.kind}, but the labels make it {kind}"
    dropped = next((name for name, targets in every.items() if not targets), None)
    if not rule.lossy and (dropped is not None or kind.startswith("many")):
        why = f"{dropped!r} is dropped" if dropped is not None else "several labels become one"
        yield (*at, "lossy"), f"lossy is false, but {why}; write `lossy: true`"


def _astray(name: str, label: str, rule: MapRule, target: Taxonomy) -> str:
    """Why a label that the target lacks is there: a chain through the map itself, a circle, or a dead end."""
    way = [name, label]
    while way[-1] not in target.by_name and len(step := rule.labels.get(way[-1], ())) == 1 and way.count(way[-1]) == 1:
        way.append(step[0])
    shown = " -> ".join(way)
    if way[-1] in target.by_name:
        return f"{shown} is a chain, and {label!r} is no label of {target.taxonomy}; write `{name}: {way[-1]}`"
    if way.count(way[-1]) > 1:
        return f"{shown} runs in a circle and never reaches {target.taxonomy}; name one of its labels"
    return f"{shown} is a dead end: {way[-1]!r} is no label of {target.taxonomy}{nearest(way[-1], target.names)}"


def _part_findings(taxonomy: Taxonomy, shelf: _Shelf) -> Iterator[LocatedProblem]:
    for index, label in enumerate(taxonomy.labels):
        here = ("labels", index, "composed_of")
        for part in label.composed_of:
            whole, _, name = part.partition(":")
            if part in taxonomy.by_name:
                continue
            try:
                other = shelf.open(whole).taxonomy
            except InvalidInput as error:
                yield here, f"{error.message}; {error.hint}" if error.hint else error.message
                continue
            if name not in other.by_name:
                yield here, f"{name!r} is no label of {whole}{nearest(name, other.names)}"


def _turned_round(step: TaxonomyMap) -> TaxonomyMap:
    back = {next(iter(shares)): {name: 1.0} for name, shares in step.weights.items()}
    weights = {name: back[name] for name in step.target.names}
    return TaxonomyMap(step.target, step.source, weights, lossy=False, sources=step.sources)


def _composed(source: Taxonomy, target: Taxonomy, steps: list[TaxonomyMap], via: tuple[str, ...]) -> TaxonomyMap:
    weights: dict[str, dict[str, float]] = {}
    for name in source.names:
        shares = {name: 1.0}
        for step in steps:
            shares = step.map_scores(shares, combine="sum")
        weights[name] = shares
    sources = tuple(dict.fromkeys(source for step in steps for source in step.sources))
    return TaxonomyMap(source, target, weights, any(step.lossy for step in steps), via, sources)
