"""A workspace on an object store, as a cluster uses it: nothing is shared but the store and the raw files."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from curate.assets import shipped_folder
from curate.corpus.spec import open_table
from curate.errors import (
    CurateError,
    InvalidInput,
    MissingDependency,
    ServiceRefused,
    ServiceUnavailable,
    StorageFailed,
    WorkspaceBusy,
    WorkspaceUnusable,
)
from curate.executors.open import open_executor
from curate.labels import load_labels
from curate.release.manifest import check_files
from curate.release.versions import Releases
from curate.storage import cache
from curate.storage.blobs import BlobMissing
from curate.storage.s3 import client as remote
from curate.storage.workspace import Workspace
from tests.support.builders import make_posts
from tests.support.object_store import SECRET, ObjectStore, machine_environment
from tests.support.runs import KILL_AT_WRITE, TABLES, assert_same, run_quietly

pytest.importorskip("s3fs")
pytest.importorskip("moto")

ROOT = Path(__file__).parents[2]


def make_mix(folder: Path) -> Path:
    """A few posts and one clip with a face that speaks."""
    recipe = make_posts(folder, 3)
    shutil.copy(shipped_folder("recipes") / "quickstart" / "good_news.mp4", folder)
    text = recipe.read_text().replace("files: posts.jsonl", "files: [posts.jsonl, '*.mp4']")
    recipe.write_text(text)
    return recipe


def contents(root: "str | Path") -> dict[str, object]:
    """Every table sorted by key, and every file of the releases."""
    opened, labels = Workspace(root, create=False), load_labels("utterance_emotion.v1")
    found: dict[str, object] = {}
    for name in TABLES:
        table = open_table(opened, name, labels)
        found[name] = table.read().sort_by(table.spec.key)
    releases = Releases(opened.releases)
    for manifest in releases.manifests():
        folder = releases.fetch(manifest)
        check_files(folder, manifest)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found[f"{manifest.version}/{path.relative_to(folder)}"] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The mix of posts and a clip, run in a folder: the recipe and what it comes to."""
    folder = tmp_path_factory.mktemp("mix")
    recipe = make_mix(folder / "in")
    run_quietly(recipe, folder / "w")
    return recipe, contents(folder / "w")


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    """Four posts, run in a folder: the recipe and what it comes to."""
    folder = tmp_path_factory.mktemp("posts")
    recipe = make_posts(folder / "in", 4)
    run_quietly(recipe, folder / "w")
    return recipe, contents(folder / "w")


def test_a_run_on_an_object_store_gives_what_a_folder_gives(undisturbed, here, place, store, tmp_path):
    recipe, expected = undisturbed
    done = run_quietly(recipe, place)
    assert done.changed
    assert done.release == f"{place}/releases/v1"
    assert done.report.is_file()
    assert_same(contents(place), expected)
    assert expected["items"].num_rows > 3
    names = [name.partition("/w/")[2] for name in store.files().find(place)]
    assert {name.split("/")[0] for name in names} == {"blobs", "curate.yaml", "releases", "runs", "tables"}
    assert {Path(name).name for name in names if name.startswith("runs/")} == {
        "log.jsonl",
        "recipe.yaml",
        "report.html",
        "run.json",
    }

    here("second")
    again = run_quietly(recipe, place)
    assert not again.changed
    assert [result.rows for result in again.stages] == [0] * 5
    assert_same(contents(place), expected)

    from datasets import Audio, load_dataset

    releases = Releases(Workspace(place, create=False).releases)
    folder = releases.fetch(releases.manifests()[0])
    assert folder.is_relative_to(tmp_path / "second" / "cache")
    rows = load_dataset("parquet", data_files=f"{folder}/data/*.parquet", cache_dir=str(tmp_path / "hf"))["train"]
    rows = rows.cast_column("audio", Audio(decode=False))
    assert rows.num_rows == expected["items"].num_rows
    assert sum(bool(row["audio"] and row["audio"]["bytes"][:4] == b"fLaC") for row in rows) >= 1

    everything = [store.files().cat_file(name) for name in store.files().find(place)]
    everything += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in data for data in everything), "keys stay in the environment"


