"""Scores of things that people compared, over all pairs."""

import json

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from curate.cli.app import app
from curate.consensus.methods.comparisons import Comparison, bradley_terry, bradley_terry_errors
from curate.consensus.scores import score_rows
from curate.corpus.judgements import Judgement
from curate.corpus.spec import table_spec
from curate.labels import load_labels
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.judging import item_ids, judge
from tests.support.runs import run_quietly

SIDES = ("video", "video_b", "audio", "audio_b", "text", "text_b")


def scores(judged, **options):
    """Judgements (item, rater, grade, more) of items whose id names both texts, as in ``a-b``."""
    labels = load_labels("text_preference.v1")
    acts = [
        Judgement(
            item_id=item, rater=rater, identity=(n,), revision=(1,), values={"empathetic": {"grade": grade}}, **more
        ).to_row(labels)
        for n, (item, rater, grade, more) in enumerate(judged)
    ]
    items = [
        dict.fromkeys(SIDES) | {"item_id": item} | dict(zip(("text", "text_b"), item.split("-"), strict=True))
        for item in sorted({item for item, *_ in judged})
    ]
    table = pa.Table.from_pylist(acts, schema=table_spec("annotations", labels).schema).sort_by("item_id")
    kinds = pa.schema([(name, pa.string()) for name in ("item_id", *SIDES)])
    return list(score_rows(labels, table, pa.Table.from_pylist(items, schema=kinds), **options))


def test_errors_are_those_of_the_curvature():
    rng = np.random.default_rng(0)
    pairs = [Comparison(*rng.choice(5, 2, replace=False).tolist(), float(rng.random() < 0.6)) for _ in range(200)]
    strengths = bradley_terry(pairs)
    things = list(strengths)

    def loss(values):
        difference = np.array([values[things.index(a)] - values[things.index(b)] for a, b, _ in pairs])
        share = np.array([pair.share for pair in pairs])
        cost = share * np.logaddexp(0, -difference) + (1 - share) * np.logaddexp(0, difference)
        return cost.sum() + 1e-3 * (values**2).sum()

    best, step = np.array(list(strengths.values())), np.eye(5) * 1e-3
    curvature = np.array(
        [
            [(loss(best + a + b) - loss(best + a - b) - loss(best - a + b) + loss(best - a - b)) / 4e-6 for b in step]
            for a in step
        ]
    )
    centre = np.eye(5) - 1 / 5
    expected = np.sqrt(np.diag(centre @ np.linalg.inv(curvature) @ centre))
    assert list(bradley_terry_errors(pairs, strengths).values()) == pytest.approx(expected, rel=1e-3)


def test_intervals_cover_planted_strengths():
    rng, truth, covered = np.random.default_rng(1), np.array([-1.0, -0.5, 0.0, 0.5, 1.0]), []
    for _ in range(20):
        firsts = rng.integers(0, 5, 200)
        seconds = (firsts + rng.integers(1, 5, 200)) % 5
        wins = rng.random(200) < 1 / (1 + np.exp(truth[seconds] - truth[firsts]))
        pairs = [
            Comparison(*entry) for entry in zip(firsts.tolist(), seconds.tolist(), wins.astype(float), strict=True)
        ]
        strengths = bradley_terry(pairs)
        errors = bradley_terry_errors(pairs, strengths)
        covered += [abs(strengths[thing] - truth[thing]) <= 1.96 * errors[thing] for thing in range(5)]
    assert 0.89 <= np.mean(covered) <= 0.99


def test_a_text_has_one_score_over_all_its_pairs():
    rows = scores(
        [("a-b", "r1", -1, {}), ("b-c", "r1", -3, {}), ("c-a", "r1", 2, {}), ("a-b", "r2", 1, {}), ("b-c", "r2", 0, {})]
    )
    by_thing = {row.thing: row for row in rows}
    assert [row.thing for row in rows] == ["a", "b", "c"]
    a, b, c = (by_thing[name] for name in "abc")
    assert [(row.comparisons, row.preferred, row.ties) for row in (a, b, c)] == [(3, 2, 0), (4, 2, 1), (3, 0, 1)]
    assert [row.best_worst for row in (a, b, c)] == pytest.approx([1 / 3, 1 / 4, -2 / 3])
    assert a.score + b.score + c.score == pytest.approx(0, abs=1e-6)
    assert all(row.low < row.score < row.high and row.group == 1 for row in rows)


def test_things_that_no_comparison_connects_are_in_groups():
    rows = scores([("a-b", "r", -1, {}), ("b-c", "r", -1, {}), ("x-y", "r", 1, {}), ("same-same", "r", 1, {})])
    assert {row.thing: row.group for row in rows} == {"a": 1, "b": 1, "c": 1, "x": 2, "y": 2}
    assert {row.thing: row.note.partition(":")[0] for row in rows if row.note} == {
        **dict.fromkeys("ay", "always preferred"),
        **dict.fromkeys("cx", "never preferred"),
    }


def test_the_newest_judgement_and_only_blind_ones_count():
    judged = [("a-b", "r", -1, {}), ("b-c", "r", 1, {"prelabel_id": "p"})]
    assert {row.thing for row in scores(judged, blind_only=True)} == {"a", "b"}
    assert len(scores(judged)) == 3


def test_command(tmp_path, monkeypatch):
    lines = [("a", "b"), ("b", "c"), ("c", "a"), ("x", "y")]
    texts = [{"text": f"Text {first}.", "text_b": f"Text {second}."} for first, second in lines]
    (tmp_path / "posts.jsonl").write_text("\n".join(map(json.dumps, texts)))
    stages = ({"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"}, {"stage": "preprocess"})
    recipe = make_recipe(tmp_path, *stages, labels="text_preference.v1")
    run_quietly(recipe, tmp_path / "ws")
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    assert "Nobody has compared a pair yet" in run(app, ["scores", "-w", "ws"]).output
    loaded, workspace = load_recipe(recipe), Workspace(tmp_path / "ws")
    judge(
        loaded,
        workspace,
        [
            Judgement(item_id=i, rater="r", identity=(i,), revision=(1,), values={"empathetic": {"grade": -1}})
            for i in item_ids(loaded, workspace)
        ],
    )
    shown = run(app, ["scores", "-w", "ws"])
    assert shown.exit_code == 0, shown.output
    assert "empathetic: 3 things" in shown.output
    assert "1 pair with nothing that occurs in another pair" in shown.output
    rows = json.loads(run(app, ["scores", "-w", "ws", "--json"]).stdout)["rows"]
    assert {row["thing"]: row["preferred"] for row in rows if row["group"] == 1} == {f"Text {c}.": 1 for c in "abc"}


def test_command_without_a_preference(tmp_path):
    (tmp_path / "post.txt").write_text("Hello.")
    run_quietly(make_recipe(tmp_path, {"stage": "ingest", "files": "*.txt", "licence": "CC0-1.0"}), tmp_path / "ws")
    result = CliRunner().invoke(app, ["scores", "-w", str(tmp_path / "ws")])
    assert "has no preference, so nothing was compared" in str(result.exception)
