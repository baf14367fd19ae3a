"""Loading maps between taxonomies, and checking what a taxonomy says about others."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from curate.assets import find_asset, list_assets
from curate.document import Document, LocatedProblem, load_document, nearest, sort_problems
from curate.errors import InvalidInput
from curate.labels.maps.map import TaxonomyMap, compose, kind_of, rules_of
from curate.labels.taxonomy import MapRule, Taxonomy, read_taxonomy

_FOLDER = "schemas/taxonomies"


def load_map(source: str, target: str, user_folder: Path | None = None) -> TaxonomyMap:
    """Load the map from one taxonomy to another, over the fewest taxonomies in between if there is no direct one.

    Of chains of equal length, the one with the fewest lossy maps is used. A map that loses nothing also leads back.
    Raises ``InvalidInput`` with file and line for an invalid map, and if no map leads there.
    """
    library = _Library(user_folder)
    first, last = library.open(source).taxonomy, library.open(target).taxonomy
    if source == target:
        return TaxonomyMap(first, first, {name: {name: 1.0} for name in first.names}, lossy=False)
    if target in rules_of(first):
        return library.step(source, target)
    queue: list[tuple[int, int, tuple[str, ...]]] = [(0, 0, (source,))]
    visited: set[str] = set()
    while queue:
        hops, losses, path = heapq.heappop(queue)
        if path[-1] == target:
            return compose([library.step(start, end) for start, end in pairwise(path)])
        if path[-1] in visited:
            continue
        visited.add(path[-1])
        for name in library.neighbours(path[-1]):
            if name not in visited:
                heapq.heappush(queue, (hops + 1, losses + library.step(path[-1], name).lossy, (*path, name)))
    reached = ", ".join(sorted(visited - {source})) or "no other taxonomy"
    raise InvalidInput(
        f"no map leads from {source} to {last.taxonomy}; maps from {source} lead to {reached}",
        problems=tuple(library.unreadable),
        hint=f"write one under `maps:` in a {source}.yaml of your own",
    )


def check_taxonomy(path: Path, user_folder: Path | None = None) -> Taxonomy:
    """Load the taxonomy in a file and check what it says about others: its maps, and the parts of its labels.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    library = _Library(user_folder)
    entry = _read(path)
    problems: list[str] = []
    for target in entry.taxonomy.maps:
        try:
            _direct_map(entry, target, library.open)
        except InvalidInput as error:
            problems += error.problems or (error.message,)
    problems += entry.problems(_part_problems(entry.taxonomy, library.open))
    if problems:
        raise InvalidInput(f"{path} cannot be used", problems=tuple(sort_problems(problems)))
    return entry.taxonomy


class _Entry(NamedTuple):
    """A taxonomy with its file."""

    taxonomy: Taxonomy
    document: Document

    def problems(self, located: Iterable[LocatedProblem]) -> list[str]:
        return [f"{self.document.location(loc)}: {sentence}" for loc, sentence in located]


Opener = Callable[[str], _Entry]


class _Library:
    """The available taxonomies, each read once."""

    def __init__(self, user_folder: Path | None) -> None:
        self.unreadable: list[str] = []
        self._user_folder = user_folder
        self._entries: dict[str, _Entry] = {}
        self._steps: dict[tuple[str, str], TaxonomyMap] = {}

    def open(self, name: str) -> _Entry:
        """Return the taxonomy of this name with its file."""
        if name not in self._entries:
            self._entries[name] = _read(find_asset(_FOLDER, name, suffix=".yaml", user_folder=self._user_folder))
        return self._entries[name]

    def step(self, source: str, target: str) -> TaxonomyMap:
        """Return the map between two neighbours, by the source's own rule or the reverse of the target's."""
        if (source, target) not in self._steps:
            entry = self.open(source)
            is_direct = target in rules_of(entry.taxonomy)
            self._steps[source, target] = (
                _direct_map(entry, target, self.open) if is_direct else self.step(target, source).reverse()
            )
        return self._steps[source, target]

    def neighbours(self, name: str) -> list[str]:
        """Return the taxonomies that ``name`` maps to, and those with a map to it that loses nothing."""
        forward = rules_of(self.open(name).taxonomy)
        backward = [
            candidate
            for candidate in self._readable
            if candidate not in forward
            and name in rules_of(self.open(candidate).taxonomy)
            and not self.step(candidate, name).one_way
        ]
        return [*forward, *backward]

    @cached_property
    def _readable(self) -> list[str]:
        names: list[str] = []
        for name in sorted(list_assets(_FOLDER, suffix=".yaml", user_folder=self._user_folder)):
            try:
                self.open(name)
                names.append(name)
            except InvalidInput as error:
                # A broken file that no chain needs does not matter; it is reported if no chain is found.
                self.unreadable += error.problems or (error.message,)
        return names


