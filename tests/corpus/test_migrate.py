"""Judgements under a label schema that changed: refused with counts, and carried over as acts derived from them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from curate.cli.app import app
from curate.consensus.aggregate import aggregate
from curate.corpus.judgements import current_judgements
from curate.corpus.migrate import Migration, plan_migration
from curate.corpus.schema_fit import list_misfits, open_stored, refuse_misfits
from curate.corpus.set_aside import set_aside
from curate.corpus.spec import open_table
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.labels import LabelSchema, load_labels, load_migration
from curate.storage.workspace import Workspace
from tests.support.builders import make_posts
from tests.support.label_files import write_asset

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD = {
    "emotion": "{type: category, taxonomy: moods.v1, multiple: true}",
    "other": "{type: open_set, when: {emotion: [surprise]}}",
    "valence": "{type: scale, minimum: 1, maximum: 9, level: ordinal}",
    "main": "{type: category, taxonomy: moods.v1}",
}
OLD_MOODS, NEW_MOODS = "[joy, anger, rage, surprise]", "[happiness, anger, fear, surprise]"
ACTS = {
    "ann": {"emotion": ["joy"], "valence": 9.0, "main": "joy"},
    "bob": {"emotion": ["anger", "rage"], "valence": 1.0, "main": "rage"},
    "cleo": {"emotion": ["joy", "surprise"], "valence": 3.0, "main": "surprise", "other": ["news"]},
    "dan": {"emotion": ["rage"], "valence": 4.0},
}


def write_schema(folder: Path, moods: str, fields: dict[str, str], name: str = "judged.v1") -> LabelSchema:
    write_asset(folder, "taxonomies", "moods.v1", f"taxonomy: moods.v1\ntitle: Moods\nlabels: {moods}\n")
    lines = "".join(f"  {field}: {settings}\n" for field, settings in fields.items())
    write_asset(folder, "labels", name, f"name: {name}\nunit: post\nfields:\n{lines}")
    return load_labels(name, folder)


def make_act(rater: str, number: int = 0, **changed: object) -> dict[str, object]:
    origins = [{"field": field, "origin": "prediction-changed"} for field in ACTS[rater]]
    facts = {"annotation_id": f"{rater}{number}", "judgement_id": rater, "item_id": "item", "annotator": rater}
    return {
        **facts,
        "action": "created",
        "acted_at": NOON,
        "raw": "as sent",
        "origins": origins,
        **ACTS[rater],
        **changed,
    }


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """A workspace with four judgements of one item under the old form of the label schema."""
    labels = write_schema(tmp_path, OLD_MOODS, OLD)
    made = Workspace(tmp_path / "ws")
    rows = [make_act(rater) for rater in ACTS]
    rows.append({"annotation_id": "eve", "judgement_id": "eve", "item_id": "item", "annotator": "eve"})
    rows[-1] |= {"action": "skipped", "acted_at": NOON}
    open_table(made, "annotations", labels).commit(rows, metadata={})
    return made


def plan(workspace: Workspace, labels: LabelSchema, text: str, source: str = "judged.v1") -> Migration:
    stored = open_stored(workspace, labels, source)
    file = workspace.local / "map.yaml"
    file.write_text(text)
    return plan_migration(workspace, labels, load_migration(file, labels, tuple(stored.fields)), stored)


def current(workspace: Workspace, labels: LabelSchema) -> dict[str, dict]:
    rows = current_judgements(open_table(workspace, "annotations", labels).read()).to_pylist()
    return {row["annotator"]: row for row in rows}


FIVE = OLD | {"valence": "{type: scale, minimum: 1, maximum: 5, level: ordinal}"}


@pytest.mark.parametrize(
    ("moods", "fields", "sentences"),
    [
        (OLD_MOODS, OLD, []),
        (
            NEW_MOODS,
            OLD,
            [
                "emotion: 4 answers of people hold labels that it does not have: joy (2), rage (2)",
                "main: 2 answers of people hold labels that it does not have: joy (1), rage (1)",
            ],
        ),
        (OLD_MOODS, FIVE, ["valence: 1 answer of people does not fit, such as: 9 is not within 1 to 5"]),
        (
            OLD_MOODS,
            {name: settings for name, settings in OLD.items() if name != "valence"},
            ["valence: 4 answers of people, and the label schema has no such field now"],
        ),
        (
            OLD_MOODS,
            OLD | {"valence": "{type: text}"},
            [
                "valence: 4 answers of people are stored as double, and the label schema now says string: give it a "
                "new version and migrate `--from` this one"
            ],
        ),
    ],
)
def test_what_does_not_fit_is_said_with_counts(workspace, tmp_path, moods, fields, sentences):
    labels = write_schema(tmp_path, moods, fields)
    assert list_misfits(workspace, labels) == sentences
    if sentences:
        with pytest.raises(InvalidInput) as caught:
            refuse_misfits(workspace, labels)
        assert caught.value.problems == tuple(sentences)
        assert "curate labels migrate" in caught.value.hint


RENAMED = "{rename: {joy: happiness}, merge: {anger: [rage]}}"


@pytest.mark.parametrize(
    ("moods", "fields", "text", "field", "values", "reopened"),
    [
        (
            NEW_MOODS,
            OLD,
            f"emotion: {RENAMED}\nmain: {RENAMED}\n",
            "emotion",
            [["happiness"], ["anger"], ["happiness", "surprise"], ["anger"]],
            0,
        ),
        (OLD_MOODS, FIVE, "valence: {scale: [1, 9], rounded: true}", "valence", [5.0, 1.0, 2.0, 3.0], 0),
        (OLD_MOODS, FIVE, "valence: {scale: [1, 9], again: true}", "valence", [5.0, 1.0, 2.0, None], 1),
        (
            "[calm, happiness, anger, rage, surprise]",
            OLD,
            "emotion: {split: {joy: {by: valence, to: {happiness: [7, 9], calm: [1, 2]}}}}\n"
            "main: {split: {joy: {by: emotion, to: {happiness: [joy], calm: [rage]}}}}\n",
            "emotion",
            [["happiness"], ["anger", "rage"], None, ["rage"]],
            1,
        ),
        (
            "[joy, anger, rage]",
            {**OLD, "other": "{type: open_set, when: {emotion: [rage]}}"},
            "emotion: {drop: [surprise]}\nmain: {drop: [surprise]}\n",
            "main",
            ["joy", "rage", None, None],
            0,
        ),
        (
            OLD_MOODS,
            {"feeling": OLD["emotion"], **{name: OLD[name] for name in ("valence", "main")}},
            "emotion: {to: feeling}\nother: {drop: all}\n",
            "feeling",
            [["joy"], ["anger", "rage"], ["joy", "surprise"], ["rage"]],
            0,
        ),
    ],
    ids=["rename and merge", "rounded", "not whole", "split", "drop", "new name of a field"],
)
def test_answers_are_carried_over_once_and_history_stays(
    workspace, tmp_path, moods, fields, text, field, values, reopened
):
    labels = write_schema(tmp_path, moods, fields)
    table = open_table(workspace, "annotations", labels)
    before = table.read()
    migration = plan(workspace, labels, text)
    assert table.read().equals(before)
    migration.commit()
    rows = current(workspace, labels)
    assert [rows[rater][field] for rater in ACTS] == values
    assert migration.reopened == reopened == sum(bool(row["misfits"]) for row in rows.values())
    assert list_misfits(workspace, labels) == []
    after = table.read()
    assert set(before["annotation_id"].to_pylist()) < set(after["annotation_id"].to_pylist())
    derived = [row for row in after.to_pylist() if row["action"] == "migrated"]
    assert len(derived) == migration.acts.num_rows == len({row["annotation_id"] for row in derived})
    assert {row["raw"] for row in derived} == {"as sent"}
    for row in rows.values():
        answered = {entry["field"] for entry in row["origins"]}
        assert answered == {name for name in labels.fields if row[name] is not None}
    for again in (text, text + "\n# the same\n"):
        assert plan(workspace, labels, again).acts.num_rows == 0
    later = make_act("ann", 2, action="updated", acted_at=NOON.replace(hour=13), **dict.fromkeys(ACTS["ann"]))
    table.commit([{name: later.get(name) for name in before.column_names} | {field: values[0]}], metadata={})
    assert plan(workspace, labels, text).acts.num_rows == 0


def test_answers_to_questions_that_are_no_more_asked_are_left_out(workspace, tmp_path):
    labels = write_schema(tmp_path, "[joy, anger, rage]", OLD | {"other": "{type: open_set, when: {emotion: [rage]}}"})
    migration = plan(workspace, labels, "emotion: {drop: [surprise]}\nmain: {drop: [surprise]}")
    migration.commit()
    cleo = current(workspace, labels)["cleo"]
    assert (cleo["emotion"], cleo["other"], cleo["main"], migration.unasked) == (["joy"], None, None, {"other": 1})


def test_acts_without_a_time_and_two_maps_in_turn(workspace, tmp_path):
    labels = write_schema(tmp_path, NEW_MOODS, FIVE)
    table = open_table(workspace, "annotations", labels)
    table.commit([make_act("ann", acted_at=None, judgement_id="fay", annotator="fay", annotation_id="f")], metadata={})
    for text in (f"emotion: {RENAMED}\nmain: {RENAMED}", "valence: {scale: [1, 9], rounded: true}"):
        plan(workspace, labels, text).commit()
    fay = current(workspace, labels)["fay"]
    assert (fay["emotion"], fay["main"], fay["valence"]) == (["happiness"], "happiness", 5.0)
    # A map with a new part leaves what was converted before alone.
    more = plan(workspace, labels, "valence: {scale: [1, 9]}\nother: {again: true}")
    assert (more.acts.num_rows, list(more.fields)) == (0, ["other"])
    label = aggregate(labels, table.read(), open_table(workspace, "prelabels", labels).read()).to_pylist()[0]
    assert (label["raters"], label["emotion"]) == (5, ["happiness"])


def test_a_new_version_takes_judgements_over_with_other_types(workspace, tmp_path):
    moods = "[happiness, anger, surprise]"
    fields = {"emotion": OLD["emotion"], "valence": "{type: scale, minimum: 0, maximum: 1}"}
    fields |= {"mood": "{type: category, taxonomy: moods.v1, multiple: true}"}
    labels = write_schema(tmp_path, moods, fields, "judged.v2")
    corpus = Corpus(workspace, labels, {})
    assert set_aside(corpus).other_schemas == ("judged.v1",)
    text = (
        f"emotion: {RENAMED}\nmain: {{to: mood, rename: {{joy: happiness}}, drop: [rage]}}\nvalence: {{scale: [1, 9]}}"
    )
    with pytest.raises(InvalidInput) as caught:
        plan(workspace, labels, text).commit()
    assert caught.value.problems == ("other: 1 answer would not fit, such as: the label schema has no such field now",)
    assert open_table(workspace, "annotations", labels).version() is None
    text += "\nother: {drop: all}"
    plan(workspace, labels, text).commit()
    rows = current(workspace, labels)
    assert [rows[rater]["valence"] for rater in ACTS] == [1.0, 0.0, 0.25, 0.375]
    assert [rows[rater]["mood"] for rater in ACTS] == [["happiness"], None, ["surprise"], None]
    assert {row["acted_at"] for row in rows.values()} == {NOON}
    assert set_aside(corpus).other_schemas == ()
    assert plan(workspace, labels, text).acts.num_rows == 0
    # Another map wins over the first, and what raters take back or say later follows.
    plan(workspace, labels, text.replace("[1, 9]", "[1, 17]")).commit()
    assert current(workspace, labels)["ann"]["valence"] == 0.5
    old = open_stored(workspace, labels, "judged.v1").table
    gone = {"annotation_id": "gone", "judgement_id": "bob", "item_id": "item", "annotator": "bob", "action": "deleted"}
    said = make_act("ann", 2, action="updated", acted_at=NOON.replace(hour=13), valence=5.0)
    old.commit([gone | {"acted_at": NOON.replace(hour=13)}, said], metadata={})
    plan(workspace, labels, text).commit()
    rows = current(workspace, labels)
    assert ("bob" in rows, rows["ann"]["valence"]) == (False, 0.5)


def test_a_field_with_another_type_needs_a_new_name(workspace, tmp_path):
    labels = write_schema(tmp_path, OLD_MOODS, OLD | {"valence": "{type: text}"})
    with pytest.raises(InvalidInput, match="another type under the same name") as caught:
        plan(workspace, labels, "valence: {again: true}")
    assert "--from judged.v1" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("emotoin: {rename: {joy: happiness}}", "1: no judgement has a field emotoin; did you mean emotion?"),
        ("emotion: {rename: {joy: hapiness}}", "'hapiness' is not a label of emotion; did you mean happiness?"),
        ("emotion: {rename: {joy: happiness}, drop: [joy]}", "'joy' has more than one successor"),
        ("emotion: {scale: [1, 9]}", "a field of type category has no scale"),
        ("valence: {scale: [9, 1]}", "the lower end comes first"),
        ("valence: {scale: [.nan, 1]}", "a finite number"),
        ("valence: {rename: {a: b}}", "a field of type scale has no labels"),
        ("emotion: {drop: all, rename: {joy: anger}}", "drop: all leaves out the field"),
        ("emotion: {to: main}\nmain: {again: true}", "several stored fields would become main"),
        ("emotion: {split: {joy: {by: emotion, to: {fear: [joy]}}}}", "emotion is not another stored field"),
        ("emotion: {split: {joy: {by: valence, to: {x: [1, 2]}}}}", "'x' is not a label of emotion"),
        ("emotion: joy", "emotion needs what becomes of its values"),
        ("emotion: {renames: {}}", "renames"),
        ("1: {again: true}", "no judgement has a field 1"),
    ],
)
def test_a_wrong_map_is_refused_with_file_and_line(workspace, tmp_path, text, problem):
    labels = write_schema(tmp_path, NEW_MOODS, OLD)
    with pytest.raises(InvalidInput) as caught:
        plan(workspace, labels, text)
    assert "map.yaml:" in "\n".join(caught.value.problems)
    assert problem in "\n".join(caught.value.problems)


def test_commands_refuse_before_anything_is_paid_and_migrate_repairs(workspace, tmp_path, monkeypatch):
    write_schema(tmp_path, NEW_MOODS, OLD)
    recipe = make_posts(tmp_path, 1)
    recipe.write_text(recipe.read_text().replace("utterance_emotion.v1", "judged.v1"))
    workspace.claim("sample", recipe)
    monkeypatch.chdir(tmp_path)
    map_options = ("--map", "map.yaml", "-w", "ws")

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    for command in ("check", "plan", "run"):
        error = call(command, recipe, "-w", "ws").exception
        assert isinstance(error, InvalidInput)
        assert error.problems[0] == "emotion: 4 answers of people hold labels that it does not have: joy (2), rage (2)"
        assert "curate labels migrate --map FILE --dry-run" in error.hint
    assert not (tmp_path / "ws/answers.sqlite").exists()
    (tmp_path / "map.yaml").write_text(f"emotion: {RENAMED}\nmain: {RENAMED}\n")
    assert "6 acts would be added; nothing was changed." in call("labels", "migrate", *map_options, "--dry-run").stdout
    done = json.loads(call("labels", "migrate", *map_options, "--json").stdout)
    assert (done["acts"], done["fields"]["main"]) == (6, {"kept": 1, "converted": 2, "dropped": 0, "again": 0})
    assert "Nothing to migrate" in call("labels", "migrate", recipe, *map_options).stdout
    assert call("check", recipe, "-w", "ws").exit_code == 0
    assert call("labels", "migrate", "--from", "judged.v7", *map_options).exception.hint == (
        "name one with --from: judged.v1"
    )
