"""Methods that estimate raters recover simulated truth, and equal independent implementations at convergence."""

import numpy as np
import pytest

from curate.consensus.agreement.ratings import Ratings
from curate.consensus.methods.comparisons import Comparison, best_worst_scores, bradley_terry
from curate.consensus.methods.dawid_skene import dawid_skene
from curate.consensus.methods.glad import glad
from curate.consensus.methods.mace import mace
from curate.consensus.methods.weighted import evaluator_weights, gold_weighted, weighted_mean


def simulated(items=300, raters=12, judgements=5, seed=11):
    """Truth, the share of judgements by which each rater knows it (two only guess), and their judgements."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, items, p=[0.4, 0.3, 0.2, 0.1])
    knows = rng.uniform(0.35, 0.95, raters)
    knows[:2] = 0.25
    of_items = np.repeat(np.arange(items), judgements)
    of_raters = np.argsort(rng.random((items, raters)), axis=1)[:, :judgements].ravel()
    known = rng.random(items * judgements) < knows[of_raters]
    codes = np.where(known, truth[of_items], rng.integers(0, 4, items * judgements))
    return truth, knows, Ratings(of_items, of_raters, codes, range(4))


def test_dawid_skene_equals_crowd_kit_at_convergence():
    truth, _, ratings = simulated()
    result = dawid_skene(ratings, tolerance=1e-9)
    # crowdkit.aggregation.DawidSkene(n_iter=300, tol=-1).fit(ratings).probas_ of crowd-kit 1.4.2: sums by value, item 0
    expected = [120.78872061098478, 81.18670740318964, 53.6952530703356, 44.3293189619812]
    assert result.probabilities.sum(axis=0) == pytest.approx(expected, abs=1e-6)
    first = [0.9924596936067271, 0.0003938130185681963, 0.0, 0.0071465133744119174]
    assert result.probabilities[0] == pytest.approx(first, abs=1e-7)
    assert (result.probabilities.argmax(axis=1) == truth).mean() == pytest.approx(0.8266666666666667)
    stopped = dawid_skene(ratings, max_rounds=2)
    assert abs(stopped.probabilities.sum(axis=0) - expected).max() > 0.5, "two steps are not enough"


@pytest.mark.parametrize("method", [dawid_skene, mace, glad])
def test_simulated_truth_is_recovered(method):
    items = 500 if method is glad else 1_500
    truth, knows, ratings = simulated(items, judgements=7, seed=2)
    result = method(ratings)
    votes = ratings.counts().matrix.toarray()
    by_majority = (votes.argmax(axis=1) == truth).mean()
    assert (result.probabilities.argmax(axis=1) == truth).mean() >= max(by_majority, 0.9)
    assert np.corrcoef(result.quality, knows)[0, 1] > 0.95
    assert result.probabilities.sum(axis=1) == pytest.approx(np.ones(items))
    shares = result.probabilities.mean(axis=0)
    assert shares == pytest.approx(np.bincount(truth) / items, abs=0.04)


def test_mace_and_glad_agree_with_crowd_kit_on_nearly_all_items():
    truth, _, ratings = simulated()
    # Right by MACE(n_restarts=1, n_iter=60, method="em", random_state=0) 0.857 and GLAD(n_iter=60, tol=1e-6) 0.867,
    # whose sums by value are as below; both have other priors, so probabilities differ.
    for method, right, sums in (
        (mace, 0.857, [106.6, 85.2, 66.6, 41.6]),
        (glad, 0.867, [118.3, 80.7, 60.9, 40.2]),
    ):
        result = method(ratings)
        assert (result.probabilities.argmax(axis=1) == truth).mean() == pytest.approx(right, abs=0.01)
        assert result.probabilities.sum(axis=0) == pytest.approx(sums, abs=2.6)


def test_names_of_raters_and_order_do_not_matter():
    _, _, ratings = simulated(items=60)
    order = np.random.default_rng(1).permutation(len(ratings.items))
    shuffled = ratings._replace(raters=11 - ratings.raters).select(order)
    for method in (dawid_skene, mace):
        assert method(shuffled).probabilities == pytest.approx(method(ratings).probabilities, abs=1e-6)
    with pytest.raises(ValueError, match="do not say who gave them"):
        dawid_skene(ratings._replace(raters=ratings.raters * 0 - 1))


def test_ties_are_not_broken():
    two = Ratings(np.array([0, 0]), np.array([0, 1]), np.array([0, 1]), range(2))
    assert dawid_skene(two).best().tolist() == [-1]


def test_gold_decides_how_much_a_rater_counts():
    # Rater 0 is right on both known items, 1 and 2 wrong; on item 2, rater 0 stands alone.
    items, raters = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    codes = np.array([0, 1, 1, 1, 0, 0, 0, 1, 1])
    result = gold_weighted(Ratings(items, raters, codes, range(2)), np.array([0, 1, -1]))
    assert result.best().tolist() == [0, 1, 0]
    assert result.quality.tolist() == [0.75, 0.25, 0.25]
    unknown = gold_weighted(Ratings(items, raters, codes, range(2)), np.array([-1, -1, -1]))
    assert unknown.best().tolist() == [-1, -1, -1], "nobody is known to be better than chance"


def test_evaluator_weighted_estimator():
    rng = np.random.default_rng(4)
    truth = rng.normal(size=200)
    table = np.column_stack([truth + rng.normal(0, noise, 200) for noise in (0.2, 0.2, 1.0)])
    items, raters = np.repeat(np.arange(200), 3), np.tile(np.arange(3), 200)
    weights = evaluator_weights(items, raters, table.ravel(), 3)
    mean = table.mean(axis=1)
    assert weights == pytest.approx([np.corrcoef(column, mean)[0, 1] for column in table.T])
    fused = weighted_mean(items, table.ravel(), weights[raters])
    assert fused == pytest.approx(table @ weights / weights.sum())
    assert np.abs(fused - truth).mean() < np.abs(mean - truth).mean()
    assert evaluator_weights(items, raters, np.ones(600), 3).tolist() == [1, 1, 1]
    assert weighted_mean(np.array([0, 2]), np.array([1.0, 5.0]), np.zeros(2)) == pytest.approx(
        [1, np.nan, 5], nan_ok=True
    )


def test_bradley_terry_equals_choix():
    pairs = [(0, 1), (0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 3), (3, 2), (3, 1), (1, 3)]
    # choix.opt_pairwise(4, pairs, alpha=1e-3) of choix 0.4.1
    expected = {0: 0.27310498, 1: -0.19462438, 2: -0.0392403, 3: -0.0392403}
    assert bradley_terry(Comparison(*pair) for pair in pairs) == pytest.approx(expected, abs=1e-6)
    always = bradley_terry([Comparison("a", "b")] * 5)
    assert 0 < always["a"] < 20
    tie = bradley_terry([Comparison("a", "b", 0.5)])
    assert tie == pytest.approx({"a": 0, "b": 0})
    assert bradley_terry([]) == {}


def test_best_worst_scores():
    choices = [(("a", "b", "c", "d"), "a", "d"), (("a", "b", "c", "d"), "a", "c"), (("b", "c", "d", "e"), "b", "d")]
    assert best_worst_scores(choices) == {"a": 1.0, "b": 1 / 3, "c": -1 / 3, "d": -2 / 3, "e": 0.0}
    with pytest.raises(ValueError, match="must be two"):
        best_worst_scores([(("a", "b"), "a", "c")])