def test_ray_workers_share_no_disk_with_the_driver(undisturbed, here, place, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    recipe, expected = undisturbed
    workers = here("workers")
    workers.mkdir()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.chdir(workers)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        driver = here("driver")
        driver.mkdir()
        monkeypatch.chdir(driver)
        run_quietly(recipe, place, executor=open_executor("ray", 2, None))
    finally:
        ray.shutdown()
    assert_same(contents(place), expected)
    made = {path.name for path in (workers / "cache" / "blobs").rglob("*.*")}
    assert {row["audio"][3:] for row in expected["items"].to_pylist() if row["audio"]} <= made


def test_every_command_takes_the_url(posts, here, place, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from curate.cli.app import app

    def curate(*arguments: "str | Path") -> str:
        done = CliRunner().invoke(app, [*map(str, arguments), "-w", place], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    recipe, _ = posts
    monkeypatch.chdir(tmp_path)
    assert "depends on the stages before it" in curate("plan", recipe)
    assert not Workspace.exists(place), "looking makes nothing"
    run_quietly(recipe, place)
    status = json.loads(curate("status", "--json"))
    assert status["workspace"] == place
    assert status["releases"] == ["v1"]
    assert status["last_run"]["report"].startswith(f"{place}/runs/")
    assert "Nothing to do" in curate("plan", recipe)
    with pytest.raises(InvalidInput, match="there is no media to preview"):
        curate("preview")
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
def test_killed_and_run_again(posts, here, place, store, moment):
    recipe, expected = posts
    code = KILL_AT_UPLOAD if moment == "release" else KILL_AT_WRITE.replace("Path(sys.argv[2])", "sys.argv[2]")
    command = [sys.executable, "-c", code, str(recipe), place, "3", "before"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    opened = Workspace(place, create=False)
    assert Releases(opened.releases).manifests() == []
    assert store.files().exists(f"{place}/releases/v1/README.md") == (moment == "release")
    store.files().pipe_file(f"{place}/releases/mine/note.txt", b"not ours")
    with pytest.raises(WorkspaceBusy, match="which has ended without unlocking it") as busy:
        run_quietly(recipe, place)
    assert f"curate unlock -w {place}" in busy.value.hint
    assert "process" in opened.unlock()
    run_quietly(recipe, place)
    assert_same(contents(place), expected)
    left = {name.partition("/releases/")[2].split("/")[0] for name in store.files().find(f"{place}/releases")}
    assert left == {"v1", "mine"}, "what others put there is theirs"
    assert not store.files().exists(f"{place}/releases/v1/.unfinished")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no key to s3://corpora/w at 127.0.0.1:"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "s3://corpora/w at 127.0.0.1:1 does not answer"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "is not a valid address"),
        ({"bucket": "nowhere"}, "there is no bucket nowhere at 127.0.0.1:"),
        ({"bucket": "me:secret@corpora"}, "has more than a bucket and a prefix"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(here, monkeypatch, tmp_path, changed, says):
    remote._open.cache_clear()
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name, value in changed.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    with pytest.raises(CurateError) as told:
        Workspace(f"s3://{changed.get('bucket', 'corpora')}/w")
    remote._open.cache_clear()
    assert says in told.value.message
    assert told.value.hint
    assert "me:secret" not in f"{told.value.message} {told.value.hint}"


def test_the_command_ends_with_the_sentence(posts, run_curate, store, tmp_path):
    recipe, _ = posts
    done = run_curate("run", recipe, "-w", "s3://nowhere/w", env=machine_environment(store, tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no bucket nowhere")
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr


def test_the_store_ends_in_the_middle(here, place, tmp_path, monkeypatch):
    """The tables' own client, whose words are other ones."""
    from curate.storage.delta import Table

    own = ObjectStore()
    for name, value in own.environment.items():
        monkeypatch.setenv(name, value)
    table = open_table(Workspace(place), "items", load_labels("utterance_emotion.v1"))
    monkeypatch.setattr("curate.storage.s3.folder._DELTA_OPTIONS", {"max_retries": "1", "retry_timeout": "2s"})
    assert isinstance(table, Table)
    assert table.version() is None
    own.close()
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        table.commit([{"item_id": "a", "work": "w"}], metadata={})
    for said, kind in [
        ("Client error with status 403 Forbidden: <Code>SignatureDoesNotMatch</Code> test-key", ServiceRefused),
        ("<Error><Code>NoSuchBucket</Code>", WorkspaceUnusable),
        ("the credential provider was not enabled", MissingDependency),
        ("a riddle about test-key", StorageFailed),
    ]:
        with pytest.raises(kind) as told, table.folder.errors():
            raise OSError(said)
        assert "test-key" not in f"{told.value.message} {told.value.hint}"


def test_places_that_cannot_be(monkeypatch, tmp_path):
    wrong = ["memory://x", "gs://x/y", "s3://", "s3:/bucket", "s3://[x"]
    wrong += [f"s3://bucket/{prefix}" for prefix in ("a*b", "a//b", "../other", "a?b=c", "a b")]
    for url in wrong:
        with pytest.raises(InvalidInput):
            Workspace(url)
    monkeypatch.setattr(remote.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency) as missing:
        Workspace("s3://bucket/corpus")
    assert missing.value.hint == "pip install 'curate[s3]'"
    assert Workspace(f"file://{tmp_path}/w").local == tmp_path / "w"


def test_blobs_are_checked_copied_and_listed(here, place, store, tmp_path):
    blobs = Workspace(place).blobs
    names = [blobs.put(data, "jpg") for data in (b"one", b"two", b"one")]
    blobs.flush()
    assert names[0] == names[2]
    assert [blobs.sizes()(name) for name in names] == [3, 3, 3]
    here("second")
    assert blobs.path(names[0]).read_bytes() == b"one"
    assert blobs.path(names[0]).is_relative_to(tmp_path / "second" / "cache")
    (tmp_path / "second" / "cache" / "blobs" / names[0]).write_bytes(b"")
    assert blobs.path(names[0]).read_bytes() == b"one", "a spoilt copy is fetched again"
    assert blobs.read_many(names) == {names[0]: b"one", names[1]: b"two"}
    shown = blobs.folder_with(names)
    assert {path.relative_to(shown).as_posix() for path in shown.rglob("*.jpg")} == set(names)
    assert not shown.is_relative_to(tmp_path / "second" / "cache"), "people may be looking at it"
    passing = blobs.put(b"for a while", "wav")
    blobs.remove(passing)
    blobs.remove(passing)
    with pytest.raises(StorageFailed, match="it is gone"):
        blobs.path(passing)
    here("third")
    store.files().pipe_file(f"{place}/blobs/{names[0]}", b"other")
    for look in (blobs.path, blobs.read):
        with pytest.raises(BlobMissing, match="is damaged: the store returned"):
            look(names[0])
    store.files().rm_file(f"{place}/blobs/{names[1]}")
    with pytest.raises(WorkspaceUnusable, match=r"gone\.parquet is gone"):
        Workspace(place).folder.fetch(["gone.parquet"])
    for look in (blobs.path, blobs.read, blobs.sizes()):
        with pytest.raises(BlobMissing, match="it is gone"):
            look(names[1])
    with pytest.raises(WorkspaceUnusable, match="there is no bucket nowhere"):
        replace(blobs, prefix=remote.S3Prefix("s3://nowhere/blobs")).read(names[1])


def test_a_label_studio_of_this_machine_shows_copies(here, place):
    from curate.annotation.label_studio.client import LabelStudioServer
    from curate.annotation.local_server.connection import Connection

    asked = []

    class Recording(LabelStudioServer):
        def _call(self, method, path, **about):
            asked.append(about.get("content"))
            return []

    opened = Workspace(place)
    name = opened.blobs.put(b"a clip", "mp4")
    opened.blobs.flush()
    here("second")
    opened = Workspace(place)
    server = Recording(Connection("http://127.0.0.1:1", "key", local=True, name="own"))
    shown = server.share_media(1, opened.blobs, [name], print)[name]
    document_root = opened.local.resolve()
    assert (document_root / shown.partition("?d=")[2]).read_bytes() == b"a clip"
    assert asked[-1]["path"] == str(document_root / "blobs")


def test_no_outcome_names_media_that_did_not_arrive(here, place, monkeypatch):
    from curate.pipeline.tasks import Task, run_task
    from curate.stages.contract import Outcome, Tools

    class Stage:
        def apply(self, batch, tools):
            return Outcome({"items": [{"image": tools.blobs.put(b"a picture", "jpg")}]})

    def fail(self, name, data):
        raise ServiceUnavailable("gone")

    tools = Tools(Workspace(place).blobs, load_labels("utterance_emotion.v1"), Path())
    with monkeypatch.context() as gone:
        gone.setattr(remote.S3Prefix, "create", fail)
        with pytest.raises(ServiceUnavailable):
            run_task(Task(Stage(), None, tools))
    (row,) = run_task(Task(Stage(), None, tools)).rows["items"]
    here("second")
    assert tools.blobs.read(row["image"]) == b"a picture"


def test_copies_are_bounded(tmp_path):
    for at in range(10):
        path = tmp_path / f"{at:02}" / "blob"
        path.parent.mkdir()
        path.write_bytes(bytes(100))
        os.utime(path, (at, at))
    os.utime(tmp_path / "00" / "blob")
    cache.CacheLimit(tmp_path, max_bytes=500).add(100)
    left = sorted(path.parent.name for path in tmp_path.glob("*/*"))
    assert left == ["00", "07", "08", "09"], "the longest unused go"
