"""The audit of a model equals the published formulas, and says the truth where the truth is known."""

import json

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from typer.testing import CliRunner

from curate.cli.app import app
from curate.cli.commands.audit import _tables
from curate.consensus.audit.calibration import brier_terms, calibrate
from curate.consensus.audit.corrections import benjamini_yekutieli, holm
from curate.consensus.audit.model import audit_rows
from curate.consensus.audit.prediction_powered import expected_width, items_needed, prediction_powered_mean
from curate.consensus.audit.rows import TOPICS, AuditRow, Options, figure_name, topic_of
from curate.consensus.audit.summary import summary_rows
from curate.corpus.judgements import Judgement
from curate.corpus.spec import table_spec
from curate.errors import InvalidInput
from curate.labels import load_labels
from tests.support.judging import item_ids, judge, make_posts_workspace

LABELS = ("anger", "fear", "happiness")
SCHEMA = """
name: audited.v1
unit: post
fields:
  emotion: {type: category, taxonomy: ekman7.v1}
  moods: {type: category, taxonomy: ekman7.v1, multiple: true}
  strength: {type: scale, minimum: 0, maximum: 4, level: ordinal}
  note: {type: text}
"""


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    (folder / "schemas" / "labels").mkdir(parents=True)
    (folder / "schemas" / "labels" / "audited.v1.yaml").write_text(SCHEMA)
    return load_labels("audited.v1", folder)


def to_judgements(schema, rows):
    """Rows of (item, rater, values, more) as a table of current judgements."""
    made = [
        Judgement(item_id=item, rater=rater, identity=(n,), revision=(1,), values=values, **more).to_row(schema)
        for n, (item, rater, values, more) in enumerate(rows)
    ]
    table = pa.Table.from_pylist(made, schema=table_spec("annotations", schema).schema)
    return table.sort_by([("item_id", "ascending"), ("annotation_id", "ascending")])


def to_prelabels(schema, values, *, scores=None, **more):
    """One proposal for each item of ``values``."""
    rows = [
        {"prelabel_id": f"p{item}", "item_id": item, "labeller": "m", "sample": 0, "final": True, "outcome": "ok"}
        | {"scores": (scores or {}).get(item, [])}
        | answer
        | more
        for item, answer in values.items()
    ]
    return pa.Table.from_pylist(rows, schema=table_spec("prelabels", schema).schema)


def simulated(schema, *, right=0.8, of_people=(0.7, 0.7, 0.7), items=200, judged=120, seed=0, field="emotion"):
    """A truth that model and people know with some probability; people judge the first items."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, items)

    def answer(knows, index):
        label = LABELS[truth[index] if rng.random() < knows else rng.integers(0, 3)]
        return [label] if field == "moods" else float(LABELS.index(label)) if field == "strength" else label

    proposals = {f"i{index:04}": {field: answer(right, index)} for index in range(items)}
    rows = [
        (f"i{index:04}", f"r{number}", {field: answer(knows, index)}, {})
        for index in range(judged)
        for number, knows in enumerate(of_people)
        if rng.random() < 0.9
    ]
    return rows, proposals


def by_measure(rows, field="emotion", **group):
    return {row.measure: row for row in rows if row.field == field and row.group == group}


def transcribed_alternative_test(people, model, epsilon, loss):
    """The paper's formula, rater by rater and item by item: omega, rho and each rho_j with its p-value."""
    p_values, advantages = {}, {}
    for j in sorted(people):
        differences, of_model = [], []
        for item, own in people[j].items():
            others = [people[k][item] for k in people if k != j and item in people[k]]
            if not others:
                continue
            model_score, own_score = -loss(model[item], others), -loss(own, others)
            of_model.append(float(model_score >= own_score))
            differences.append(float(own_score >= model_score) - of_model[-1])
        p_values[j] = stats.ttest_1samp(differences, epsilon, alternative="less").pvalue
        advantages[j] = np.mean(of_model)
    ordered = sorted(p_values, key=p_values.get)
    harmonic = sum(1 / k for k in range(1, len(ordered) + 1))
    passed = [k for k, j in enumerate(ordered, 1) if p_values[j] <= k * 0.05 / (len(ordered) * harmonic)]
    return max(passed, default=0) / len(ordered), np.mean(list(advantages.values())), advantages


