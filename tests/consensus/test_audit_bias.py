"""The audit of bias finds what was planted, and little where nothing was."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from curate.cli.app import app
from curate.consensus.audit.bias import bias_rows
from curate.consensus.audit.corrections import LEVEL
from curate.consensus.audit.differences import compare_group
from curate.consensus.audit.rows import Options
from curate.corpus.judgements import Judgement
from curate.corpus.spec import table_spec
from curate.labels import load_labels
from tests.support.judging import item_ids, judge, make_posts_workspace

SCHEMA = """
name: biased.v1
unit: post
fields:
  emotion: {type: category, taxonomy: ekman7.v1}
  arousal: {type: scale, minimum: 0, maximum: 8, level: ordinal}
"""
LABELS = ("anger", "fear", "happiness", "sadness")
GROUPS = ("x", "y", "z")


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bias")
    (folder / "schemas" / "labels").mkdir(parents=True)
    (folder / "schemas" / "labels" / "biased.v1.yaml").write_text(SCHEMA)
    return load_labels("biased.v1", folder)


class World:
    """Items of speakers in three groups, judged by three people and labelled by a model."""

    def __init__(self, schema, seed, *, items=360, speakers=36, of_speaker=0.0):
        self.schema, self.rng = schema, np.random.default_rng(seed)
        self.speakers = np.arange(items) % speakers
        self.groups = np.array(GROUPS)[self.speakers % 3]
        self.moods = self.rng.normal(0, of_speaker, speakers)[self.speakers]
        self.emotion = np.array(LABELS, object)[self.rng.integers(0, 4, items)]
        self.arousal = self.rng.integers(2, 6, items).astype(float)
        self.model_emotion, self.model_arousal = self._answers(0.7)
        self.model_arousal = np.clip(np.round(self.model_arousal + self.moods), 0, 8)
        self.people = [self._answers(0.8) for _ in range(3)]

    def _answers(self, knows):
        guesses = np.array(LABELS, object)[self.rng.integers(0, 4, len(self.emotion))]
        noise = self.rng.integers(-1, 2, len(self.emotion))
        known = self.rng.random(len(self.emotion)) < knows
        return np.where(known, self.emotion, guesses), np.clip(self.arousal + noise, 0, 8)

    def rows(self, *, column=None, draws=0, **options):
        ids = [f"i{number:04}" for number in range(len(self.emotion))]
        acts = [
            Judgement(
                item_id=item,
                rater=f"r{rater}",
                identity=(item, rater),
                revision=(1,),
                acted_at=datetime(2026, 1, 1, tzinfo=UTC),
                values={"emotion": emotion[number], "arousal": float(arousal[number])},
            ).to_row(self.schema)
            for rater, (emotion, arousal) in enumerate(self.people)
            for number, item in enumerate(ids)
        ]
        proposals = [
            {"prelabel_id": f"p{item}", "item_id": item, "labeller": "m", "sample": 0, "final": True, "outcome": "ok"}
            | {"emotion": emotion, "arousal": float(arousal), "scores": []}
            for item, emotion, arousal in zip(ids, self.model_emotion, self.model_arousal, strict=True)
        ]
        judgements = pa.Table.from_pylist(acts, schema=table_spec("annotations", self.schema).schema)
        prelabels = pa.Table.from_pylist(proposals, schema=table_spec("prelabels", self.schema).schema)
        group = self.groups if column is None else column
        groups = pa.table({"item_id": ids, "group": pa.array(group.tolist(), pa.string())})
        speakers = pa.table({"item_id": ids, "speaker": [f"s{number}" for number in self.speakers]})
        return bias_rows(
            self.schema,
            judgements.sort_by("item_id"),
            prelabels,
            {"group": groups},
            speakers=speakers,
            options=Options(draws),
            **options,
        )


def findings(rows):
    return [row for row in rows if row.p is not None and row.p <= LEVEL]


def test_planted_bias_of_the_model_is_found_and_named(schema):
    world = World(schema, 1)
    in_x = world.groups == "x"
    wrong = in_x & (world.rng.random(len(in_x)) < 0.6)
    world.model_emotion[wrong] = "anger"
    world.model_arousal[in_x] = np.clip(world.model_arousal[in_x] + 2, 0, 8)
    rows = world.rows(draws=400)
    found = {(row.field, row.measure, row.group["group"], row.group.get("label")): row for row in findings(rows)}
    anger = found["emotion", "model_shift", "x", "anger"]
    assert anger.value > 0.3
    assert anger.low > 0.2
    assert found["emotion", "model_error", "x", None].value > 0.2
    louder = found["arousal", "model_shift", "x", None]
    assert louder.value == pytest.approx(2, abs=0.3)
    assert louder.low <= 2 <= louder.high
    assert all(
        row.group["group"] == "x" or row.value < 0 or row.group.get("label") != "anger" for row in found.values()
    )
    assert not any(row.measure == "rater_shift" for row in found.values()), "people are alike"
    assert "after Holm" in anger.note


def test_planted_shift_of_a_rater_is_found_and_named(schema):
    world = World(schema, 2)
    emotion, arousal = world.people[1]
    world.people[1] = emotion, np.where(world.groups == "z", np.clip(arousal + 2, 0, 8), arousal)
    found = {(row.field, row.group.get("rater"), row.group["group"]) for row in findings(world.rows())}
    assert ("arousal", "r1", "z") in found
    assert {field for field, _, _ in found} == {"arousal"}
    shift = [row.value for row in findings(world.rows()) if row.group == {"group": "z", "rater": "r1"}]
    assert shift == pytest.approx([2.0], abs=0.3)


@pytest.mark.parametrize("of_speaker", [0.0, 1.5])
def test_without_bias_few_audits_find_any(schema, of_speaker):
    audits = [World(schema, 100 + seed, items=180, speakers=30, of_speaker=of_speaker).rows() for seed in range(15)]
    with_findings = sum(bool([row for row in findings(rows) if row.measure != "rater_shift"]) for rows in audits)
    assert with_findings <= 3, "the chance of any false finding is 5 % in each of 15 audits"
    by_chance = [row.p for rows in audits for row in rows if row.p is not None]
    assert len(by_chance) > 500


def test_p_values_hold_their_level_with_speakers_that_differ():
    rng = np.random.default_rng(5)
    speakers = np.arange(200) // 10
    in_group = speakers % 2 == 0
    p_values = [
        compare_group(rng.normal(0, 1, 20)[speakers] + rng.normal(0, 1, 200), in_group, speakers).p
        for _ in range(1_000)
    ]
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.07
    as_items = [
        compare_group(rng.normal(0, 1, 20)[speakers] + rng.normal(0, 1, 200), in_group, np.arange(200)).p
        for _ in range(200)
    ]
    assert np.mean(np.array(as_items) <= 0.05) > 0.3, "items of a speaker are not independent"


def test_small_groups_are_named_and_not_compared(schema):
    world = World(schema, 3)
    column = np.where(np.arange(360) < 12, "tiny", world.groups)
    column = np.where(world.speakers < 2, None, column)
    rows = world.rows(column=column)
    assert "tiny" not in {row.group["group"] for row in rows}
    (small,) = [row for row in rows if row.measure == "small_groups" and row.field == "emotion"]
    assert (small.value, small.p, small.low) == (1, None, None)
    assert small.note.startswith(
        "tiny: a comparison needs 20 items of 5 speakers on both sides; 20 items have no group"
    )


def test_of_two_groups_one_comparison_is_made(schema):
    world = World(schema, 4)
    rows = world.rows(column=np.where(world.speakers % 2, "a", "b"))
    assert {row.group["group"] for row in rows} == {"a"}
    by_speaker = World(schema, 4, speakers=6)
    rows = by_speaker.rows(column=np.array([f"s{number}" for number in by_speaker.speakers]))
    assert {row.group["group"] for row in rows} == {f"s{number}" for number in range(6)}, "over the items of each"


def test_command(tmp_path, monkeypatch):
    loaded, workspace = make_posts_workspace(tmp_path, 60)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    judge(
        loaded,
        workspace,
        [
            Judgement(item_id=i, rater=r, identity=(i, r), revision=(1,), values={"emotion": [str(rng.choice(LABELS))]})
            for i in item_ids(loaded, workspace)
            for r in "ab"
        ],
    )
    run = CliRunner().invoke
    shown = run(app, ["audit", "bias", "-w", "ws", "--field", "emotion"])
    assert shown.exit_code == 0, shown.output
    assert "comparisons of the model show a difference" in shown.output
    rows = json.loads(run(app, ["audit", "bias", "-w", "ws", "--by", "speaker", "--json"]).stdout)["rows"]
    assert {row["group"]["speaker"] for row in rows} == {"writer0", "writer1", "writer2"}
    assert {row["measure"] for row in rows} == {"model_error", "model_shift", "rater_shift"}
    wrong = run(app, ["audit", "bias", "-w", "ws", "--by", "arm"])
    assert "--by arm: it is of judgements" in str(wrong.exception)
    wrong = run(app, ["audit", "bias", "-w", "ws", "--by", "speakr"])
    assert "did you mean speaker" in str(wrong.exception)
