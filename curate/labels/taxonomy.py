"""Taxonomies: the labels that a category field may take, with what people and models need to know about them."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from curate.assets import find_asset
from curate.document import Document, LocatedProblem, LocatedProblems, load_document, nearest, parse_model
from curate.errors import InvalidInput

NAME_PATTERN = r"^[a-z0-9_]+\.v\d+$"
_PART_ELSEWHERE = r"[a-z0-9_]+\.v\d+:."
_MOST_FINDINGS = 100
Kind: TypeAlias = Literal["one_to_one", "many_to_one", "one_to_many", "many_to_many"]


def _word(value: Any) -> Any:
    if type(value) in {bool, int, float}:
        raise ValueError(f"read as {value!r} by YAML; put the word in quotes")
    return value


def _from_word(value: Any) -> Any:
    return {"name": _word(value)} if not isinstance(value, Mapping | Label) else value


def _code(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _many(value: Any) -> Any:
    return () if value is None else tuple(map(_word, value)) if isinstance(value, list | tuple) else (_word(value),)


Word: TypeAlias = Annotated[str, BeforeValidator(_word), Field(min_length=1, max_length=100)]
Coordinate: TypeAlias = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class Label(BaseModel):
    """One label: its exact name, what it means, and how it stands to the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Word
    definition: str | None = None
    synonyms: tuple[Word, ...] = ()
    """Words by which people mean it; one word may be a synonym of several labels."""
    code: Annotated[str | None, BeforeValidator(_code)] = None
    """What the corpus itself writes for it: an id, a letter."""
    parent: Word | None = None
    group: str | None = None
    """The heading that it stands under, where that is no label itself."""
    opposite: Word | None = None
    composed_of: tuple[Word, ...] = ()
    """The labels that it is made of: names of this taxonomy, or ``taxonomy:label``."""
    valence: Coordinate | None = None
    arousal: Coordinate | None = None
    dominance: Coordinate | None = None
    color: str | None = Field(default=None, pattern=r"^#[0-9a-fA-F]{6}$")
    hotkey: str | None = Field(default=None, pattern=r"^[a-z0-9]$")
    absence: bool = False
    """It says that nothing is shown (neutral), so it stands alone."""


