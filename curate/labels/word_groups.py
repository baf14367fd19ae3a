"""Free words grouped by a taxonomy, such as an emotion wheel: by names and synonyms, up to a tier of a tree."""

from collections.abc import Iterable
from typing import NamedTuple

from curate.labels.taxonomy import Taxonomy


class WordGroups(NamedTuple):
    """The labels that words mean, in the taxonomy's order, and the words that it does not know, each once."""

    labels: tuple[str, ...]
    unknown: tuple[str, ...]


def group_words(words: Iterable[str], taxonomy: Taxonomy, *, level: int | None = None) -> WordGroups:
    """Return the labels of words. An ambiguous word means the first of its labels.

    With ``level``, a label deeper in a tree becomes the one above it on that level, 1 being the roots.
    """
    labels: set[str] = set()
    unknown: dict[str, None] = {}
    for word in words:
        if not (meanings := taxonomy.labels_for(word)):
            unknown.setdefault(" ".join(word.split()).casefold())
            continue
        path = taxonomy.path(meanings[0])
        labels.add(path[-1] if level is None else path[:level][-1])
    return WordGroups(tuple(name for name in taxonomy.names if name in labels), tuple(unknown))
