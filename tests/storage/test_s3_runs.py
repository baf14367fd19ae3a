"""A run on an object store, as a cluster uses it: nothing is shared but the store and the raw files."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from curate.assets import shipped_folder
from curate.corpus.spec import open_table
from curate.errors import WorkspaceBusy
from curate.executors.open import open_executor
from curate.executors.ray import ray_settings
from curate.labels import load_labels
from curate.release.manifest import check_files
from curate.release.versions import Releases
from curate.storage.workspace import Workspace
from tests.support.builders import TEXTS, make_posts
from tests.support.object_store import SECRET, machine_environment
from tests.support.runs import KILL_AT_WRITE, TABLES, assert_same, run_quietly

ROOT = Path(__file__).parents[2]


def make_mix(folder: Path) -> Path:
    """Make a recipe over a few posts and one clip with a face that speaks."""
    recipe = make_posts(folder, 3)
    shutil.copy(shipped_folder("recipes") / "quickstart" / "good_news.mp4", folder)
    text = recipe.read_text().replace("files: posts.jsonl", "files: [posts.jsonl, '*.mp4']")
    recipe.write_text(text)
    return recipe


def contents(root: "str | Path") -> dict[str, object]:
    """Return every table sorted by key, and every file of the releases."""
    opened, labels = Workspace(root, create=False), load_labels("utterance_emotion.v1")
    state: dict[str, object] = {}
    for name in TABLES:
        table = open_table(opened, name, labels)
        state[name] = table.read().sort_by(table.spec.key)
    releases = Releases(opened.releases)
    for manifest in releases.manifests():
        folder = releases.fetch(manifest)
        check_files(folder, manifest)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                state[f"{manifest.version}/{path.relative_to(folder)}"] = path.read_bytes()
    return state


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The mix of posts and a clip, run in a folder: the recipe and the content of the workspace."""
    folder = tmp_path_factory.mktemp("mix")
    recipe = make_mix(folder / "in")
    run_quietly(recipe, folder / "w")
    return recipe, contents(folder / "w")


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    """Four posts, run in a folder: the recipe and the content of the workspace."""
    folder = tmp_path_factory.mktemp("posts")
    recipe = make_posts(folder / "in", 4)
    run_quietly(recipe, folder / "w")
    return recipe, contents(folder / "w")


def test_a_run_on_an_object_store_gives_what_a_folder_gives(undisturbed, here, url, store, tmp_path):
    recipe, expected = undisturbed
    done = run_quietly(recipe, url)
    assert done.changed
    assert done.release == f"{url}/releases/1.0.0"
    assert done.report.is_file()
    assert_same(contents(url), expected)
    assert expected["items"].num_rows > 3
    names = [name.partition("/w/")[2] for name in store.files().find(url)]
    assert {name.split("/")[0] for name in names} == {
        *("blobs", "curate.yaml", "listing.parquet", "releases", "runs", "tables")
    }
    assert {Path(name).name for name in names if name.startswith("runs/")} == {
        "log.jsonl",
        "recipe.yaml",
        "report.html",
        "run.json",
    }

    here("second")
    again = run_quietly(recipe, url)
    assert not again.changed
    assert [result.rows for result in again.stages] == [0] * 5
    assert_same(contents(url), expected)

    from datasets import Audio, load_dataset

    releases = Releases(Workspace(url, create=False).releases)
    folder = releases.fetch(releases.manifests()[0])
    assert folder.is_relative_to(tmp_path / "second" / "cache")
    rows = load_dataset("parquet", data_files=f"{folder}/data/*.parquet", cache_dir=str(tmp_path / "hf"))["train"]
    rows = rows.cast_column("audio", Audio(decode=False))
    assert rows.num_rows == expected["items"].num_rows
    assert sum(bool(row["audio"] and row["audio"]["bytes"][:4] == b"fLaC") for row in rows) >= 1

    everything = [store.files().cat_file(name) for name in store.files().find(url)]
    everything += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in data for data in everything), "keys stay in the environment"


def test_ray_workers_share_no_disk_with_the_driver(undisturbed, here, url, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    recipe, expected = undisturbed
    workers = here("workers")
    workers.mkdir()
    monkeypatch.chdir(workers)
    with ray_settings(is_local=True):
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        try:
            driver = here("driver")
            driver.mkdir()
            monkeypatch.chdir(driver)
            run_quietly(recipe, url, executor=open_executor("ray", 2, None))
        finally:
            ray.shutdown()
    assert_same(contents(url), expected)
    copies = {path.name for path in (workers / "cache" / "blobs").rglob("*.*")}
    assert {row["audio"][3:] for row in expected["items"].to_pylist() if row["audio"]} <= copies


def test_every_command_takes_the_url(posts, here, url, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from curate.cli.app import app

    def curate(*arguments: "str | Path") -> str:
        done = CliRunner().invoke(app, [*map(str, arguments), "-w", url], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    recipe, _ = posts
    monkeypatch.chdir(tmp_path)
    assert "depends on the stages before it" in curate("plan", recipe)
    assert not Workspace.exists(url), "a plan makes no workspace"
    run_quietly(recipe, url)
    status = json.loads(curate("status", "--json"))
    assert status["workspace"] == url
    assert status["releases"] == ["1.0.0"]
    assert status["last_run"]["report"].startswith(f"{url}/runs/")
    assert "Nothing to do" in curate("plan", recipe)
    assert "index.html lists 1 preview:" in curate("preview").replace("\n", "")
    (page,) = (tmp_path / "first").rglob("previews/posts*.html")
    assert TEXTS[0] in page.read_text()
    assert curate("unlock") == "It is not locked.\n"
    assert curate("annotate", "down") == "It was not running.\n"
    assert {path.name for path in tmp_path.iterdir()} == {"first"}, "no folder is named like a URL"


KILL_AT_UPLOAD = """
import os, signal, sys
from pathlib import Path
from curate.storage.s3.client import S3Prefix
from tests.support.runs import run_quietly
upload = S3Prefix.upload
def deadly(self, path, name):
    if name == "manifest.json": os.kill(os.getpid(), signal.SIGKILL)
    upload(self, path, name)
S3Prefix.upload = deadly
run_quietly(Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize("moment", ["commit", "release"])
def test_killed_and_run_again(posts, here, url, store, moment):
    recipe, expected = posts
    code = KILL_AT_UPLOAD if moment == "release" else KILL_AT_WRITE.replace("Path(sys.argv[2])", "sys.argv[2]")
    command = [sys.executable, "-c", code, str(recipe), url, "3", "before"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    opened = Workspace(url, create=False)
    assert Releases(opened.releases).manifests() == []
    assert store.files().exists(f"{url}/releases/1.0.0/README.md") == (moment == "release")
    store.files().pipe_file(f"{url}/releases/mine/note.txt", b"not ours")
    with pytest.raises(WorkspaceBusy, match="which has ended without unlocking it") as busy:
        run_quietly(recipe, url)
    assert f"curate unlock -w {url}" in busy.value.hint
    assert "process" in opened.unlock()
    run_quietly(recipe, url)
    assert_same(contents(url), expected)
    names = {name.partition("/releases/")[2].split("/")[0] for name in store.files().find(f"{url}/releases")}
    assert names == {"1.0.0", "mine"}, "a folder of someone else is kept"
    assert not store.files().exists(f"{url}/releases/1.0.0/.unfinished")


def test_the_command_ends_with_one_sentence(posts, run_curate, store, tmp_path):
    recipe, _ = posts
    done = run_curate("run", recipe, "-w", "s3://nowhere/w", env=machine_environment(store, tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no bucket nowhere")
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