class MapRule(BaseModel):
    """Where the labels of a taxonomy go in another one, as its file says it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    lossy: bool
    """Different things become the same, or are dropped, or only come near."""
    source: str | None = None
    labels: dict[Word, Annotated[tuple[Word, ...], BeforeValidator(_many)]] = Field(min_length=1)
    """One label, several, or none for those that are dropped; a label left out goes where its parent goes."""


class Taxonomy(BaseModel):
    """A named, versioned and ordered set of labels, flat or a tree, with its maps to other taxonomies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taxonomy: str = Field(pattern=NAME_PATTERN)
    title: str
    description: str | None = None
    source: str | None = None
    licence: str | None = None
    vad_source: str | None = None
    labels: tuple[Annotated[Label, BeforeValidator(_from_word)], ...] = Field(min_length=1)
    # A map says nothing about what is judged: adding one must not change the hash of a label schema.
    maps: dict[Annotated[str, Field(pattern=NAME_PATTERN)], MapRule] = Field(default={}, exclude=True)

    def __hash__(self) -> int:
        return hash((self.taxonomy, self.names))

    @model_validator(mode="after")
    def _check(self) -> "Taxonomy":
        if found := tuple(islice(_findings(self), _MOST_FINDINGS)):
            raise LocatedProblems(found)
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The labels' names in order; a label's place is its class id."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def by_name(self) -> dict[str, Label]:
        """The labels by their exact names."""
        return {label.name: label for label in self.labels}

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The labels without a parent; all of them where the taxonomy is flat."""
        return tuple(label.name for label in self.labels if label.parent is None)

    def children(self, name: str) -> tuple[str, ...]:
        """The labels right below ``name``, in order."""
        return self._children.get(name, ())

    def path(self, name: str) -> tuple[str, ...]:
        """The way from the root down to ``name``, itself included. Raises ``ValueError`` for an unknown label."""
        way = [self.require(name)]
        while (parent := way[-1].parent) is not None:
            way.append(self.by_name[parent])
        return tuple(label.name for label in reversed(way))

    def require(self, name: str) -> Label:
        """The label with exactly this name. Raises ``ValueError`` with the nearest one."""
        if name not in self.by_name:
            raise ValueError(f"{name!r} is not a label of {self.taxonomy}{nearest(name, self.names)}")
        return self.by_name[name]

    def labels_for(self, word: str) -> tuple[str, ...]:
        """Return the labels that a free word means, in order; several if it is ambiguous.

        Names come before synonyms. Case, spaces, hyphens and accents are ignored, except that a name with the word's
        own accents and hyphens comes first.
        """
        folded = fold(word)
        return (
            self._by_name_key.get(name_key(word))
            or self._by_folded_name.get(folded)
            or self._by_folded_synonym.get(folded, ())
        )

    @cached_property
    def ambiguous(self) -> dict[str, tuple[str, ...]]:
        """Synonyms, folded, that mean more than one label."""
        return {
            word: names
            for word, names in self._by_folded_synonym.items()
            if len(names) > 1 and word not in self._by_folded_name
        }

    @cached_property
    def _children(self) -> dict[str, tuple[str, ...]]:
        return _grouped((label.parent, label.name) for label in self.labels if label.parent is not None)

    @cached_property
    def _by_name_key(self) -> dict[str, tuple[str, ...]]:
        return _grouped((name_key(label.name), label.name) for label in self.labels)

    @cached_property
    def _by_folded_name(self) -> dict[str, tuple[str, ...]]:
        return _grouped((fold(label.name), label.name) for label in self.labels)

    @cached_property
    def _by_folded_synonym(self) -> dict[str, tuple[str, ...]]:
        return _grouped((fold(word), label.name) for label in self.labels for word in label.synonyms)


def load_taxonomy(name: str, beside: Path | None = None) -> Taxonomy:
    """The taxonomy ``name`` (such as ``ekman7.v1``), the user's own before the shipped one.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    return read_taxonomy(load_document(find_asset("schemas/taxonomies", name, suffix=".yaml", user_folder=beside)))


def read_taxonomy(document: Document) -> Taxonomy:
    """The taxonomy that a file holds. Raises ``InvalidInput`` listing every problem with its file and line."""
    taxonomy = parse_model(Taxonomy, document.data, document)
    if document.path.name != f"{taxonomy.taxonomy}.yaml":
        raise InvalidInput(
            f"{document.location(('taxonomy',))}: the file of taxonomy {taxonomy.taxonomy} is found by its name",
            hint=f"rename {document.path.name} to {taxonomy.taxonomy}.yaml, or the taxonomy",
        )
    return taxonomy


def fold(word: str) -> str:
    """A word as it is compared: without case, accents and hyphens, one space between its parts."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    # Marks of class 200 and above are accents; those below are letters of their script (vowels, voicing) and stay.
    bare = unicodedata.normalize("NFC", "".join(c for c in letters if unicodedata.combining(c) < 200))
    return " ".join(bare.replace("-", " ").replace("_", " ").split())


def name_key(name: str) -> str:
    """Return what distinguishes names within a taxonomy: everything but case and repeated spaces."""
    return unicodedata.normalize("NFC", " ".join(name.casefold().split()))


def targets_of(taxonomy: Taxonomy, rule: MapRule, name: str) -> tuple[str, ...] | None:
    """Where a label goes by its own entry or its nearest ancestor's; None where the map says nothing."""
    seen: set[str] = set()
    step: str | None = name
    while step is not None and step not in seen:
        if step in rule.labels:
            return rule.labels[step]
        seen.add(step)
        step = taxonomy.by_name[step].parent if step in taxonomy.by_name else None
    return None


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for key, name in pairs:
        found.setdefault(key, {})[name] = None
    return {key: tuple(names) for key, names in found.items()}


