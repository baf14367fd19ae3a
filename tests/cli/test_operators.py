"""What operators are told before a run: plans, licences, wrong values, and help that fits the terminal."""

import resource
import subprocess
import sys

import pytest

from curate.cli.commands.check import check_command
from curate.cli.commands.plan import plan_command
from curate.errors import InvalidInput, WorkspaceUnusable
from curate.pipeline import plan
from curate.pipeline.status import status
from curate.recipe import load_recipe
from curate.stages.ingest.licences import licence_notice
from curate.storage.workspace import Workspace
from tests.support.builders import make_posts, make_recipe
from tests.support.runs import run_quietly


def test_a_plan_says_what_a_run_makes_of_files_that_are_gone(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    for number in range(3):
        (tmp_path / "raw" / f"{number}.txt").write_text(f"I am glad number {number}")
    stages = ["ingest", "preprocess", "prelabel", "aggregate", "export"]
    settings = {"ingest": {"files": "raw/*.txt"}, "prelabel": {"model": "offline"}}
    recipe = make_recipe(tmp_path, *({"stage": name, **settings.get(name, {})} for name in stages))
    loaded, workspace = load_recipe(recipe), tmp_path / "w"
    before = {entry.stage: entry for entry in plan(loaded, Workspace(workspace))}
    assert (before["ingest"].todo, before["export"].note) == (3, "depends on the stages before it")
    run_quietly(recipe, workspace)
    assert not any(entry.changes for entry in plan(loaded, Workspace(workspace)))
    plan_command(recipe, str(workspace))
    assert "Nothing to do" in capsys.readouterr().out
    (tmp_path / "raw" / "1.txt").unlink()
    after = {entry.stage: entry for entry in plan(loaded, Workspace(workspace))}
    assert "1 input is gone since the last run: what was made of it leaves the next release" in after["ingest"].note
    assert after["aggregate"].changes
    plan_command(recipe, str(workspace))
    assert "Nothing to do" not in capsys.readouterr().out
    assert run_quietly(recipe, workspace).changed
    assert not any(entry.changes for entry in plan(loaded, Workspace(workspace)))


def test_a_release_that_was_removed_or_damaged_is_part_of_the_plan(tmp_path, posts_recipe):
    run_quietly(posts_recipe, tmp_path / "w")
    loaded = load_recipe(posts_recipe)
    shard = next((tmp_path / "w" / "releases" / "1.0.0" / "data").iterdir())
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"x")
    with pytest.raises(WorkspaceUnusable, match="was changed since the release was made"):
        plan(loaded, Workspace(tmp_path / "w"))
    changed = load_recipe(posts_recipe, ["stages.export.release=2.0.0"])
    shard.write_bytes(content)
    assert plan(changed, Workspace(tmp_path / "w"))[-1].note == "writes release 2.0.0, unless it would equal 1.0.0"


def test_another_recipes_workspace_is_refused_before_anything_is_said_of_it(tmp_path, posts_recipe):
    run_quietly(posts_recipe, tmp_path / "w", until="ingest")
    loaded = load_recipe(make_posts(tmp_path / "b", 2))
    other = loaded._replace(recipe=loaded.recipe.model_copy(update={"recipe": "another"}))
    for look in (plan, status):
        with pytest.raises(WorkspaceUnusable, match=r"belongs to recipe .* not 'another'"):
            look(other, Workspace(tmp_path / "w"))


@pytest.mark.parametrize(
    ("licence", "says"),
    [
        (None, "no licence is stated: set `licence:`"),
        (" ", "no licence is stated"),
        ("CCBY4", "'CCBY4' is not an SPDX name; did you mean CC-BY-4.0?"),
        ("Creative Commons Attribution 4.0", "did you mean CC-BY-4.0?"),
        ("our terms", "LicenseRef-<name>"),
        ("MIT OR", "not an SPDX name"),
        ("(" * 5000, "not an SPDX name"),
    ],
)
def test_a_licence_that_nobody_can_look_up_is_said(licence, says):
    assert says in (licence_notice(licence) or "")


def test_spdx_licences_pass():
    for licence in ("CC-BY-4.0", "cc-by-nc-sa-4.0", "ODbL-1.0", "LicenseRef-EULA", "CC-BY-4.0 AND MIT"):
        assert licence_notice(licence) is None


