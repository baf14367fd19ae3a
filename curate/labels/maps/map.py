"""A map from one taxonomy to another, as shares of each label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from curate.labels.taxonomy import Kind, MapRule, Taxonomy

Weights = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class TaxonomyMap:
    """For every label of ``source``, its labels in ``target``: one, several, or none."""

    source: Taxonomy
    target: Taxonomy
    weights: Weights
    """For every source label its targets with shares that sum to one; empty for a dropped label."""
    lossy: bool
    """Whether different labels become the same, are dropped, or are only approximated."""
    via: tuple[str, ...] = ()
    """The taxonomies in between, if there is no direct map."""
    sources: tuple[str, ...] = ()
    """The publications that the maps are based on."""

    @property
    def kind(self) -> Kind:
        """How many labels become how many."""
        return kind_of({name: tuple(shares) for name, shares in self.weights.items()})

    @property
    def dropped(self) -> tuple[str, ...]:
        """The source labels without a target."""
        return tuple(name for name, shares in self.weights.items() if not shares)

    @cached_property
    def unreached(self) -> tuple[str, ...]:
        """The target labels that no source label becomes."""
        reached = {target for shares in self.weights.values() for target in shares}
        return tuple(name for name in self.target.names if name not in reached)

    @property
    def one_way(self) -> bool:
        """Whether the map cannot be reversed: some label on either side has no single counterpart."""
        return self.lossy or self.kind != "one_to_one" or bool(self.unreached)

    def map_label(self, label: str) -> tuple[str, ...]:
        """Return what one label becomes, in the target's order. Raises ``ValueError`` for an unknown label."""
        self.source.require(label)
        return tuple(self.weights[label])

    def map_scores(self, scores: Mapping[str, float], *, combine: Literal["max", "sum"] = "max") -> dict[str, float]:
        """Return scores of target labels, in the target's order, without dropped labels.

        ``max`` suits labels judged one by one: the best of those that become the same label. ``sum`` suits shares of
        one whole: they are added, and a label that becomes several is divided. Raises ``ValueError`` for an unknown
        label.
        """
        mapped: dict[str, float] = {}
        for label, score in scores.items():
            self.source.require(label)
            for target, share in self.weights[label].items():
                if combine == "sum":
                    mapped[target] = mapped.get(target, 0.0) + score * share
                else:
                    mapped[target] = max(mapped.get(target, score), score)
        return {target: mapped[target] for target in sorted(mapped, key=self._index.__getitem__)}

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.target.names)}

    def reverse(self) -> "TaxonomyMap":
        """Return the map from target to source of a map that is not ``one_way``."""
        sources = {next(iter(shares)): {name: 1.0} for name, shares in self.weights.items()}
        weights = {name: sources[name] for name in self.target.names}
        return TaxonomyMap(self.target, self.source, weights, lossy=False, sources=self.sources)


def compose(steps: Sequence[TaxonomyMap]) -> TaxonomyMap:
    """Return several maps, each starting where the one before ends, as one."""
    source = steps[0].source
    weights: dict[str, dict[str, float]] = {}
    for name in source.names:
        shares = {name: 1.0}
        for step in steps:
            shares = step.map_scores(shares, combine="sum")
        weights[name] = shares
    publications = tuple(dict.fromkeys(publication for step in steps for publication in step.sources))
    via = tuple(step.target.taxonomy for step in steps[:-1])
    return TaxonomyMap(source, steps[-1].target, weights, any(step.lossy for step in steps), via, publications)


def kind_of(labels: Mapping[str, tuple[str, ...]]) -> Kind:
    """Return how many labels become how many, ignoring dropped ones."""
    targets = [target for targets in labels.values() for target in set(targets)]
    merges = len(targets) > len(set(targets))
    divides = any(len(set(targets)) > 1 for targets in labels.values())
    if divides:
        return "many_to_many" if merges else "one_to_many"
    return "many_to_one" if merges else "one_to_one"


def rules_of(taxonomy: Taxonomy) -> dict[str, MapRule]:
    """Return the taxonomy's maps by target.

    If every label is composed of labels of one other taxonomy, a map to it by these parts is included.
    """
    parts = {label.name: [part.partition(":") for part in label.composed_of] for label in taxonomy.labels}
    targets = {taxonomy_name for split in parts.values() for taxonomy_name, colon, _ in split if colon}
    if len(targets) != 1 or not all(parts.values()) or (target := targets.pop()) in taxonomy.maps:
        return taxonomy.maps
    labels = {name: tuple(part for _, _, part in split) for name, split in parts.items()}
    kind = kind_of(labels)
    derived = MapRule(kind=kind, lossy=kind.startswith("many"), source=taxonomy.source, labels=labels)
    return {**taxonomy.maps, target: derived}
