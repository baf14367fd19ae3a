"""How well sets of free words agree with reference words: precision, recall and F, grouped by emotion wheels.

The measure of open-vocabulary emotion recognition (Lian et al. 2024, MER-UniBench): words of one group count as the
same; precision and recall are of sets, averaged over items; F is of these averages, and averaged over wheels.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.labels import Taxonomy
from curate.labels.word_groups import group_words

_RESAMPLES = 1_000
_Z_SHARE = 0.025


class WordScore(NamedTuple):
    """The agreement of one labeller's words with the reference words by one wheel (``words`` without any).

    ``precision``, ``recall`` and ``f`` are from 0 to 1; ``low`` and ``high`` are the 95 % interval of ``f`` over items
    (bootstrap). ``unknown`` counts the different words that the wheel does not know: they stand for themselves.
    """

    field: str
    labeller: str
    wheel: str
    items: int
    precision: float
    recall: float
    f: float
    low: float
    high: float
    unknown: int


def word_scores(
    field: str,
    labeller: str,
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]],
    wheels: Sequence[Taxonomy],
    *,
    level: int | None = None,
) -> Iterator[WordScore]:
    """Yield the score by each wheel, and their mean if there are several.

    ``pairs`` holds for each item the words of the labeller and the reference words; nobody's list is empty. Without
    wheels, words that differ in more than letter case are different.
    """
    shares = []
    for wheel in wheels or (None,):
        of_items, unknown = _shares(pairs, wheel, level)
        shares.append(of_items)
        yield _score(field, labeller, wheel.taxonomy if wheel is not None else "words", [of_items], unknown)
    if len(shares) > 1:
        yield _score(field, labeller, f"mean of {len(shares)}", shares, 0)


def _shares(
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]], wheel: Taxonomy | None, level: int | None
) -> tuple[NDArray[np.float64], int]:
    """Return precision and recall of each item, shape (items, 2), and how many different words are unknown."""
    unknown: set[str] = set()
    rows = []
    for pair in pairs:
        sets = []
        for words in pair:
            groups = group_words(words, wheel, level=level) if wheel is not None else None
            folded = {" ".join(word.split()).casefold() for word in words} if groups is None else {*groups.unknown}
            if groups is not None:
                unknown |= folded
            # A word can have the name of a label that it does not mean: the kinds are kept apart.
            labels = groups.labels if groups is not None else ()
            sets.append({*(("label", name) for name in labels), *(("word", word) for word in folded)})
        given, reference = sets
        common = len(given & reference)
        rows.append((common / len(given), common / len(reference)))
    return np.array(rows, np.float64).reshape(-1, 2), len(unknown)


def _score(field: str, labeller: str, wheel: str, shares: Sequence[NDArray[np.float64]], unknown: int) -> WordScore:
    count = len(shares[0])
    means = [of_items.mean(axis=0) for of_items in shares]
    rows = np.random.default_rng(0).integers(0, count, (_RESAMPLES, count))
    resampled = np.mean([_f(of_items[rows].mean(axis=1)) for of_items in shares], axis=0)
    low, high = np.quantile(resampled, [_Z_SHARE, 1 - _Z_SHARE])
    precision, recall = (fmean(float(mean[index]) for mean in means) for index in (0, 1))
    f = fmean(float(_f(mean[None])[0]) for mean in means)
    return WordScore(field, labeller, wheel, count, precision, recall, f, float(low), float(high), unknown)


def _f(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the harmonic mean of precision and recall in each row, 0 where both are."""
    total = means.sum(axis=1)
    products = 2 * means[:, 0] * means[:, 1]
    return np.asarray(np.divide(products, total, out=np.zeros(len(total)), where=total > 0), np.float64)


def paired_words(
    labels: Mapping[str, Sequence[str] | None], proposals: Mapping[str, Sequence[str] | None]
) -> list[tuple[Sequence[str], Sequence[str]]]:
    """Return the words of proposals with the reference words of the same item, in order of the items' ids."""
    return [
        (words, reference)
        for item_id, reference in sorted(labels.items())
        if reference and (words := proposals.get(item_id))
    ]
