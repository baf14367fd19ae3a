"""A labeller that looks for the words of the taxonomy in the text."""

import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from curate.labels import Field, LabelSchema, Taxonomy
from curate.llm.labellers.protocol import (
    Guess,
    Proposal,
    TextLabeller,
    build_proposal,
    english_text_of,
    text_of,
)

_NEGATIONS = frozenset(
    {
        *("not", "no", "never", "without", "hardly", "cannot"),
        *("don't", "doesn't", "didn't", "isn't", "wasn't", "won't", "can't"),
    }
)
_NEGATION_REACH = 3
_FOREIGN = "the text is not in English, and no word of the taxonomy stands in it"
_HIT_SCORE = 0.7
_ABSENCE_SCORE = 0.3
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


class LexiconLabeller(TextLabeller):
    """Finds every label's name and synonyms as whole words, except negated ones.

    It guesses category fields and nothing else: a first proposal for people to correct. If an English text contains no
    such word, the label of absence is proposed with a low score. In other languages a missing word means nothing, so
    only found words count, such as those of a taxonomy in that language.
    """

    name = "offline-lexicon.v2"

    def propose_many(self, items: Sequence[Mapping[str, Any]], labels: LabelSchema) -> list[Proposal]:
        """See ``TextLabeller.propose_many``."""
        return [self._propose(item, labels) for item in items]

    def _propose(self, item: Mapping[str, Any], labels: LabelSchema) -> Proposal:
        text = text_of(item)
        is_english = bool(english_text_of(item))
        proposal = build_proposal(labels, partial(self.guess, text=text, propose_absence=is_english), name=self.name)
        if proposal.outcome == "abstained" and text and not is_english:
            return proposal._replace(detail=_FOREIGN)
        return proposal

    def guess(self, field: Field, text: str, *, propose_absence: bool = True) -> Guess | None:
        """Return the labels whose words occur in the text, or the label of absence if ``propose_absence`` is set."""
        taxonomy = field.scored_taxonomy
        if not text or taxonomy is None:
            return None
        scores = _score_labels(text, taxonomy)
        if not scores and propose_absence:
            scores = {label.name: _ABSENCE_SCORE for label in taxonomy.labels if label.absence}
        if not scores:
            return None
        ranked = sorted(scores, key=lambda label: (-scores[label], field.labels.index(label)))
        return Guess(field.from_labels(ranked), scores, self.name)


class _Phrase(NamedTuple):
    words: tuple[str, ...]
    label: str


def _score_labels(text: str, taxonomy: Taxonomy) -> dict[str, float]:
    """Return labels with a score of 0.7 for one word in the text, approaching 1 for more."""
    words = [word.casefold().replace("’", "'") for word in _WORD.findall(text)]
    hits: dict[str, int] = {}
    phrases = _phrases_by_first_word(taxonomy)
    for index, word in enumerate(words):
        for phrase, label in phrases.get(word, ()):
            before = words[max(0, index - _NEGATION_REACH) : index]
            if tuple(words[index : index + len(phrase)]) == phrase and not _NEGATIONS.intersection(before):
                hits[label] = hits.get(label, 0) + 1
    return {label.name: 1 - (1 - _HIT_SCORE) ** hits[label.name] for label in taxonomy.labels if label.name in hits}


@cache
def _phrases_by_first_word(taxonomy: Taxonomy) -> dict[str, list[_Phrase]]:
    phrases: dict[str, list[_Phrase]] = {}
    for label in taxonomy.labels:
        for name in sorted({label.name, *label.synonyms}):
            words = tuple(word.casefold() for word in _WORD.findall(name))
            if words:
                phrases.setdefault(words[0], []).append(_Phrase(words, label.name))
    return phrases
