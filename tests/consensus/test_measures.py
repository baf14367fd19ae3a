"""Measures of agreement equal independent libraries; the numbers were printed by the calls named beside them."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.consensus.agreement.alpha import krippendorff_alpha
from curate.consensus.agreement.intraclass import ccc, icc
from curate.consensus.agreement.kappa import cohen_kappa, fleiss_kappa, gwet_ac, note_paradox, percent
from curate.consensus.agreement.ratings import Ratings, to_counts, to_ratings
from curate.consensus.agreement.sums import estimate

# Four raters of twelve items, 0 where nothing was judged: the example of Krippendorff (2011).
TABLE = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]
SETS = [
    *(("a", 1, "x"), ("b", 1, "x"), ("c", 1, "xy"), ("a", 2, "y"), ("b", 2, "yz"), ("a", 3, "xyz"), ("b", 3, "z")),
    *(("c", 3, "z"), ("a", 4, "x"), ("b", 4, "y"), ("c", 4, "x"), ("a", 5, "z"), ("b", 5, "z"), ("c", 5, "yz")),
]


def rated(raters=(0, 1, 2, 3), *, complete=False) -> Ratings:
    items = [i for i in range(12) if not complete or all(row[i] for row in TABLE)]
    cells = [(i, r, float(TABLE[r][i]) if TABLE[r][i] else None) for i in items for r in raters]
    return to_ratings(*zip(*cells, strict=True))


@pytest.mark.parametrize(
    ("metric", "expected"),
    # krippendorff.alpha(reliability_data=TABLE with NaN for 0, level_of_measurement=metric), krippendorff 0.9.0
    [
        ("nominal", 0.743421052631579),
        ("ordinal", 0.8153875037548814),
        ("interval", 0.8491071428571428),
        ("ratio", 0.7974027747116121),
    ],
)
def test_alpha_with_missing_judgements(metric, expected):
    assert estimate(krippendorff_alpha(rated().counts(), metric)).value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("metric", "expected"),
    # nltk.metrics.agreement.AnnotationTask(SETS, distance=jaccard_distance | masi_distance).alpha(), nltk 3.10.4
    [("jaccard", 0.33602150537634423), ("masi", 0.26942148760330586)],
)
def test_alpha_of_sets(metric, expected):
    raters, items, values = zip(*SETS, strict=True)
    counts = to_ratings(items, raters, [frozenset(value) for value in values]).counts()
    assert estimate(krippendorff_alpha(counts, metric)).value == pytest.approx(expected, abs=1e-9)


def test_kappas_and_gwet():
    # irrCAC.raw.CAC(TABLE.T, weights=…).gwet(), 0.4.4, which rounds to five digits
    for weights, expected in (("identity", 0.77544), ("linear", 0.85874), ("quadratic", 0.914)):
        assert estimate(gwet_ac(rated().counts(), weights)).value == pytest.approx(expected, abs=5e-6)
    assert estimate(percent(rated().counts())).value == pytest.approx(0.81818, abs=5e-6)
    # statsmodels.stats.inter_rater.fleiss_kappa over the items that all judged, 0.15.0
    kappa = estimate(fleiss_kappa(rated(complete=True).counts())).value
    assert kappa == pytest.approx(0.6414565826330533, abs=1e-9)
    # sklearn.metrics.cohen_kappa_score of the second and the fourth rater, without and with weights="quadratic"
    two = rated((1, 3))
    assert estimate(cohen_kappa(two)).value == pytest.approx(0.8701298701298701, abs=1e-9)
    assert estimate(cohen_kappa(two, quadratic=True)).value == pytest.approx(0.8709677419354839, abs=1e-9)


def test_intraclass_and_concordance():
    # pingouin.intraclass_corr over the items that all judged, 0.6.1: ICC(1,1), ICC(A,1), ICC(A,k)
    for form, expected in (("1_1", 0.698925), ("2_1", 0.700658), ("2_k", 0.903499)):
        assert estimate(icc(rated(complete=True), form)).value == pytest.approx(expected, abs=5e-7)
    partial = estimate(icc(rated(), "2_1"))
    assert partial.value == pytest.approx(0.700658, abs=5e-7)
    assert partial.note == "over the 8 of 12 items that all 4 raters judged"
    # 2 * cov / (var + var + (mean - mean) ** 2) with numpy's ddof=0
    assert estimate(ccc(rated((1, 3)))).value == pytest.approx(0.8709677419354839, abs=1e-9)


def test_votes_give_alpha_without_raters(shared_data):
    # krippendorff.alpha(value_counts=the votes of an arm, level_of_measurement="nominal")
    expected = {"1": 0.28110324021267363, "2": 0.4582469893830591, "3": 0.4966694440445659}
    with (shared_data / "cremad" / "tabulatedVotes.csv").open() as file:
        rows = list(csv.DictReader(file))
    for arm, value in expected.items():
        votes = [[int(row[label]) for label in "ADFHNS"] for row in rows if row[""].startswith(arm)]
        alpha = estimate(krippendorff_alpha(to_counts(votes, "ADFHNS")))
        assert alpha.value == pytest.approx(value, abs=1e-9)


def test_why_figures_are_undefined():
    alike = to_ratings([1, 1, 2, 2], ["a", "b", "a", "b"], ["joy"] * 4, categories=["joy", "fear"])
    for measure in (krippendorff_alpha(alike.counts()), fleiss_kappa(alike.counts()), cohen_kappa(alike)):
        result = estimate(measure)
        assert result.value is None
        assert "people agree" in result.note
    assert estimate(percent(alike.counts())).value == 1
    assert estimate(gwet_ac(alike.counts())).value == 1
    alone = to_ratings([1, 2], ["a", "b"], ["joy", "fear"])
    assert estimate(krippendorff_alpha(alone.counts())).note == "no item has two judgements"
    assert estimate(cohen_kappa(alone)).note == "no two raters judged the same item"
    unnamed = to_ratings([1, 1], None, [1.0, 2.0])
    for measure in (cohen_kappa(unnamed), icc(unnamed), ccc(unnamed)):
        assert estimate(measure).note == "the judgements do not say who gave them"
    constant = to_ratings([1, 1, 2, 2], ["a", "b", "a", "b"], [3.0] * 4)
    for measure in (krippendorff_alpha(constant.counts(), "ordinal"), icc(constant), icc(constant, "1_1")):
        assert estimate(measure).value is None
    crossed = icc(to_ratings([1, 1, 2, 2], ["a", "b", "a", "b"], [1.0, 2.0, 2.0, 1.0]), "2_k")
    assert estimate(crossed).value is None
    assert "raters differ within items more than items differ" in estimate(crossed).note
    with pytest.raises(ValueError, match="below 0"):
        krippendorff_alpha(to_ratings([1, 1], None, [-1.0, 2.0]).counts(), "ratio")


def test_the_kappa_paradox_is_named():
    items = [i for i in range(50) for _ in range(2)]
    values = ["neutral"] * 98 + ["fear", "neutral"]
    ratings = to_ratings(items, ["a", "b"] * 50, values)
    kappa, agreement = estimate(cohen_kappa(ratings)), estimate(percent(ratings.counts())).value
    assert agreement == pytest.approx(0.98)
    assert kappa.value < 0.1
    assert "paradox" in note_paradox(kappa, agreement).note
    assert estimate(gwet_ac(ratings.counts())).value > 0.9


@settings(max_examples=25)
@given(st.data())
def test_order_names_and_shifts_do_not_matter(data):
    rows = data.draw(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=40)
    )
    rows = list({row[:2]: row for row in rows}.values())
    other = data.draw(st.permutations(rows))
    first = to_ratings(*zip(*[(i, r, float(v)) for i, r, v in rows], strict=True))
    second = to_ratings(*zip(*[(-i, f"r{r}", v + 7.0) for i, r, v in other], strict=True))
    for measure in (
        *(lambda r, m=m: krippendorff_alpha(r.counts(), m) for m in ("nominal", "ordinal", "interval")),
        *(cohen_kappa, lambda r: icc(r, "1_1"), lambda r: icc(r, "2_k"), ccc),
    ):
        a, b = estimate(measure(first)), estimate(measure(second))
        assert (a.value is None) == (b.value is None)
        assert a.value is None or (a.value == pytest.approx(b.value, abs=1e-6) and a.value <= 1 + 1e-9)


def test_bootstrap_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(3)

    def sample(size):
        truth = rng.integers(0, 4, size)
        codes = np.where(rng.random((size, 3)) < 0.7, truth[:, None], rng.integers(0, 4, (size, 3)))
        return Ratings(np.repeat(np.arange(size), 3), np.tile(np.arange(3), size), codes.ravel(), range(4))

    population = estimate(krippendorff_alpha(sample(100_000).counts())).value
    covered = 0
    for seed in range(60):
        result = estimate(krippendorff_alpha(sample(80).counts()), draws=200, seed=seed)
        covered += result.low <= population <= result.high
    assert 50 <= covered <= 60
    again = krippendorff_alpha(sample(50).counts())
    assert estimate(again, draws=50, seed=1) == estimate(again, draws=50, seed=1)
    numbers = rng.normal(size=300)
    continuous = to_ratings(np.repeat(np.arange(100), 3).tolist(), [0, 1, 2] * 100, numbers.tolist())
    wide = estimate(krippendorff_alpha(continuous.counts(), "interval"), draws=100)
    assert wide.low < wide.value < wide.high
