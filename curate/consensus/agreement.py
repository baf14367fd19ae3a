"""How far raters agree on one item."""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

from curate.labels import Field


def pairwise_agreement(field: Field, values: Sequence[Any]) -> float | None:
    """The mean of one minus the field's distance over all pairs of raters (0-1); None below two raters."""
    gaps = [field.distance(one, other) for one, other in combinations(values, 2)]
    known = [gap for gap in gaps if gap is not None]
    return 1 - fmean(known) if known else None