def _read(path: Path) -> _Entry:
    document = load_document(path)
    return _Entry(read_taxonomy(document), document)


def _direct_map(entry: _Entry, target_name: str, open_entry: Opener) -> TaxonomyMap:
    """Return the map of a taxonomy's own rule. Raises ``InvalidInput`` if the rule is not valid."""
    source, rule = entry.taxonomy, rules_of(entry.taxonomy)[target_name]
    location = entry.document.location(("maps", target_name))
    try:
        target = open_entry(target_name).taxonomy
    except InvalidInput as error:
        first = error.problems[0] if error.problems else f"{error.message}; {error.hint}"
        problem = f"{location}: {first}"
        raise InvalidInput(f"the map from {source.taxonomy} cannot be used", problems=(problem,)) from None
    is_stated = target_name in source.maps
    located = _rule_problems(source, rule, target) if is_stated else _part_problems(source, open_entry)
    if problems := entry.problems(located):
        raise InvalidInput(
            f"the map from {source.taxonomy} to {target_name} cannot be used", problems=tuple(sort_problems(problems))
        )
    weights = {}
    for name in source.names:
        targets = sorted(set(rule.targets(name, source.by_name) or ()), key=target.names.index)
        weights[name] = {label: 1 / len(targets) for label in targets}
    return TaxonomyMap(source, target, weights, rule.lossy, sources=(rule.source,) if rule.source else ())


def _rule_problems(source: Taxonomy, rule: MapRule, target: Taxonomy) -> Iterator[LocatedProblem]:
    location = ("maps", target.taxonomy)
    is_wrong = False
    for name, labels in rule.labels.items():
        for label in labels:
            if label not in target.by_name:
                is_wrong = True
                yield (*location, "labels", name), _explain_target(name, label, rule, target)
    if is_wrong:
        return
    targets = {name: rule.targets(name, source.by_name) or () for name in source.names}
    if (kind := kind_of(targets)) != rule.kind:
        yield (*location, "kind"), f"kind is {rule.kind}, but the labels make it {kind}"
    dropped = next((name for name, labels in targets.items() if not labels), None)
    if not rule.lossy and (dropped is not None or kind.startswith("many")):
        why = f"{dropped!r} is dropped" if dropped is not None else "several labels become one"
        yield (*location, "lossy"), f"lossy is false, but {why}; write `lossy: true`"


def _explain_target(name: str, label: str, rule: MapRule, target: Taxonomy) -> str:
    """Explain a target that is not a label: a chain through the map itself, a circle, or a dead end."""
    path = [name, label]
    while (
        path[-1] not in target.by_name and len(step := rule.labels.get(path[-1], ())) == 1 and path.count(path[-1]) == 1
    ):
        path.append(step[0])
    arrows = " -> ".join(path)
    if path[-1] in target.by_name:
        return f"{arrows} is a chain, and {label!r} is not a label of {target.taxonomy}; write `{name}: {path[-1]}`"
    if path.count(path[-1]) > 1:
        return f"{arrows} runs in a circle and never reaches {target.taxonomy}; name one of its labels"
    suggestion = nearest(path[-1], target.names)
    return f"{arrows} is a dead end: {path[-1]!r} is not a label of {target.taxonomy}{suggestion}"


def _part_problems(taxonomy: Taxonomy, open_entry: Opener) -> Iterator[LocatedProblem]:
    for index, label in enumerate(taxonomy.labels):
        location = ("labels", index, "composed_of")
        for part in label.composed_of:
            if part in taxonomy.by_name:
                continue
            other_name, _, name = part.partition(":")
            try:
                parts = open_entry(other_name).taxonomy
            except InvalidInput as error:
                yield location, f"{error.message}; {error.hint}" if error.hint else error.message
                continue
            if name not in parts.by_name:
                yield location, f"{name!r} is not a label of {other_name}{nearest(name, parts.names)}"
