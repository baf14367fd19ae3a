"""The README tells the truth: its blocks run, its links lead somewhere, and every command is in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from curate.corpus.sources import RawFolders

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def block(language: str, beginning: str) -> str:
    """The one block that begins so."""
    (code,) = [code for code in blocks(language) if code.startswith(beginning)]
    return code


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """A folder in which the demo has been run, as the README says."""
    folder = tmp_path_factory.mktemp("readme")
    setup = re.search(r"<!-- run -->\s*```bash\n(.*?)```", README, re.DOTALL)[1].strip()
    main_job = setup.split("&&")[-1].strip()
    assert main_job == ".venv/bin/curate demo"
    done = run_line(main_job, folder)
    assert "curate annotate up" in done.stdout
    return folder


def run_line(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    line = line.replace(".venv/bin/curate", f"{sys.executable} -m curate")
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, env={**os.environ}, timeout=300)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done


def test_python_blocks(demo):
    found = blocks("python")
    assert found
    for code in found:
        done = subprocess.run([sys.executable, "-c", code], cwd=demo, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "ClassLabel" in done.stdout


def test_the_recipe_block_is_valid(tmp_path):
    from curate.recipe import load_recipe

    recipe = block("yaml", "recipe:")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.mp4").write_bytes(b"")
    (tmp_path / "interviews.yaml").write_text(recipe)
    assert load_recipe(tmp_path / "interviews.yaml").recipe.recipe == "interviews"


def test_the_export_block_is_valid(tmp_path):
    from curate.recipe import load_recipe

    recipe, export = block("yaml", "recipe:"), block("yaml", "  - stage: export")
    line = next(line for line in recipe.splitlines(keepends=True) if "stage: export" in line)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.mp4").write_bytes(b"")
    (tmp_path / "gold_ids.txt").write_text("a")
    (tmp_path / "interviews.yaml").write_text(recipe.replace(line, export))
    stage = next(each for each in load_recipe(tmp_path / "interviews.yaml").recipe.stages if each.stage == "export")
    assert list(stage.schemes) == ["default", "official", "by_speaker", "cv", "gold"]


def test_the_prelabel_block_is_valid(tmp_path):
    from curate.recipe import load_recipe

    recipe, prelabel = block("yaml", "recipe:"), block("yaml", "  - stage: prelabel")
    line = next(line for line in recipe.splitlines(keepends=True) if "stage: prelabel" in line)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.mp4").write_bytes(b"")
    (tmp_path / "interviews.yaml").write_text(recipe.replace(line, prelabel))
    stage = next(each for each in load_recipe(tmp_path / "interviews.yaml").recipe.stages if each.stage == "prelabel")
    assert [one.model for one in stage.labellers] == ["openai/gpt-5-mini", "offline"]


def test_the_tables_block_maps_a_table(tmp_path):
    from curate.recipe import load_recipe
    from curate.stages.ingest.tables import read_tables

    tables = block("yaml", "  - stage: ingest")
    (tmp_path / "votes.csv").write_text("file,shown,A,H\n1001_IEO_X,1,2,0\n1001_IEO_X,2,0,3\nbad,1,1,0\n")
    first, last = tables.split("  - {stage: annotate")
    preprocess = f"  - stage: preprocess\n  - {{stage: annotate{last}"
    (tmp_path / "own.yaml").write_text(f"recipe: own\nlabels: utterance_emotion.v1\nstages:\n{first}{preprocess}")
    loaded = load_recipe(tmp_path / "own.yaml")
    mapped = read_tables(loaded.recipe.stages[0].tables, RawFolders(tmp_path), loaded.labels)
    votes = zip(mapped.judgements["arm"].to_pylist(), mapped.judgements["emotion"].to_pylist(), strict=True)
    assert list(votes) == [("voice", ["anger"])] * 2 + [("face", ["happiness"])] * 3
    assert mapped.problems["<line>"].to_list() == [4]


def test_the_label_schema_block_is_valid(tmp_path):
    from curate.labels import load_labels

    (tmp_path / "my_study.v1.yaml").write_text(block("yaml", "name:"))
    assert set(load_labels("my_study.v1", tmp_path).fields) == {"emotion", "other", "arousal", "causes"}


def test_label_commands(tmp_path):
    lines = [line for block in blocks("bash") for line in block.splitlines() if "curate labels" in line]
    assert len(lines) >= 3
    for line in lines:
        assert run_line(line, tmp_path).stdout.strip()


def test_run_again_block(demo):
    assert "Nothing to do" in run_line(".venv/bin/curate run quickstart", demo).stdout
    assert run_line(".venv/bin/curate status", demo).stdout
    assert run_line(".venv/bin/curate plan quickstart", demo).stdout


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_every_command_is_in_it():
    from typer.main import get_command

    from curate.cli.app import app

    def names(command, prefix=()):
        for name, sub in getattr(command, "commands", {}).items():
            yield from names(sub, (*prefix, name)) if getattr(sub, "commands", None) else [(*prefix, name)]

    commands = list(names(get_command(app)))
    assert len(commands) >= 11
    for name in commands:
        assert f"`curate {' '.join(name)}" in README or (
            f"`curate {name[0]} " in README and f"`{name[-1]}`" in README
        ), name


def test_the_setup_commands_are_those_of_ci():
    shown = subprocess.run([sys.executable, ROOT / ".ci" / "readme_command.py", "test"], capture_output=True, text=True)
    assert shown.stdout.strip().endswith("-m pytest")
    assert ".ci/readme_command.py test" in (ROOT / ".ci" / "run").read_text()
