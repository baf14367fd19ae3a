"""Labels by a linear model of words and characters, trained on GoEmotions and mapped to the schema's taxonomies."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidInput
from curate.labels import Field, LabelSchema, Taxonomy
from curate.labels.fields import Category
from curate.labels.maps import TaxonomyMap, load_map
from curate.llm.labellers.lexicon import LexiconLabeller
from curate.llm.labellers.model import emotion_model
from curate.llm.labellers.protocol import (
    Guess,
    TextLabeller,
    english_text_of,
    is_pleasantness,
    text_of,
    to_proposal,
)
from curate.llm.labellers.vader import VaderLabeller
from curate.llm.model import Proposal

SOURCE = "goemotions.v1"
_LEAST_SCORE = 0.01
_UNNAMED = ""

Probabilities = NDArray[np.float64]


class Reached(NamedTuple):
    """The labels of a taxonomy that the model can tell: each shown where any of its sources is."""

    names: tuple[str, ...]
    """``_UNNAMED`` for the absence of emotion in a taxonomy that has no label for it."""
    sources: tuple[NDArray[np.int64], ...]
    thresholds: Probabilities
    """From which probability on each is taken where several may be."""
    absent: frozenset[str]
    dropped: NDArray[np.int64]
    """What the model tells and the taxonomy has no label for."""

    def chances(self, probabilities: Probabilities) -> tuple[Probabilities, Probabilities]:
        """How likely each label is, and something without a label, one row for each text."""
        chances = np.stack([_any_of(probabilities[:, source]) for source in self.sources], axis=1)
        return chances, _any_of(probabilities[:, self.dropped])

    def choose(self, chances: Sequence[float], other: float, *, multiple: bool) -> list[str]:
        """The labels to propose: none where something without a label is likelier than any."""
        best = max(range(len(chances)), key=chances.__getitem__)
        ratios = {
            name: chance / threshold
            for name, chance, threshold in zip(self.names, chances, self.thresholds.tolist(), strict=True)
            if multiple and chance >= threshold
        }
        if not ratios:
            return self._named([self.names[best]]) if chances[best] > other else []
        shown = {name: ratio for name, ratio in ratios.items() if name not in self.absent}
        if len(shown) in {0, len(ratios)}:
            return self._named(list(ratios))
        # The label of absence stands alone, or not at all.
        alone = max(ratios, key=ratios.__getitem__)
        return self._named([alone]) if alone in self.absent else list(shown)

    @staticmethod
    def _named(labels: list[str]) -> list[str]:
        return [label for label in labels if label != _UNNAMED]


class NgramLabeller(TextLabeller):
    """The offline labeller: 27 emotions and neutral, from English text, mapped to each category's taxonomy.

    Scores are calibrated probabilities. A category to which no map leads from GoEmotions, and any text in another
    language, falls back to the words of the taxonomy (``LexiconLabeller``); an interval scale named ``valence`` or
    ``polarity`` is VADER's. Fields of other kinds are left out. ``beside`` is the folder of the recipe, whose
    taxonomies win over the shipped ones.
    """

    name = "offline-ngrams.v1"

    def __init__(self, beside: Path | None = None) -> None:
        self._beside = beside
        self._lexicon = LexiconLabeller()
        self._vader = VaderLabeller()

    def assets(self, labels: LabelSchema) -> Iterable[str]:
        yield from (self._lexicon.name, self._vader.name)
        for name, field in labels.fields.items():
            if (reached := self._reached(field)) is not None:
                sources = [source.tolist() for source in reached.sources]
                yield f"{name}: {reached.names} {sources} {reached.dropped.tolist()}"

    def propose_many(self, items: Sequence[Mapping[str, Any]], labels: LabelSchema) -> list[Proposal]:
        texts = [english_text_of(item) for item in items]
        row_of = {at: row for row, at in enumerate(at for at, text in enumerate(texts) if text)}
        probabilities = emotion_model().probabilities([texts[at] for at in row_of])
        reached = {name: self._reached(field) for name, field in labels.fields.items()}
        chances = {
            name: tuple(part.tolist() for part in each.chances(probabilities)) for name, each in reached.items() if each
        }

        def guess(field: Field, at: int) -> Guess | None:
            if is_pleasantness(field):
                return self._vader.guess(field, texts[at])
            if at not in row_of:
                return self._lexicon.guess(field, text_of(items[at]), absence=False)
            way = reached[field.name]
            if way is None or not isinstance(field, Category):
                return self._lexicon.guess(field, texts[at])
            shown, other = (part[row_of[at]] for part in chances[field.name])
            chosen = way.choose(shown, other, multiple=field.multiple)
            scores = {
                name: score
                for name, score in zip(way.names, shown, strict=True)
                if score >= _LEAST_SCORE and name != _UNNAMED
            }
            return Guess(chosen if field.multiple else chosen[0], scores, self.name) if chosen else None

        return [to_proposal(labels, partial(guess, at=at), name=self.name) for at in range(len(items))]

    def _reached(self, field: Field) -> Reached | None:
        if not isinstance(field, Category) or field.intensity is not None:
            return None
        return _reach(field.taxonomy, self._beside)


@cache
def _reach(taxonomy: Taxonomy, beside: Path | None) -> Reached | None:
    """The way to a taxonomy; None where there is no map, or none to these very labels."""
    try:
        found = load_map(SOURCE, taxonomy.taxonomy, beside)
    except InvalidInput:
        return None
    model = emotion_model()
    if found.target.names != taxonomy.names or found.source.names != model.labels:
        return None
    return reached_by(found)


def reached_by(found: TaxonomyMap) -> Reached | None:
    """The labels that a map from ``SOURCE`` leads to; None for none."""
    model = emotion_model()
    sources = {
        target: np.array([at for at, name in enumerate(model.labels) if target in found.weights[name]])
        for target in found.target.names
        if target not in found.unreached
    }
    if not sources:
        return None
    absent = {label.name for label in found.source.labels if label.absence}
    if silent := [at for at, name in enumerate(model.labels) if name in absent.intersection(found.dropped)]:
        sources[_UNNAMED] = np.array(silent)
    return Reached(
        names=tuple(sources),
        sources=tuple(sources.values()),
        thresholds=np.array([model.thresholds[source].max() for source in sources.values()], np.float64),
        absent=frozenset((_UNNAMED, *(label.name for label in found.target.labels if label.absence))),
        dropped=np.array([model.labels.index(name) for name in found.dropped if name not in absent], np.int64),
    )


def _any_of(probabilities: Probabilities) -> Probabilities:
    """How likely at least one of several is, were they independent."""
    shown: Probabilities = np.round(1 - np.prod(1 - probabilities, axis=1), 4)
    return shown