LOSSES = {
    "emotion": lambda value, others: 1 - np.mean([value == other for other in others]),
    "moods": lambda value, others: 1 - np.mean([set(value) == set(other) for other in others]),
    "strength": lambda value, others: np.sqrt(np.mean([(value - other) ** 2 for other in others])),
}


@pytest.mark.parametrize("field", LOSSES)
@pytest.mark.parametrize(("right", "epsilon"), [(0.95, 0.1), (0.6, 0.2), (0.1, 0.2), (0.62, 0.05)])
def test_alternative_annotator_test_equals_the_papers_formula(schema, field, right, epsilon):
    judged, proposals = simulated(schema, right=right, of_people=(0.9, 0.7, 0.5, 0.8), field=field, seed=5)
    people: dict = {}
    for item, rater, values, _ in judged:
        people.setdefault(rater, {})[item] = values[field]
    model = {item: values[field] for item, values in proposals.items()}
    omega, rho, advantages = transcribed_alternative_test(people, model, epsilon, LOSSES[field])
    rows = list(
        audit_rows(
            schema,
            to_judgements(schema, judged),
            to_prelabels(schema, proposals),
            field=field,
            options=Options(0, epsilon),
        )
    )
    found = by_measure(rows, field)
    assert found["winning_rate"].value == omega
    assert ("may replace" in found["winning_rate"].note) == (omega >= 0.5)
    assert found["average_advantage"].value == pytest.approx(rho)
    assert {row.group["rater"]: row.value for row in rows if row.measure == "advantage"} == pytest.approx(advantages)


@pytest.mark.parametrize(
    ("people", "judged", "reason"),
    [
        ((0.7, 0.7), 120, "it needs 3 people who judged blind, and there are 2"),
        ((0.7, 0.7, 0.7), 20, "it needs 3 people with 30 items that others judged blind, too; the most is "),
        ((), 0, None),
    ],
)
def test_alternative_annotator_test_says_why_it_is_undefined(schema, people, judged, reason):
    rows, proposals = simulated(schema, of_people=people, judged=judged)
    found = by_measure(audit_rows(schema, to_judgements(schema, rows), to_prelabels(schema, proposals)))
    if reason is None:
        assert found == {}
    else:
        assert (found["winning_rate"].value, reason in found["winning_rate"].note) == (None, True)


def test_unnamed_people_cannot_be_left_out(schema):
    rows, proposals = simulated(schema)
    unnamed = [(item, None, values, more) for item, _, values, more in rows]
    found = by_measure(audit_rows(schema, to_judgements(schema, unnamed), to_prelabels(schema, proposals)))
    assert "do not say who gave them" in found["winning_rate"].note
    assert found["distance_each"].judgements == len(rows)


def test_corrections_equal_scipy_and_the_definition():
    p_values = np.random.default_rng(1).random(30) ** 3
    assert benjamini_yekutieli(p_values) == pytest.approx(stats.false_discovery_control(p_values, method="by"))
    ordered = sorted(p_values)
    steps = [max(min(1, (30 - k) * ordered[k]) for k in range(number + 1)) for number in range(30)]
    assert sorted(holm(p_values)) == pytest.approx(steps)


