"""The table of measures: which of them fit the values of a field, and what each says."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from curate.consensus.agreement.alpha import krippendorff_alpha
from curate.consensus.agreement.intraclass import ccc, icc
from curate.consensus.agreement.kappa import cohen_kappa, fleiss_kappa, gwet_ac, percent
from curate.consensus.agreement.ratings import Ratings
from curate.consensus.agreement.sums import ItemSums
from curate.labels.fields.base import Comparison


class Measure(NamedTuple):
    """A measure of agreement by its name in reports; ``sums`` computes it where values are labels, sets or numbers."""

    name: str
    meaning: str
    sums: Callable[[Ratings], ItemSums] | None = None


def _sides(ratings: Ratings) -> Ratings:
    """Return which of two things is preferred: -1, 0 (a tie) or 1."""
    signs = np.sign(np.asarray(ratings.values, dtype=np.float64))
    values, codes = np.unique(signs, return_inverse=True)
    return ratings._replace(codes=codes[ratings.codes].astype(np.int64), values=values.tolist())


PERCENT = Measure("percent", "share of pairs of judgements that are equal", lambda r: percent(r.counts()))
_COHEN = Measure(
    "cohen_kappa", "equal judgements of two raters beyond chance; of more raters, the mean of pairs", cohen_kappa
)
_COHEN_SQUARED = Measure(
    "cohen_kappa_quadratic",
    "agreement of two raters on numbers beyond chance, by squared difference; of more, the mean of pairs",
    lambda r: cohen_kappa(r, quadratic=True),
)
_FLEISS = Measure(
    "fleiss_kappa", "equal judgements beyond chance for any number of raters", lambda r: fleiss_kappa(r.counts())
)
_AC1 = Measure(
    "gwet_ac1", "equal judgements beyond chance, stable where one label dominates", lambda r: gwet_ac(r.counts())
)
_AC2 = Measure(
    "gwet_ac2",
    "agreement on numbers beyond chance by squared difference, stable where one dominates",
    lambda r: gwet_ac(r.counts(), "quadratic"),
)
_NOMINAL = Measure(
    "krippendorff_alpha_nominal",
    "agreement beyond chance with missing judgements; labels are equal or not",
    lambda r: krippendorff_alpha(r.counts()),
)
_ORDINAL = Measure(
    "krippendorff_alpha_ordinal",
    "agreement beyond chance with missing judgements, by rank",
    lambda r: krippendorff_alpha(r.counts(), "ordinal"),
)
_INTERVAL = Measure(
    "krippendorff_alpha_interval",
    "agreement beyond chance with missing judgements, by squared difference",
    lambda r: krippendorff_alpha(r.counts(), "interval"),
)
_RATIO = Measure(
    "krippendorff_alpha_ratio",
    "the same by difference as a share of the sum; only where 0 is nothing at all",
    lambda r: krippendorff_alpha(r.counts(), "ratio"),
)
_JACCARD = Measure(
    "krippendorff_alpha_jaccard",
    "agreement beyond chance on sets of labels, by the share that two have in common",
    lambda r: krippendorff_alpha(r.counts(), "jaccard"),
)
_MASI = Measure(
    "krippendorff_alpha_masi",
    "the same with MASI, stricter where neither set contains the other",
    lambda r: krippendorff_alpha(r.counts(), "masi"),
)
_ICC = (
    Measure("icc_1_1", "share of variance that is of the items, for one judgement by anyone", lambda r: icc(r, "1_1")),
    Measure(
        "icc_2_1",
        "share of variance that is of the items, for one judgement by one of these raters",
        lambda r: icc(r, "2_1"),
    ),
    Measure(
        "icc_2_k", "share of variance that is of the items, for the mean of all these raters", lambda r: icc(r, "2_k")
    ),
)
_CCC = Measure("ccc", "how close numbers of two raters are to being equal; pooled over pairs of raters", ccc)
_SIDE = Measure(
    "percent", "share of pairs of judgements that prefer the same side", lambda r: percent(_sides(r).counts())
)
_SIDE_ALPHA = Measure(
    "krippendorff_alpha_nominal",
    "the same side beyond chance, with missing judgements",
    lambda r: krippendorff_alpha(_sides(r).counts()),
)

DETECTION = Measure("detection_f1", "share of marked regions that overlap one of another rater")
LOCALISATION = Measure("place_iou", "mean intersection over union of regions that overlap")
LABEL_PERCENT = Measure("label_percent", "share of overlapping regions with equal labels")
LABEL_ALPHA = Measure(
    "label_alpha_nominal", "labels of overlapping regions beyond chance, as Krippendorff's nominal alpha"
)
BOUNDARY = Measure("boundary_f1", "share of starts and ends that another rater has too, by tolerance")
TRACE_CCC = Measure("ccc", "how close two raters' values are to being equal at all times")
TRACE_ALIGNED = Measure("ccc_aligned", "the same with each rater's lag removed")
TRACE_LAG = Measure("lag_s", "by how many seconds a rater is later than the mean of the others")
TRACE_ALPHA = Measure("krippendorff_alpha_interval", "agreement beyond chance, each sample being a unit")
NONE = Measure("none", "free text: equal meanings have different words, so no measure of agreement fits")

MEASURES: Mapping[Comparison, tuple[Measure, ...]] = {
    "label": (PERCENT, _COHEN, _FLEISS, _AC1, _NOMINAL),
    "labels": (PERCENT, _JACCARD, _MASI),
    "ordinal": (PERCENT, _COHEN_SQUARED, _AC2, _ORDINAL, _INTERVAL, *_ICC, _CCC),
    "interval": (_INTERVAL, _RATIO, *_ICC, _CCC),
    "preference": (
        _SIDE,
        _COHEN_SQUARED,
        Measure(
            "gwet_ac1", "the same side beyond chance, stable where one dominates", lambda r: gwet_ac(_sides(r).counts())
        ),
        _SIDE_ALPHA,
        _ORDINAL,
    ),
    "trace": (TRACE_CCC, TRACE_ALIGNED, TRACE_LAG, TRACE_ALPHA),
    "ranges": (DETECTION, LOCALISATION, LABEL_PERCENT, LABEL_ALPHA, BOUNDARY),
    "spans": (DETECTION, LOCALISATION, LABEL_PERCENT, LABEL_ALPHA, BOUNDARY),
    "boxes": (DETECTION, LOCALISATION, LABEL_PERCENT, LABEL_ALPHA),
    "text": (NONE,),
}
"""The measures that fit each kind of value, in the order in which they are reported."""

UNCORRECTED = frozenset({"percent", "lag_s", "none"})
"""Measures that do not compare with chance or with the spread of all judgements."""

PER_LABEL = (PERCENT, _COHEN, _FLEISS, _AC1, _NOMINAL)
"""The measures of whether each label was given or not."""