def _findings(taxonomy: Taxonomy) -> Iterator[LocatedProblem]:
    """Every mistake among labels that are well-formed one by one."""
    yield from _name_findings(taxonomy)
    yield from _tree_findings(taxonomy)
    keys: dict[str, str] = {}
    for at, label in enumerate(taxonomy.labels):
        here = ("labels", at)
        if label.hotkey:
            first = keys.setdefault(label.hotkey, label.name)
            if first != label.name:
                yield (*here, "hotkey"), f"hotkey {label.hotkey} belongs to {first!r} already; choose another"
        if label.opposite is not None:
            yield from _opposite_findings(taxonomy, label, (*here, "opposite"))
        for part in label.composed_of:
            if part == label.name:
                yield (*here, "composed_of"), f"{label.name!r} is composed of itself"
            elif part not in taxonomy.by_name and not re.match(_PART_ELSEWHERE, part):
                yield (*here, "composed_of"), f"{part!r} is no label here{nearest(part, taxonomy.names)}"
        if (label.valence, label.arousal, label.dominance) != (None,) * 3 and taxonomy.vad_source is None:
            yield here, f"{label.name!r} has coordinates: say with `vad_source` at the top where they are from"
    for target, rule in taxonomy.maps.items():
        yield from _map_findings(taxonomy, target, rule)


def _name_findings(taxonomy: Taxonomy) -> Iterator[LocatedProblem]:
    seen: dict[str, str] = {}
    for at, label in enumerate(taxonomy.labels):
        here, name = ("labels", at, "name"), label.name
        if name != name.strip():
            yield here, f"label {name!r} begins or ends with a space; remove it"
        if any(unicodedata.category(c) == "Cc" for c in name):
            yield here, f"label {name!r} holds a control character or a line break; remove it"
        if any(unicodedata.category(c) == "Cs" for c in name):
            yield here, f"label {name!r} is escaped in halves (\\ud8…), which YAML does not join; write it out"
        folded = name_key(name)
        if folded in seen:
            same = "given twice" if seen[folded] == name else "the same but for case or spaces"
            yield here, f"labels {seen[folded]!r} and {name!r} are {same}; remove or rename one"
        seen.setdefault(folded, name)


def _tree_findings(taxonomy: Taxonomy) -> Iterator[LocatedProblem]:
    reported: set[str] = set()
    rooted: set[str] = set()
    for at, label in enumerate(taxonomy.labels):
        here = ("labels", at, "parent")
        way: dict[str, None] = {}
        step: str | None = label.name
        while step is not None and step in taxonomy.by_name and step not in way and step not in rooted:
            way[step] = None
            step = taxonomy.by_name[step].parent
        if step in way and step not in reported:
            circle = [*list(way)[list(way).index(step) :], step]
            reported.update(circle)
            yield here, f"parents run in a circle: {' > '.join(circle)}; remove one of them"
        rooted.update(way)
        if label.parent is not None and label.parent not in taxonomy.by_name:
            yield (
                here,
                f"parent {label.parent!r} of {label.name!r} is no label here{nearest(label.parent, taxonomy.names)}",
            )


def _opposite_findings(taxonomy: Taxonomy, label: Label, here: tuple[int | str, ...]) -> Iterator[LocatedProblem]:
    other = taxonomy.by_name.get(label.opposite or "")
    if other is None:
        yield here, f"opposite {label.opposite!r} is no label here{nearest(str(label.opposite), taxonomy.names)}"
    elif other.name == label.name:
        yield here, f"{label.name!r} is its own opposite"
    elif other.opposite != label.name:
        says = f"says {other.opposite!r}" if other.opposite else "has none"
        yield here, f"{label.name!r} says that its opposite is {other.name!r}, which {says}; opposites are mutual"


def _map_findings(taxonomy: Taxonomy, target: str, rule: MapRule) -> Iterator[LocatedProblem]:
    here = ("maps", target)
    if target == taxonomy.taxonomy:
        yield here, f"{target} maps to itself; remove this map"
        return
    for name in rule.labels:
        if name not in taxonomy.by_name:
            yield (*here, "labels", name), f"{name!r} is no label here{nearest(name, taxonomy.names)}"
    missing = [name for name in taxonomy.names if targets_of(taxonomy, rule, name) is None]
    if missing:
        listed = ", ".join(map(repr, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        yield (*here, "labels"), f"the map leaves out {listed}; say where it goes, or `{missing[0]}: null` to drop it"