def test_check_plan_and_run_say_that_there_is_no_licence(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("words")
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "a.txt", "licence": "CCBY4"})
    check_command(recipe)
    line = next(number for number, text in enumerate(recipe.read_text().splitlines(), 1) if "ingest" in text)
    assert f"note: {recipe}:{line}: licence 'CCBY4' is not an SPDX name" in capsys.readouterr().out
    assert "did you mean CC-BY-4.0?" in plan(load_recipe(recipe), Workspace(tmp_path / "w"))[0].note
    assert "did you mean CC-BY-4.0?" in run_quietly(recipe, tmp_path / "w").stages[0].message


WRONG = {
    "{stage: ingest, files: 3}": "files must be a text or a list such as [a, b], not 3",
    "{stage: ingest, files: [1]}": "files, number 1 must be a text, not 1",
    "{stage: ingest, files: []}": "files needs at least 1 entry",
    "{stage: ingest, files: }": "ingest: name `files`, `tables`, `urls` or several of them",
    "{stage: ingest, files: {a: b}}": "files must be a text or a list such as [a, b], not a group of settings",
    "{stage: preprocess, max_pause_s: long}": "max_pause_s must be a number, not 'long'",
    "{stage: preprocess, faces: 3}": "faces must be a group of settings, not 3",
    "{stage: preprocess, faces: {min_face_px: -2}}": "min_face_px must be at least 8, not -2",
    "{stage: preprocess, faces: {min_face_px: 64.5}}": "min_face_px must be a whole number, not 64.5",
    "{stage: prelabel, labellers: []}": "labellers needs at least 1 entry",
    "{stage: prelabel, labellers: [{model: 3}]}": "model must be a text, not 3",
    "{stage: prelabel, model: offline, show: image}": "show must be a list such as [a, b], not 'image'",
    "{stage: annotate, instructions: ''}": "instructions needs at least 1 character",
    "{stage: annotate, raters_per_item: many}": "raters_per_item must be a whole number, not 'many'",
    "{stage: export, split: {train: most}}": (
        "train: there is no file most; a split is a share, a list of ids, or a file of ids"
    ),
    "{stage: publish, repo: a/b, private: perhaps}": "private must be true or false, not 'perhaps'",
    "3": "stages, number 1 must be a group of settings, not 3",
}


@pytest.mark.parametrize("stage", WRONG)
def test_wrong_values_are_said_in_words(tmp_path, stage):
    path = tmp_path / "r.yaml"
    path.write_text(f"recipe: a\nlabels: utterance_emotion.v1\nstages:\n  - {stage}\n")
    with pytest.raises(InvalidInput) as caught:
        load_recipe(path, check_sources=False)
    assert next(problem for problem in caught.value.problems if ":4: " in problem) == f"{path}:4: {WRONG[stage]}"
    text = " ".join(caught.value.problems).lower()
    assert not any(word in text for word in ("input should", "valid ", "tuple", "item after validation", "pydantic"))


def test_a_tab_in_yaml_says_use_spaces(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("recipe: a\nlabels: utterance_emotion.v1\nstages:\n\t- {stage: ingest, files: x}\n")
    with pytest.raises(InvalidInput, match=r"r.yaml:4: not valid YAML: a tab cannot indent; use spaces"):
        load_recipe(path)


def test_help_is_as_wide_as_the_terminal_and_cuts_nothing(run_curate):
    sentence = "Run the shipped quickstart recipe on its sample: clips and posts to a release, without network or keys."
    wide = run_curate("--help", env={"COLUMNS": "150"}).stdout
    assert sentence in wide
    narrow = run_curate("--help", env={"COLUMNS": "60"}).stdout
    assert sentence in " ".join(narrow.split())
    assert "..." not in narrow.replace("[ARGS]...", "")
    assert max(map(len, narrow.splitlines())) <= 60


def test_too_few_open_files_are_one_sentence(tmp_path):
    def few(soft, hard):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    command = [sys.executable, "-m", "curate", "check", "--help"]  # the limit is looked at first, for every command
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, preexec_fn=few(24, 24))
    assert done.returncode == 1
    assert "only 24 files may be open at a time here, and curate needs 256" in done.stderr
    assert "ulimit -n" in done.stderr
    assert "panic" not in done.stderr
    raised = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, preexec_fn=few(64, 4096))
    assert raised.returncode == 0, raised.stderr
