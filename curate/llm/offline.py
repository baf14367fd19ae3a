"""A labeller without a model or a network: the words of the taxonomy, found in the text."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from curate.labels import LabelSchema, Taxonomy
from curate.labels.fields import Category
from curate.llm.model import Proposal

_NEGATIONS = frozenset(
    [
        "not",
        "no",
        "never",
        "without",
        "hardly",
        "cannot",
        "don't",
        "doesn't",
        "didn't",
        "isn't",
        "wasn't",
        "won't",
        "can't",
    ]
)
_NEGATION_REACH = 3
_HIT = 0.7
_NOTHING_FOUND = 0.3
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


class OfflineLabeller:
    """Looks up every label's name and synonyms as whole words, and leaves out those that are negated.

    It judges category fields from text alone and nothing else: a first guess for people to correct, marked as such.
    """

    name = "offline-lexicon.v1"

    def propose(self, item: Mapping[str, Any], labels: LabelSchema) -> Proposal:
        """See ``Labeller.propose``; abstains from items without text."""
        text = item.get("text")
        values: dict[str, Any] = {}
        scores: dict[str, dict[str, float]] = {}
        for name, field in labels.fields.items():
            if not text or not isinstance(field, Category) or field.intensity is not None:
                continue
            found = _score(text, field.taxonomy)
            if not found:
                continue
            ranked = sorted(found, key=lambda label: (-found[label], field.labels.index(label)))
            values[name] = field.check(ranked if field.multiple else ranked[0])
            if labels.is_asked(name, values):
                scores[name] = found
            else:
                del values[name]
        return Proposal(values, scores, "ok" if values else "abstained")


def _score(text: str, taxonomy: Taxonomy) -> dict[str, float]:
    """Labels with a score of 0.7 for one word found, nearing 1 with more; the label of absence where there is none."""
    words = [word.casefold().replace("’", "'") for word in _WORD.findall(text)]
    hits: dict[str, int] = {}
    for phrase, label in _lexicon(taxonomy):
        for at in range(len(words) - len(phrase) + 1):
            before = words[max(0, at - _NEGATION_REACH) : at]
            if tuple(words[at : at + len(phrase)]) == phrase and not _NEGATIONS.intersection(before):
                hits[label] = hits.get(label, 0) + 1
    if not hits:
        return {label.name: _NOTHING_FOUND for label in taxonomy.labels if label.absence}
    return {label: 1 - (1 - _HIT) ** count for label, count in hits.items()}


@cache
def _lexicon(taxonomy: Taxonomy) -> list[tuple[tuple[str, ...], str]]:
    phrases = [(phrase, label.name) for label in taxonomy.labels for phrase in {label.name, *label.synonyms}]
    split = [(tuple(word.casefold() for word in _WORD.findall(phrase)), name) for phrase, name in sorted(phrases)]
    return [(words, name) for words, name in split if words]
