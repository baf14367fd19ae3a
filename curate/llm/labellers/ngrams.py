"""The offline labeller: emotions by a linear model of n-grams trained on GoEmotions, mapped to other taxonomies."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidInput
from curate.labels import Field, LabelSchema, Taxonomy
from curate.labels.maps import TaxonomyMap, load_map
from curate.llm.labellers.lexicon import LexiconLabeller
from curate.llm.labellers.model import emotion_model
from curate.llm.labellers.protocol import (
    Guess,
    Proposal,
    TextLabeller,
    build_proposal,
    english_text_of,
    text_of,
)
from curate.llm.labellers.sentiment import is_valence
from curate.llm.labellers.vader import VaderLabeller

SOURCE = "goemotions.v1"
_MIN_SCORE = 0.01
_UNNAMED = ""

Probabilities = NDArray[np.float64]


class MappedLabels(NamedTuple):
    """The labels of a taxonomy that the model can predict: each is shown if any of its sources is."""

    names: tuple[str, ...]
    """Includes ``_UNNAMED`` for the absence of emotion in a taxonomy without a label for it."""
    sources: tuple[NDArray[np.int64], ...]
    """For every name the indices of the model's labels that map to it."""
    thresholds: Probabilities
    """The probability from which on each label is chosen if a field takes several."""
    absent: frozenset[str]
    """The names that stand for the absence of emotion."""
    dropped: NDArray[np.int64]
    """Indices of the model's labels that the taxonomy has no label for."""

    def map_probabilities(self, probabilities: Probabilities) -> tuple[Probabilities, Probabilities]:
        """Return the probabilities of the names, (texts, names), and of any dropped label, (texts,)."""
        mapped = np.stack([_any_of(probabilities[:, source]) for source in self.sources], axis=1)
        return mapped, _any_of(probabilities[:, self.dropped])

    def choose(self, probabilities: Sequence[float], dropped: float, *, multiple: bool) -> list[str]:
        """Return the labels to propose, none if a dropped label is more likely than all of them.

        The label of absence is never proposed together with another.
        """
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        ratios = {
            name: probability / threshold
            for name, probability, threshold in zip(self.names, probabilities, self.thresholds.tolist(), strict=True)
            if multiple and probability >= threshold
        }
        if not ratios:
            chosen = [self.names[best]] if probabilities[best] > dropped else []
        elif (likeliest := max(ratios, key=ratios.__getitem__)) in self.absent and self.absent.issuperset(ratios):
            chosen = list(ratios)
        elif likeliest in self.absent:
            chosen = [likeliest]
        else:
            chosen = [name for name in ratios if name not in self.absent]
        return [name for name in chosen if name != _UNNAMED]


class NgramLabeller(TextLabeller):
    """Proposes 27 emotions and neutral from English text, mapped to the taxonomy of each category field.

    Scores are calibrated probabilities. Taxonomies without a map from GoEmotions, and texts in other languages, are
    left to ``LexiconLabeller``; an interval scale named ``valence`` or ``polarity`` is left to VADER. Other fields stay
    empty. Taxonomies in ``recipe_folder`` win over shipped ones.
    """

    name = "offline-ngrams.v1"

    def __init__(self, recipe_folder: Path | None = None) -> None:
        self._folder = recipe_folder
        self._lexicon = LexiconLabeller()
        self._vader = VaderLabeller()

    def assets(self, labels: LabelSchema) -> Iterable[str]:
        """See ``TextLabeller.assets``: the other methods, and the map to every field."""
        yield from (self._lexicon.name, self._vader.name)
        for name, field in labels.fields.items():
            if (mapped := self._mapped(field)) is not None:
                sources = [source.tolist() for source in mapped.sources]
                yield f"{name}: {mapped.names} {sources} {mapped.dropped.tolist()}"

    def propose_many(self, items: Sequence[Mapping[str, Any]], labels: LabelSchema) -> list[Proposal]:
        """See ``TextLabeller.propose_many``."""
        texts = [english_text_of(item) for item in items]
        row_of = {index: row for row, index in enumerate(index for index, text in enumerate(texts) if text)}
        probabilities = emotion_model().probabilities([texts[index] for index in row_of])
        mapped = {name: self._mapped(field) for name, field in labels.fields.items()}
        mapped_probabilities = {
            name: tuple(array.tolist() for array in taxonomy.map_probabilities(probabilities))
            for name, taxonomy in mapped.items()
            if taxonomy
        }

        def guess(field: Field, index: int) -> Guess | None:
            if is_valence(field):
                return self._vader.guess(field, texts[index])
            if index not in row_of:
                return self._lexicon.guess(field, text_of(items[index]), propose_absence=False)
            taxonomy = mapped[field.name]
            if taxonomy is None:
                return self._lexicon.guess(field, texts[index])
            by_name, dropped = (array[row_of[index]] for array in mapped_probabilities[field.name])
            chosen = taxonomy.choose(by_name, dropped, multiple=field.is_multiple)
            scores = {
                name: score
                for name, score in zip(taxonomy.names, by_name, strict=True)
                if score >= _MIN_SCORE and name != _UNNAMED
            }
            return Guess(field.from_labels(chosen), scores, self.name) if chosen else None

        return [build_proposal(labels, partial(guess, index=index), name=self.name) for index in range(len(items))]

    def _mapped(self, field: Field) -> MappedLabels | None:
        taxonomy = field.scored_taxonomy
        return _load_mapped(taxonomy, self._folder) if taxonomy is not None else None


@cache
def _load_mapped(taxonomy: Taxonomy, recipe_folder: Path | None) -> MappedLabels | None:
    try:
        taxonomy_map = load_map(SOURCE, taxonomy.taxonomy, recipe_folder)
    except InvalidInput:
        return None
    # Files in the recipe's folder may have the names of shipped taxonomies and other labels.
    if taxonomy_map.target.names != taxonomy.names or taxonomy_map.source.names != emotion_model().labels:
        return None
    return mapped_labels(taxonomy_map)


def mapped_labels(taxonomy_map: TaxonomyMap) -> MappedLabels | None:
    """Return the labels that a map from ``SOURCE`` leads to, or None if there are none."""
    model = emotion_model()
    sources = {
        target: np.array([index for index, name in enumerate(model.labels) if target in taxonomy_map.weights[name]])
        for target in taxonomy_map.target.names
        if target not in taxonomy_map.unreached
    }
    if not sources:
        return None
    absent = {label.name for label in taxonomy_map.source.labels if label.absence}
    if unnamed := [
        index for index, name in enumerate(model.labels) if name in absent.intersection(taxonomy_map.dropped)
    ]:
        sources[_UNNAMED] = np.array(unnamed)
    return MappedLabels(
        names=tuple(sources),
        sources=tuple(sources.values()),
        thresholds=np.array([model.thresholds[source].max() for source in sources.values()], np.float64),
        absent=frozenset((_UNNAMED, *(label.name for label in taxonomy_map.target.labels if label.absence))),
        dropped=np.array([model.labels.index(name) for name in taxonomy_map.dropped if name not in absent], np.int64),
    )


def _any_of(probabilities: Probabilities) -> Probabilities:
    """Return the probability of at least one label of each row, as if they were independent."""
    union: Probabilities = np.round(1 - np.prod(1 - probabilities, axis=1), 4)
    return union
