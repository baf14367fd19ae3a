"""The alternative annotator test: whether a model is as good a rater as each person, judged by the others."""

from typing import NamedTuple

import numpy as np

from curate.consensus.agreement.ratings import UNNAMED, Floats
from curate.consensus.audit.corrections import LEVEL, benjamini_yekutieli
from curate.consensus.audit.distances import NUMBERS, Pairs, code_distances, pairs_of
from curate.consensus.audit.evidence import Answers, Compared

MIN_RATERS = 3
MIN_ITEMS = 30
EPSILON = 0.2
_TOLERANCE = 1e-9


class Advantage(NamedTuple):
    """One left-out rater: how often the model is at least as near to the others (0-1), with the corrected p-value.

    The model wins against the rater if ``p`` is at most 0.05.
    """

    rater: int
    items: int
    probability: float
    p: float

    @property
    def is_win(self) -> bool:
        """Whether the model wins against this rater."""
        return self.p <= LEVEL


class AlternativeTest(NamedTuple):
    """The result over all raters with enough items; ``why_undefined`` says why there is none.

    ``winning_rate`` (omega, 0-1) is the share of raters against whom the model wins: it may replace a rater if that is
    at least 0.5. ``average_advantage`` (rho, 0-1) is the mean of their probabilities. ``too_few`` counts raters who
    judged fewer than 30 items together with others.
    """

    advantages: tuple[Advantage, ...]
    winning_rate: float | None
    average_advantage: float | None
    too_few: int
    why_undefined: str = ""


def alternative_test(compared: Compared, *, epsilon: float = EPSILON) -> AlternativeTest:
    """Return whether the model of ``compared`` may replace one of the people who judged blind.

    Each rater is left out once, and compared with the model by closeness to the others: the share of equal labels, the
    root mean square difference of numbers, or the mean distance of other values. ``epsilon`` is what a person's
    judgement is worth beyond a model's (0.2 for experts, 0.1 for crowd workers). p-values are those of the one-sided
    t-test, corrected after Benjamini and Yekutieli. Source: N. Calderon, R. Reichart and R. Dror, The alternative
    annotator test for LLM-as-a-judge, ACL (2025).
    """
    blind = compared.blind
    named = blind.select(blind.raters != UNNAMED)
    if len(blind.items) and not len(named.items):
        return _undefined("the judgements do not say who gave them")
    raters = np.unique(named.raters)
    if len(raters) < MIN_RATERS:
        return _undefined(f"it needs {MIN_RATERS} people who judged blind, and there are {len(raters)}")
    differences = _differences(compared, named)
    tested = {rater: of_rater for rater, of_rater in differences.items() if len(of_rater.person) >= MIN_ITEMS}
    too_few = len(raters) - len(tested)
    if len(tested) < MIN_RATERS:
        largest = max((len(of_rater.person) for of_rater in differences.values()), default=0)
        return _undefined(
            f"it needs {MIN_RATERS} people with {MIN_ITEMS} items that others judged blind, too; the most is {largest}"
            if not tested
            else f"only {len(tested)} of {len(raters)} people have {MIN_ITEMS} items that others judged blind, too",
            too_few,
        )
    p_values = benjamini_yekutieli(
        np.array([_p_value(of_rater.person - of_rater.model, epsilon) for of_rater in tested.values()])
    )
    advantages = tuple(
        Advantage(rater, len(of_rater.model), float(of_rater.model.mean()), float(p))
        for (rater, of_rater), p in zip(tested.items(), p_values, strict=True)
    )
    return AlternativeTest(
        advantages,
        float(np.mean([advantage.is_win for advantage in advantages])),
        float(np.mean([advantage.probability for advantage in advantages])),
        too_few,
    )


class _Indicators(NamedTuple):
    """For each item of a rater, 1 if the model, and if the person, is at least as near to the others as the other."""

    model: Floats
    person: Floats


def _differences(compared: Compared, named: Answers) -> dict[int, _Indicators]:
    pairs = pairs_of(named)
    of_person, of_model = _losses(compared, named, pairs)
    counts = np.bincount(pairs.first, minlength=len(named.items))
    usable = (counts > 0) & np.isfinite(of_person) & np.isfinite(of_model)
    model = (of_model <= of_person + _TOLERANCE).astype(np.float64)
    person = (of_person <= of_model + _TOLERANCE).astype(np.float64)
    raters = np.unique(named.raters[usable]).tolist()
    by_rater = {rater: usable & (named.raters == rater) for rater in raters}
    return {rater: _Indicators(model[rows], person[rows]) for rater, rows in by_rater.items()}


def _losses(compared: Compared, named: Answers, pairs: Pairs) -> tuple[Floats, Floats]:
    """Return how far each judgement, and the model's answer in its place, is from the others of its item."""
    peer_codes = named.codes[pairs.second]
    distances = (
        code_distances(compared, named.codes[pairs.first], peer_codes),
        code_distances(compared, compared.model[named.items[pairs.first]], peer_codes),
    )
    power = 2 if compared.field.comparison in NUMBERS else 1
    counts = np.bincount(pairs.first, minlength=len(named.items))
    with np.errstate(invalid="ignore"):
        person, model = (np.bincount(pairs.first, part**power, len(named.items)) / counts for part in distances)
    return person, model


def _p_value(differences: Floats, epsilon: float) -> float:
    """Return the p-value of the t-test that the mean of ``differences`` is below ``epsilon``."""
    from scipy.special import stdtr

    error = float(differences.std(ddof=1)) / np.sqrt(len(differences))
    distance = float(differences.mean()) - epsilon
    if error < _TOLERANCE:
        return 0.0 if distance < -_TOLERANCE else 1.0
    return float(stdtr(len(differences) - 1, distance / error))


def _undefined(reason: str, too_few: int = 0) -> AlternativeTest:
    return AlternativeTest((), None, None, too_few, reason)
