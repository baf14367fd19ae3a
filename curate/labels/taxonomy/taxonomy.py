"""A taxonomy: a named, versioned and ordered set of labels."""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from curate.assets import find_asset
from curate.document import Document, LocatedProblems, load_document, nearest, parse_model
from curate.errors import InvalidInput
from curate.labels.taxonomy.checks import label_problems, map_problems, name_key
from curate.labels.taxonomy.label import NAME_PATTERN, Label, MapRule, from_word

_MAX_PROBLEMS = 100
_FIRST_ACCENT_CLASS = 200
"""Combining marks of lower classes are letters of their script (vowels, voicing)."""


class Taxonomy(BaseModel):
    """A named, versioned and ordered set of labels, flat or a tree, with its maps to other taxonomies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taxonomy: str = Field(pattern=NAME_PATTERN)
    title: str
    description: str | None = None
    source: str | None = None
    licence: str | None = None
    vad_source: str | None = None
    labels: tuple[Annotated[Label, BeforeValidator(from_word)], ...] = Field(min_length=1)
    # A map says nothing about what is judged: adding one must not change the hash of a label schema.
    maps: dict[Annotated[str, Field(pattern=NAME_PATTERN)], MapRule] = Field(default={}, exclude=True)

    def __hash__(self) -> int:
        return hash((self.taxonomy, self.names))

    @model_validator(mode="after")
    def _check(self) -> "Taxonomy":
        problems = chain(
            label_problems(self.labels, has_vad_source=self.vad_source is not None),
            *(map_problems(self.taxonomy, self.labels, target, rule) for target, rule in self.maps.items()),
        )
        if first := tuple(islice(problems, _MAX_PROBLEMS)):
            raise LocatedProblems(first)
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The labels' names in order; the index of a label is its class id."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def by_name(self) -> dict[str, Label]:
        """The labels by their exact names."""
        return {label.name: label for label in self.labels}

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The labels without a parent; all of them in a flat taxonomy."""
        return tuple(label.name for label in self.labels if label.parent is None)

    def children(self, name: str) -> tuple[str, ...]:
        """Return the labels directly below ``name``, in order."""
        return self._children.get(name, ())

    def path(self, name: str) -> tuple[str, ...]:
        """Return the labels from the root down to ``name``, inclusive. Raises ``ValueError`` for an unknown label."""
        labels = [self.require(name)]
        while (parent := labels[-1].parent) is not None:
            labels.append(self.by_name[parent])
        return tuple(label.name for label in reversed(labels))

    def require(self, name: str) -> Label:
        """Return the label with exactly this name. Raises ``ValueError`` suggesting the nearest one."""
        if name not in self.by_name:
            raise ValueError(f"{name!r} is not a label of {self.taxonomy}{nearest(name, self.names)}")
        return self.by_name[name]

    def compatible(self, labels: Iterable[str], weights: Mapping[str, float] | None = None) -> list[str]:
        """Return those labels that may be chosen together: a label of absence (neutral) goes with no other one.

        It gives way to the others, unless its weight is greater than that of each of them.
        """
        chosen = list(dict.fromkeys(labels))
        absent = [label for label in chosen if self.require(label).absence]
        present = [label for label in chosen if label not in absent]
        if not absent or len(chosen) == 1:
            return chosen
        weight = (weights or {}).get
        strongest = max(absent, key=lambda label: weight(label, 0.0))
        return present if any(weight(label, 0.0) >= weight(strongest, 0.0) for label in present) else [strongest]

    def labels_for(self, word: str) -> tuple[str, ...]:
        """Return the labels that a free word means, in order; several if it is ambiguous.

        Names come before synonyms. Case, spaces, hyphens and accents are ignored, except that a name with the same
        accents and hyphens comes first.
        """
        folded = fold(word)
        return (
            self._by_name_key.get(name_key(word))
            or self._by_folded_name.get(folded)
            or self._by_folded_synonym.get(folded, ())
        )

    @cached_property
    def ambiguous(self) -> dict[str, tuple[str, ...]]:
        """Folded synonyms that mean more than one label."""
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


def load_taxonomy(name: str, user_folder: Path | None = None) -> Taxonomy:
    """Load the taxonomy ``name``, such as ``ekman7.v1``; one in ``user_folder`` wins over a shipped one.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    return read_taxonomy(load_document(find_asset("schemas/taxonomies", name, suffix=".yaml", user_folder=user_folder)))


def read_taxonomy(document: Document) -> Taxonomy:
    """Return the taxonomy in a file. Raises ``InvalidInput`` listing every problem with its file and line."""
    taxonomy = parse_model(Taxonomy, document.data, document)
    if document.path.name != f"{taxonomy.taxonomy}.yaml":
        raise InvalidInput(
            f"{document.location(('taxonomy',))}: taxonomy {taxonomy.taxonomy} must be in a file of that name",
            hint=f"rename {document.path.name} to {taxonomy.taxonomy}.yaml, or the taxonomy",
        )
    return taxonomy


def fold(word: str) -> str:
    """Return a word as it is compared: without case, accents and hyphens, and with single spaces."""
    chars = unicodedata.normalize("NFKD", word.casefold())
    without_accents = "".join(char for char in chars if unicodedata.combining(char) < _FIRST_ACCENT_CLASS)
    return " ".join(unicodedata.normalize("NFC", without_accents).replace("-", " ").replace("_", " ").split())


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, dict[str, None]] = {}
    for key, name in pairs:
        groups.setdefault(key, {})[name] = None
    return {key: tuple(names) for key, names in groups.items()}
