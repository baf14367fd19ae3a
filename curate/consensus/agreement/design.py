"""What in the design of a study forbids to read a figure of agreement as usual."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.consensus.agreement.judged import Judged, encode
from curate.consensus.agreement.ratings import Integers
from curate.corpus.judgements import is_prefilled

_MIN_ITEMS = 30
_STRONG = 0.4
_MAX_VALUES = 500


def adaptive_note(part: Judged) -> str:
    """Return a warning if answers decided who rates, which leaves nothing for chance-corrected measures to compare.

    That is so if items with the fewest judgements are unanimous and others never are, or if their answers differ
    strongly (Cramér's V of at least 0.4).
    """
    _, items = np.unique(part.items, return_inverse=True)
    totals = np.bincount(items)
    if not len(totals):
        return ""
    few = totals == totals.min()
    if min(few.sum(), (~few).sum()) < _MIN_ITEMS:
        return ""
    lowest, highest = (np.full(len(totals), start) for start in (len(part.values), -1))
    np.minimum.at(lowest, items, part.codes)
    np.maximum.at(highest, items, part.codes)
    unanimous = lowest == highest
    by_disagreement = totals.min() >= 2 and unanimous[few].all() and not unanimous[~few].any()
    if by_disagreement or _association(few[items].astype(np.int64), part.codes) >= _STRONG:
        return "adaptive design: answers decided how many rate an item, so chance-corrected figures mean nothing"
    return ""


def mixed_arms_note(judgements: pa.Table, rows: Integers) -> str:
    """Return a note if judgements of the same item are of several arms: people were shown different things."""
    if "arm" not in judgements.column_names:
        return ""
    codes, arms = encode(judgements["arm"])
    items, _ = encode(judgements["item_id"])
    named = rows[codes[rows] >= 0]
    item_arms = np.unique(items[named] * max(len(arms), 1) + codes[named])
    _, numbers, counts = np.unique(item_arms // max(len(arms), 1), return_inverse=True, return_counts=True)
    names = sorted(str(arms[code]) for code in np.unique(item_arms[counts[numbers] >= 2] % max(len(arms), 1)))
    if len(names) < 2:
        return ""
    return f"arms {', '.join(names)} are mixed, of one rater only the newest judgement: group them with --by arm"


def has_arms(judgements: pa.Table) -> bool:
    """Return whether people were shown different things, besides with and without a proposal."""
    prefilled = is_prefilled(judgements)
    parts = (judgements["arm"].filter(pa.array(chosen)) for chosen in (prefilled, ~prefilled))
    return any(pc.count_distinct(arms).as_py() > 1 for arms in parts)


def _association(group: Integers, codes: Integers) -> float:
    """Return Cramér's V (0-1) between two numbered columns; 0 where there are too many values to say."""
    values, numbers = np.unique(codes, return_inverse=True)
    if not 2 <= len(values) <= _MAX_VALUES:
        return 0.0
    observed = np.zeros((2, len(values)))
    np.add.at(observed, (group, numbers), 1)
    expected = observed.sum(axis=1, keepdims=True) * observed.sum(axis=0, keepdims=True) / observed.sum()
    return float(np.sqrt((((observed - expected) ** 2) / expected).sum() / observed.sum()))