def test_prediction_powered_mean_equals_the_closed_form():
    rng = np.random.default_rng(3)
    judged = rng.integers(0, 2, 80).astype(float)
    proposed = np.where(rng.random(80) < 0.8, judged, 1 - judged)
    elsewhere = rng.integers(0, 2, 400).astype(float)
    # PPI (weight 1) and PPI++ (the weight of its equation for means), with plain variances.
    pooled = np.concatenate([proposed, elsewhere])
    tuned = np.cov(judged, proposed, ddof=0)[0, 1] / ((1 + 80 / 400) * pooled.var(ddof=1))
    for weight, expected_weight in ((1.0, 1.0), (None, tuned), (0.0, 0.0)):
        result = prediction_powered_mean(judged, proposed, elsewhere, weight=weight)
        value = expected_weight * elsewhere.mean() + (judged - expected_weight * proposed).mean()
        variance = expected_weight**2 * elsewhere.var() / 400 + (judged - expected_weight * proposed).var() / 80
        reach = stats.norm.ppf(0.975) * np.sqrt(variance)
        assert (result.value, result.low, result.high) == pytest.approx((value, value - reach, value + reach))
        assert result.weight == pytest.approx(expected_weight)
    # ppi_mean_pointestimate and ppi_mean_ci(alpha=0.05) of ppi-python 0.2.3
    powered = prediction_powered_mean(judged, proposed, elsewhere)
    assert (powered.value, powered.low, powered.high) == pytest.approx(
        (0.5031643616190029, 0.4149704459498333, 0.5913582772881725)
    )


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_cover_the_truth_and_are_shorter_with_a_good_model(clustered):
    rng = np.random.default_rng(11)
    share, covered, narrower, runs = 0.3, 0, 0, 400
    for _ in range(runs):
        speakers = np.arange(500) // (10 if clustered else 1)
        of_speaker = np.clip(rng.normal(share, 0.15 if clustered else 0.0, 500)[speakers], 0, 1)
        truth = (rng.random(500) < of_speaker).astype(float)
        model = np.where(rng.random(500) < 0.85, truth, 1 - truth)
        order = rng.permutation(500)
        judged, others = order[:150], order[150:]
        clusters = speakers[order] if clustered else None
        powered = prediction_powered_mean(truth[judged], model[judged], model[others], clusters=clusters)
        alone = prediction_powered_mean(truth[judged], model[judged], model[others], weight=0, clusters=clusters)
        covered += powered.low <= share <= powered.high
        narrower += powered.high - powered.low < alone.high - alone.low
    assert 0.92 <= covered / runs <= 0.975
    assert narrower / runs > 0.95


def test_judgements_needed_give_the_wanted_interval():
    rng = np.random.default_rng(4)
    truth = (rng.random(5_000) < 0.4).astype(float)
    model = np.where(rng.random(5_000) < 0.9, truth, 1 - truth)
    first = (truth[:1_000], model[:1_000], model[1_000:])
    items = items_needed(*first, width=0.04)
    reached = prediction_powered_mean(truth[:items], model[:items], model[items:])
    assert reached.high - reached.low == pytest.approx(0.04, rel=0.05)
    alone = items_needed(truth[:1_000], np.zeros(1_000), np.zeros(4_000), width=0.04)
    assert alone == pytest.approx(4 * 1.96**2 * truth[:1_000].var() / 0.04**2, rel=0.01)
    assert items < alone * 0.6
    assert items_needed(*first, width=0.001) is None
    assert expected_width(*first, count=5_000) == pytest.approx(
        2 * 1.96 * np.sqrt(truth[:1_000].var() / 5_000), rel=0.01
    )


def test_calibration_by_equal_mass_bins():
    rng = np.random.default_rng(0)
    scores = rng.random(2_000)
    ones = np.ones(2_000, int)
    honest = calibrate(scores, (rng.random(2_000) < scores).astype(float), ones)
    assert honest.error == pytest.approx(honest.if_perfect, abs=0.015)
    boastful = calibrate(scores, (rng.random(2_000) < scores / 2).astype(float), ones)
    assert boastful.error == pytest.approx(scores.mean() / 2, abs=0.02)
    assert [entry.items for entry in honest.bins] == [200] * 10
    equal = calibrate(np.repeat([0.5, 0.9], 100), np.repeat([0.5, 0.4], 100), np.ones(200, int))
    assert [(entry.low, entry.items) for entry in equal.bins] == [(0.5, 100), (0.9, 100)]
    assert [entry.agreed for entry in equal.bins] == pytest.approx([0.5, 0.4])
    assert equal.error == pytest.approx(0.25)
    assert brier_terms(np.array([[0.7, 0.3]]), np.array([[1.0, 0.0]]), multiple=False) == pytest.approx([0.18])
    assert brier_terms(np.array([[0.7, 0.3]]), np.array([[1.0, 0.0]]), multiple=True) == pytest.approx([0.09])


