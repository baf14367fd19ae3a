"""Raw files: never curate's own, and needed by nothing but the stages that read them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from curate.annotation.fake import KEY, FakeLabelStudio
from curate.errors import InvalidInput
from curate.pipeline import open_corpus, plan
from curate.recipe import LoadedRecipe, load_recipe
from curate.storage.workspace import Workspace
from tests.support.builders import make_posts, make_recipe
from tests.support.hub_double import TOKEN, HubDouble
from tests.support.media_builders import sample
from tests.support.runs import run_quietly


def files_of(recipe: Path | LoadedRecipe, workspace: Path) -> list[str]:
    loaded = recipe if isinstance(recipe, LoadedRecipe) else load_recipe(recipe)
    return open_corpus(loaded, Workspace(workspace)).read("sources", ["file"])["file"].to_pylist()


def make_globbing(folder: Path, pattern: str) -> Path:
    return make_recipe(folder, {"stage": "ingest", "files": pattern}, {"stage": "preprocess"})


def test_a_glob_takes_no_log_of_its_own_workspace(tmp_path):
    make_posts(tmp_path, 3)
    recipe = make_globbing(tmp_path, "**/*.jsonl")
    for changed in (True, False, False):
        assert run_quietly(recipe, tmp_path / "w").changed is changed
    assert list((tmp_path / "w").rglob("log.jsonl"))
    assert sorted(files_of(recipe, tmp_path / "w")) == [f"posts.jsonl#{number}" for number in (1, 2, 3)]


def test_a_glob_takes_no_clip_of_any_workspace(tmp_path):
    (tmp_path / "raw").mkdir()
    shutil.copy(sample(), tmp_path / "raw" / "clip.mp4")
    recipe = make_globbing(tmp_path, "**/*.mp4")
    run_quietly(recipe, tmp_path / "deep" / "first")
    shutil.copy(sample(), tmp_path / "deep" / "first" / "blobs" / "clip.mp4")
    for changed in (True, False):
        assert run_quietly(recipe, tmp_path / "second").changed is changed
    assert files_of(recipe, tmp_path / "second") == ["raw/clip.mp4"]


@pytest.mark.parametrize("pattern", ["../study/**/*.jsonl", "{absolute}/**/*.jsonl", "w/runs/*/*.jsonl"])
def test_a_workspace_is_known_however_the_pattern_leads_there(tmp_path, pattern):
    folder = tmp_path / "study"
    run_quietly(make_posts(folder, 2), folder / "w")
    recipe = make_globbing(folder / "recipes" if pattern.startswith("{") else folder, pattern.format(absolute=folder))
    if pattern.startswith("w/"):
        with pytest.raises(InvalidInput, match="has 1 problem"):
            load_recipe(recipe)
    else:
        loaded = load_recipe(recipe, raw=[folder])
        run_quietly(loaded, tmp_path / "elsewhere")
        assert len(files_of(loaded, tmp_path / "elsewhere")) == 2


def test_a_recipe_called_curate_is_no_workspace(tmp_path):
    make_posts(tmp_path, 2)
    recipe = make_globbing(tmp_path, "**/*.jsonl").rename(tmp_path / "curate.yaml")
    assert run_quietly(recipe, tmp_path / "w").stages[0].rows == 2


@pytest.fixture
def unmounted(tmp_path) -> Path:
    """A recipe whose raw files are gone since it was run; its workspace is ``w``."""
    raw = tmp_path / "raw"
    raw.mkdir()
    shutil.copy(sample(), raw / "clip.mp4")
    (raw / "posts.jsonl").write_text('{"text": "I am so happy that you came!"}\n{"text": "We meet at five."}\n')
    stages = [
        {"stage": "ingest", "files": ["raw/*.mp4", "raw/*.jsonl"], "licence": "CC0-1.0"},
        {"stage": "preprocess"},
        {"stage": "prelabel", "model": "offline"},
        {"stage": "annotate"},
        {"stage": "aggregate"},
        {"stage": "export", "media": ["audio", "face"]},
        {"stage": "publish", "repo": "tester/gone"},
    ]
    recipe = make_recipe(tmp_path, *stages)
    run_quietly(recipe, tmp_path / "w", until="export")
    raw.rename(tmp_path / "unplugged")
    return recipe


def test_what_reads_no_raw_file_needs_none(unmounted, tmp_path, run_curate):
    before = {name: open_rows(unmounted, tmp_path, name) for name in ("sources", "items", "prelabels", "labels")}
    assert all(before.values())
    status = json.loads(run_curate("status", "-w", "w", "--json").stdout)
    assert status["tables"]["items"] == before["items"] > 2
    sheets = run_curate("preview", "-w", "w")
    assert sheets.returncode == 0, sheets.stderr
    pages = [Path(line.strip()) for line in sheets.stdout.splitlines()[1:]]
    assert any('class="panel item"' in page.read_text() for page in pages)
    fake = FakeLabelStudio()
    with fake.serve() as url:
        server = {"LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": KEY}
        pushed = run_curate("annotate", "push", "-w", "w", "--json", env=server)
        # Viewing copies are made when people are to see them; items without a film do not wait for it.
        assert pushed.returncode == 1
        assert "clip.mp4 cannot be read" in pushed.stderr
        assert "put the raw files back" in pushed.stderr
        task = next(iter(fake.tasks))
        value = {"choices": ["fear"]}
        fake.judge(task, [{"id": "x", "type": "choices", "from_name": "emotion", "to_name": "Words", "value": value}])
        pulled = run_curate("annotate", "pull", "-w", "w", "--json", env=server)
        assert json.loads(pulled.stdout)["new"] == 1, pulled.stderr
        assert run_curate("annotate", "status", "-w", "w", env=server).returncode == 0
    with HubDouble(tmp_path / "hub", mode="xet") as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf")}
        published = run_curate("run", unmounted, "-w", "w", "--only", "publish", env=environment)
    assert published.returncode == 0, published.stderr
    assert {name: open_rows(unmounted, tmp_path, name) for name in before} == before


def open_rows(recipe: Path, folder: Path, table: str) -> int:
    loaded = load_recipe(recipe, check_sources=False)
    return open_corpus(loaded, Workspace(folder / "w")).read(table).num_rows


def test_what_reads_raw_files_names_those_that_are_missing(unmounted, tmp_path, run_curate):
    for command in (("check",), ("plan", "-w", "w"), ("run", "-w", "w"), ("run", "-w", "w", "--only", "ingest")):
        failed = run_curate(command[0], unmounted, *command[1:])
        assert failed.returncode == 1
        assert "no file matches 'raw/*.mp4'" in failed.stderr
        assert "Traceback" not in failed.stderr
    assert "sample.yaml:" in run_curate("check", unmounted).stderr


def test_raw_files_are_listed_by_run_and_plan_alone(tmp_path, posts_recipe, monkeypatch):
    run_quietly(posts_recipe, tmp_path / "w")
    loaded = load_recipe(posts_recipe)
    listed = []
    discover = type(loaded.recipe.stages[0]).discover
    monkeypatch.setattr(
        type(loaded.recipe.stages[0]), "discover", lambda self, tools: listed.append(1) or discover(self, tools)
    )
    assert open_corpus(loaded, Workspace(tmp_path / "w")).read("items").num_rows == 6
    run_quietly(posts_recipe, tmp_path / "w", only="aggregate")
    assert plan(loaded, Workspace(tmp_path / "w"))[0].done == 6
    assert not listed, "raw files whose size and times are the same are not read again"
    with (posts_recipe.parent / "posts.jsonl").open("a") as posts:
        posts.write('{"text": "One more."}\n')
    assert plan(loaded, Workspace(tmp_path / "w"))[0].todo == 1
    assert len(listed) == 1


def test_changed_settings_are_looked_up_again(tmp_path, posts_recipe):
    """The listing holds for the settings it was made with; without raw files the error says so."""
    run_quietly(posts_recipe, tmp_path / "w")
    changed = load_recipe(posts_recipe, ["stages.ingest.licence=CC-BY-4.0"])
    assert open_corpus(changed, Workspace(tmp_path / "w")).read("sources").num_rows == 0
    os.rename(posts_recipe.parent / "posts.jsonl", tmp_path / "posts.jsonl")
    with pytest.raises(InvalidInput, match="no file matches"):
        open_corpus(changed, Workspace(tmp_path / "w"))


@pytest.mark.parametrize("content", [b"", b"PAR1 but no more", b"\0" * 100])
def test_a_damaged_listing_is_made_again(tmp_path, posts_recipe, content):
    run_quietly(posts_recipe, tmp_path / "w")
    (tmp_path / "w" / "listing.parquet").write_bytes(content)
    assert open_corpus(load_recipe(posts_recipe), Workspace(tmp_path / "w")).read("items").num_rows == 6
    assert not run_quietly(posts_recipe, tmp_path / "w").changed
    assert (tmp_path / "w" / "listing.parquet").read_bytes() != content
