"""Labels by the words of the taxonomy, found in the text."""

import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from curate.labels import Field, LabelSchema, Taxonomy
from curate.labels.fields import Category
from curate.llm.labellers.protocol import Guess, TextLabeller, english_text_of, text_of, to_proposal
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
_FOREIGN = "the text is not in English, and no word of the taxonomy stands in it"
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


class LexiconLabeller(TextLabeller):
    """Looks up every label's name and synonyms as whole words, and leaves out those that are negated.

    It judges category fields from text alone and nothing else: a first guess for people to correct, marked as such.
    Where no word is found in an English text, the label of absence is proposed with a low score. In another language
    that would say nothing: there only words that are found count, such as those of a taxonomy in that language.
    """

    name = "offline-lexicon.v2"

    def propose_many(self, items: Sequence[Mapping[str, Any]], labels: LabelSchema) -> list[Proposal]:
        return [self._judge(item, labels) for item in items]

    def _judge(self, item: Mapping[str, Any], labels: LabelSchema) -> Proposal:
        text = text_of(item)
        is_english = bool(english_text_of(item))
        made = to_proposal(labels, partial(self.guess, text=text, absence=is_english), name=self.name)
        if made.outcome == "abstained" and text and not is_english:
            return made._replace(detail=_FOREIGN)
        return made

    def guess(self, field: Field, text: str, *, absence: bool = True) -> Guess | None:
        """The labels whose words are found; without ``absence``, nothing where none is."""
        if not text or not isinstance(field, Category) or field.intensity is not None:
            return None
        found = _hits(text, field.taxonomy)
        if not found and absence:
            found = {label.name: _NOTHING_FOUND for label in field.taxonomy.labels if label.absence}
        if not found:
            return None
        ranked = sorted(found, key=lambda label: (-found[label], field.labels.index(label)))
        return Guess(ranked if field.multiple else ranked[0], found, self.name)


def _hits(text: str, taxonomy: Taxonomy) -> dict[str, float]:
    """Labels with a score of 0.7 for one word found, nearing 1 with more."""
    words = [word.casefold().replace("’", "'") for word in _WORD.findall(text)]
    hits: dict[str, int] = {}
    by_first = _lexicon(taxonomy)
    for at, word in enumerate(words):
        for phrase, label in by_first.get(word, ()):
            before = words[max(0, at - _NEGATION_REACH) : at]
            if tuple(words[at : at + len(phrase)]) == phrase and not _NEGATIONS.intersection(before):
                hits[label] = hits.get(label, 0) + 1
    return {label.name: 1 - (1 - _HIT) ** hits[label.name] for label in taxonomy.labels if label.name in hits}


@cache
def _lexicon(taxonomy: Taxonomy) -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """The phrases, as words, and their labels, by the first word."""
    found: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for label in taxonomy.labels:
        for phrase in sorted({label.name, *label.synonyms}):
            words = tuple(word.casefold() for word in _WORD.findall(phrase))
            if words:
                found.setdefault(words[0], []).append((words, label.name))
    return found