def test_scores_are_compared_with_people(schema):
    rows, proposals = simulated(schema, right=1.0, of_people=(1.0, 1.0, 1.0))
    sure = {
        item: [{"field": "emotion", "label": values["emotion"], "score": 0.75}] for item, values in proposals.items()
    }
    table = to_prelabels(schema, proposals, scores=sure)
    found = list(audit_rows(schema, to_judgements(schema, rows), table, field="emotion"))
    assert by_measure(found)["calibration_error"].value == pytest.approx(0.25)
    assert by_measure(found)["brier"].value == pytest.approx(0.0625)
    (only_bin,) = [row for row in found if row.measure == "reliability"]
    assert (only_bin.group["score"], only_bin.value) == (pytest.approx(0.75), 1.0)
    without = by_measure(audit_rows(schema, to_judgements(schema, rows), to_prelabels(schema, proposals)))
    assert without["calibration_error"].value is None


@pytest.mark.parametrize("field", LOSSES)
def test_a_model_like_people_is_as_near_to_them_as_they_are(schema, field):
    kinds = {"like people": 0.7, "better": 0.95, "worse": 0.2}
    signs = {}
    for name, right in kinds.items():
        judged, proposals = simulated(
            schema, right=right, of_people=(0.7, 0.7), items=400, judged=400, field=field, seed=1
        )
        rows = audit_rows(schema, to_judgements(schema, judged), to_prelabels(schema, proposals), field=field)
        row = by_measure(rows, field)["distance_difference"]
        signs[name] = (row.low > 0) - (row.high < 0)
    assert signs == {"like people": 0, "better": -1, "worse": 1}


def test_prefilled_judgements_are_no_evidence(schema):
    rows, proposals = simulated(schema, right=0.2, of_people=(0.9, 0.9, 0.9), items=300, judged=100)
    ids = sorted(proposals)[100:200]
    kept = [
        (item, f"r{number}", proposals[item], {"prelabel_id": "p", "origins": {"emotion": "prediction"}})
        for item in ids
        for number in range(3)
    ]
    table = to_prelabels(schema, proposals)
    alone = list(audit_rows(schema, to_judgements(schema, rows), table, field="emotion"))
    mixed = list(audit_rows(schema, to_judgements(schema, [*rows, *kept]), table, field="emotion"))
    values = [[row[:6] for row in part if row.group.get("values") is None] for part in (alone, mixed)]
    assert values[0] == values[1], "pre-filled judgements change no figure"
    apart = by_measure(mixed, values="pre-filled")["distance_prefilled"]
    assert (apart.value, apart.judgements) == (0, 300)
    assert "300 of 300 are proposals left as they were" in apart.note
    assert all("300 judgements that started from a proposal are left out" in row.note for row in mixed)
    fewer = to_prelabels(schema, {item: proposals[item] for item in ids[:10]})
    (of_ten,) = list(audit_rows(schema, to_judgements(schema, kept), fewer, field="emotion"))[1:]
    assert "30 of 30 are proposals left as they were" in of_ten.note, "only where the labeller has an answer"
    only = list(audit_rows(schema, to_judgements(schema, kept), table, field="emotion"))
    assert [row.measure for row in only] == ["none", "distance_prefilled"]


def test_intervals_need_items_that_vary(schema):
    rows, proposals = simulated(schema, judged=20, of_people=(0.9,))
    found = list(audit_rows(schema, to_judgements(schema, rows), to_prelabels(schema, proposals), field="emotion"))
    shares = [row for row in found if row.measure in ("share_people", "share_ppi")]
    assert {(row.low, row.high) for row in shares} == {(None, None)}
    assert all("an interval needs 30 items" in row.note for row in shares)


def test_items_that_were_not_judged_at_random_are_noticed(schema):
    rows, proposals = simulated(schema, items=400, judged=400)
    chosen = {
        "at random": set(sorted(proposals)[::3]),
        "by label": {item for item, values in proposals.items() if values["emotion"] != "fear"},
    }
    notes = {}
    for name, ids in chosen.items():
        judged = to_judgements(schema, [row for row in rows if row[0] in ids])
        found = by_measure(audit_rows(schema, judged, to_prelabels(schema, proposals)), label="anger")
        notes[name] = "not a random choice" in found["share_ppi"].note
    assert notes == {"at random": False, "by label": True}


def test_proposals_that_failed_and_other_labellers_do_not_count(schema):
    rows, proposals = simulated(schema)
    good = to_prelabels(schema, proposals)
    refused = to_prelabels(schema, dict(list(proposals.items())[:10]), outcome="refused", prelabel_id="x")
    other = to_prelabels(schema, proposals, labeller="other", final=False, emotion="neutral")
    table = pa.concat_tables([refused, other, good])
    judgements = to_judgements(schema, rows)
    assert list(audit_rows(schema, judgements, table)) == list(audit_rows(schema, judgements, good))
    of_other = by_measure(audit_rows(schema, judgements, table, labeller="other"), label="neutral")
    assert of_other["share_model"].value == 1
    fewer = good.slice(10)
    (first, *_) = audit_rows(schema, judgements, fewer)
    assert "10 items judged blind for which the model has no answer" in first.note


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labeller": "n"}, "no proposal is by labeller n"),
        ({"field": "emotions"}, "did you mean emotion"),
        ({"arm": "voice"}, "no judgement is of arm voice"),
    ],
)
def test_names_that_there_are_not(schema, options, message):
    rows, proposals = simulated(schema, judged=3)
    with pytest.raises(InvalidInput, match=message):
        list(audit_rows(schema, to_judgements(schema, rows), to_prelabels(schema, proposals), **options))


def test_command(tmp_path, monkeypatch):
    loaded, workspace = make_posts_workspace(tmp_path, 12)
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    assert "Nobody has judged an item yet" in run(app, ["audit", "model", "-w", "ws"]).output
    judge(
        loaded,
        workspace,
        [
            Judgement(item_id=item, rater=rater, identity=(item, rater), revision=(1,), values={"emotion": ["fear"]})
            for item in item_ids(loaded, workspace)
            for rater in "ab"
        ],
    )
    shown = run(app, ["audit", "model", "-w", "ws", "--interval", "0.1"])
    assert shown.exit_code == 0
    assert "may the model replace a rater?" in shown.output
    assert "it needs 3 people who judged blind, and there are 2" in shown.output
    rows = json.loads(run(app, ["audit", "model", "-w", "ws", "--json", "--field", "emotion"]).stdout)["rows"]
    fear = [row for row in rows if row["measure"] == "share_people" and row["group"] == {"label": "fear"}]
    assert [(row["value"], row["low"], row["items"], row["judgements"]) for row in fear] == [(1.0, None, 12, 24)]
    assert {row["measure"] for row in rows} <= {measure for words in TOPICS.values() for measure in words}


def test_a_summary_names_nobody_and_is_of_fields_that_were_judged_blind(schema):
    rows, proposals = simulated(schema, items=60, judged=60)
    proposals = {item: {**answer, "strength": 1.0} for item, answer in proposals.items()}
    seen = [(item, rater, {"strength": 1.0}, {"prelabel_id": f"p{item}"}) for item, rater, _, _ in rows]
    prelabels = to_prelabels(schema, proposals)
    both = to_judgements(schema, [*rows, *seen])
    summary = summary_rows(schema, both, prelabels, options=Options(0))
    every = list(audit_rows(schema, both, prelabels, options=Options(0)))
    assert {"emotion", "strength"} == {row.field for row in every}
    assert summary == [row for row in every if row.field == "emotion" and "rater" not in row.group]
    assert any("rater" in row.group for row in every)
    assert all(topic_of(row) in TOPICS and figure_name(row) for row in every)
    assert not any(name in f"{row}" for row in summary for name in ("r0", "r1", "r2"))
    assert summary_rows(schema, to_judgements(schema, seen), prelabels) == []
    assert summary_rows(schema, both, prelabels.slice(0, 0)) == []


def test_a_note_is_stated_above_a_table_only_if_every_row_has_it():
    def row(measure, note):
        return AuditRow("emotion", {}, measure, 0.5, None, None, None, 1, 1, 1, note)

    rows = [row("winning_rate", "1 item"), row("average_advantage", "1 item"), row("distance_each", "1 items more")]
    assert [[line.note for line in table.lines] for table in _tables(rows)] == [["1 item", "1 item"], ["1 items more"]]
    rows = [row("winning_rate", "all"), row("distance_each", "one; all"), row("brier", "all")]
    assert [[line.note for line in table.lines] for table in _tables(rows)] == [["all"], ["one"], [""]]
    rows = [row("winning_rate", "1 item"), row("distance_each", "1 item; more"), row("brier", "21 items; 1 item less")]
    assert [[line.note for line in table.lines] for table in _tables(rows)][1] == ["1 item; more"]
