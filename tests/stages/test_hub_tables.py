"""Data sets of the Hugging Face Hub as tables: pinned, read from Parquet only, and never asked twice."""

import io
import json
import shutil
import time
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from curate.corpus.fetched import FETCHED
from curate.corpus.hub_names import HubFile, parse_hub_name
from curate.corpus.sources import RawFolders, SourceMissing
from curate.errors import InvalidInput, InvalidRow
from curate.hub.parquet import _by_card, _by_name, _configurations
from curate.pipeline import open_corpus, plan
from curate.pipeline.forget.scope import Scope
from curate.pipeline.forget.takedown import forget, plan_forgetting
from curate.recipe import load_recipe
from curate.storage.cache import cache_folder
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.hub_double import TOKEN, Entry, HubDouble
from tests.support.media_builders import make_tone, write_media
from tests.support.runs import run_quietly

NAME = "acme/clips"
FEATURES = {
    "id": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["anger", "fear", "sad"], "_type": "ClassLabel"},
    "all": {"feature": {"names": ["anger", "fear", "sad"], "_type": "ClassLabel"}, "_type": "List"},
    "audio": {"_type": "Audio"},
}
MAPPING = {
    "item": {"id": "id", "media": "audio", "keep": ["all"]},
    "rater": {"constant": "expert"},
    "long": {"emotion": "label"},
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path / "cache"))
    with HubDouble(tmp_path / "hub") as double:
        monkeypatch.setenv("HF_ENDPOINT", double.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("curate.hub.client._WAITS_S", (0.0,))
        yield double


def make_parquet(folder: Path, *, start: int = 0, labels: tuple[int | None, ...] = (0, 2, -1)) -> bytes:
    """Three clips: one with sound, one whose sound is elsewhere, one that is damaged."""
    folder.mkdir(exist_ok=True)
    write_media(folder / "a.wav", sound=make_tone(seconds=0.5 + start))
    sounds = [
        {"bytes": (folder / "a.wav").read_bytes(), "path": "first.wav"},
        {"bytes": None, "path": "../../elsewhere.wav"},
        {"bytes": b"RIFF....WAVE", "path": None},
    ]
    table = pa.table(
        {
            "id": [f"{start + number:05d}" for number in range(3)],
            "label": pa.array(labels, pa.int64()),
            "all": pa.array([[0, 1], [], [2]], pa.list_(pa.int64())),
            "audio": pa.array(sounds, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        }
    )
    metadata = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    stream = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(metadata), stream)
    return stream.getvalue()


def name_of(commit: str) -> str:
    return f"hf://datasets/{NAME}@{commit}/data/train-00000-of-00001.parquet!/audio/1.wav"


def add(repo, files: dict[str, bytes], branch: str = "main") -> str:
    before = repo.commits[repo.branches[branch]].files if branch in repo.branches else {}
    entries = {path: Entry(data, None, len(data)) for path, data in files.items()}
    return repo.add("add", {**before, **entries}, branch).oid


def make(folder: Path, table: dict) -> Path:
    ingest = {"stage": "ingest", "tables": [table], "licence": "CC0-1.0", "collection": "clips"}
    stages = [ingest, {"stage": "preprocess", "unit": "clip"}, {"stage": "annotate", "server": False}]
    return make_recipe(folder, *stages, {"stage": "aggregate"}, {"stage": "export"}, labels="acted_emotion.v1")


def test_no_pattern_of_a_card_takes_long():
    path = "a" * 60
    begun = time.process_time()
    for pattern in ("*a" * 40 + "b", "**/*a" * 40 + "b", "*" * 1_001):
        assert _by_card([path], [("default", [{"split": "train", "path": pattern}])]) == {}
    assert time.process_time() - begun < 1
    for pattern in ("**/*.parquet", "data/tr*", "data/**", "./data/[s-t]rain?0.parquet"):
        files = _by_card(["data/train-0.parquet"], [("default", pattern)])
        assert files == {"default": {"train": ["data/train-0.parquet"]}}, pattern


def test_a_run_stays_at_the_commit_that_it_read(hub, tmp_path):
    repo = hub.make_repo(NAME, private=False)
    first = add(repo, {"data/train-00000-of-00001.parquet": make_parquet(tmp_path / "p"), "evil.py": b"boom"})
    recipe = make(tmp_path / "in", {"hub": NAME, **MAPPING})
    requests = len(hub.requests)
    loaded, workspace = load_recipe(recipe), Workspace(tmp_path / "w")
    (ingest, *_) = plan(loaded, workspace)
    assert (ingest.total, ingest.note, ingest.changes) == (0, f"data set {NAME} is to be downloaded", True)
    assert len(hub.requests) == requests

    run_quietly(recipe, tmp_path / "w")
    corpus = open_corpus(loaded, Workspace(tmp_path / "w"))
    place = f"hf://datasets/{NAME}@{first}/data/train-00000-of-00001.parquet"
    rows = {row["key"]: row for row in corpus.read("sources").to_pylist()}
    clip = ("00000", f"{place}!/audio/1.wav", "audio")
    assert {(row["key"], row["file"], row["kind"]) for row in rows.values()} == {clip}
    assert rows["00000"]["columns"] == [{"name": "all", "value": '["anger", "fear"]'}]
    rejected = {row["subject"]: row["detail"] for row in corpus.read("rejections").to_pylist()}
    assert set(rejected) == {f"{place}#2", f"{place}!/audio/3.wav", f"{place}#3:answer"}
    assert "leads out of the folders" in rejected[f"{place}#2"]
    assert [row["emotion"] for row in corpus.read("annotations").to_pylist()] == ["anger"]
    card = next((tmp_path / "w/releases").glob("*/README.md")).read_text()
    assert f"at these commits: `{NAME}@{first}` (1 item)." in card

    # Neither a later commit nor a Hub out of reach changes anything; another revision is read.
    requests = len(hub.requests)
    second = add(repo, {"data/train-00000-of-00001.parquet": make_parquet(tmp_path / "p", start=10)})
    assert not run_quietly(recipe, tmp_path / "w").changed
    assert [path.suffix for path in cache_folder().rglob("*.*") if path.is_file()].count(".parquet") == 1
    assert any(first in notice for entry in plan(loaded, workspace) for notice in [entry.note])
    assert len(hub.requests) == requests
    run_quietly(make(tmp_path / "in", {"hub": {"dataset": NAME, "revision": second}, **MAPPING}), tmp_path / "w")
    corpus = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w"))
    assert corpus.read("sources")["key"].to_pylist() == ["00010"]
    workspace = Workspace(tmp_path / "w")
    with workspace.lock():
        forget(workspace, plan_forgetting(workspace, Scope("source", name_of(second)), "asked", today=date(2026, 1, 1)))
    assert not [path for path in cache_folder().rglob("*.parquet") if second in str(path)]
    assert len([path for path in cache_folder().glob("archives/*") if path.is_dir()]) == 1


def test_a_copy_that_is_gone_is_fetched_again_or_named(hub, tmp_path, monkeypatch):
    commit = add(hub.make_repo(NAME, private=False), {"train.parquet": make_parquet(tmp_path / "p")})
    name = f"{HubFile(NAME, commit, 'train.parquet').name}!/audio/1.wav"
    from curate.hub.parquet import fetch_copy

    raw = RawFolders(tmp_path, fetch=fetch_copy)
    assert raw.path(name).read_bytes()[:4] == b"RIFF"
    shutil.rmtree(cache_folder())
    assert raw.path(name).read_bytes()[:4] == b"RIFF"
    shutil.rmtree(cache_folder())
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceMissing, match="is out of reach: the Hub at"):
        raw.path(name)
    for wrong in ("hf://datasets/acme/clips@main/x", f"hf://datasets/acme/clips@{'0' * 40}/../../x", "hf://x"):
        with pytest.raises(InvalidRow, match="is not the name of a file"):
            parse_hub_name(wrong)


def test_the_converted_branch_is_read_where_there_is_no_parquet(hub, tmp_path):
    repo = hub.make_repo(NAME, private=False)
    add(repo, {"clips.py": b"raise SystemExit", "clips.csv": b"id,label\n1,anger\n"})
    table = {"hub": {"dataset": NAME, "split": "test"}, **MAPPING}
    recipe = make(tmp_path / "in", table)
    with pytest.raises(InvalidInput, match="has no Parquet files at main, and the Hub has not converted it"):
        run_quietly(recipe, tmp_path / "w")
    files = {"default/train/0000.parquet": b"", "default/test/0000.parquet": make_parquet(tmp_path / "p")}
    converted = add(repo, files, "refs/convert/parquet")
    run_quietly(recipe, tmp_path / "w")
    files = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w")).read("sources")["file"].to_pylist()
    assert files == [f"hf://datasets/{NAME}@{converted}/default/test/0000.parquet!/audio/1.wav"]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"hub": {"dataset": NAME, "config": "x"}}, "has no configuration 'x'; it has 'a' or 'b'"),
        ({"hub": {"dataset": NAME}}, "has several configurations: set `config` to 'a' or 'b'"),
        ({"hub": {"dataset": NAME, "config": "a", "split": "dev"}}, "has no split 'dev'; it has 'train'"),
        ({"hub": {"dataset": NAME, "config": "b"}}, "has no columns id, audio, all, label; its columns are x"),
        ({"hub": "acme/none"}, "does not give acme/none to this reader"),
        ({"hub": {"dataset": NAME, "revision": "v9"}}, "does not give acme/clips to this reader"),
    ],
)
def test_what_cannot_be_read_says_so(hub, tmp_path, table, sentence):
    other = io.BytesIO()
    parquet.write_table(pa.table({"x": [1]}), other)
    files = {"a/train.parquet": make_parquet(tmp_path / "p"), "b/x.parquet": other.getvalue()}
    add(hub.make_repo(NAME, private=False), files)
    with pytest.raises(InvalidInput) as raised:
        run_quietly(make(tmp_path / "in", {**table, **MAPPING}), tmp_path / "w")
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("hub", "sentence"),
    [
        ({"dataset": "clips"}, "dataset"),
        ({"dataset": "../etc/passwd"}, "dataset"),
        ({"dataset": NAME, "revision": "a b"}, "revision"),
        ({"dataset": NAME, "trust_remote_code": True}, "trust_remote_code is not a setting"),
    ],
)
def test_settings_that_cannot_be(tmp_path, hub, sentence):
    with pytest.raises(InvalidInput) as raised:
        load_recipe(make(tmp_path, {"hub": hub, **MAPPING}))
    assert any(sentence in problem for problem in raised.value.problems), raised.value.problems


def test_tables_name_no_files_of_others_on_the_hub(hub, tmp_path):
    commit = add(hub.make_repo(NAME, private=False), {"train.parquet": make_parquet(tmp_path / "p")})
    (tmp_path / "in").mkdir()
    name = HubFile(NAME, commit, "train.parquet").name
    (tmp_path / "in/a.csv").write_text(f"id,label,audio\n1,anger,{name}!/audio/1.wav\n")
    recipe = make(tmp_path / "in", {"table": "a.csv", **MAPPING | {"item": {"id": "id", "media": "audio"}}})
    run_quietly(recipe, tmp_path / "w")
    (row,) = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w")).read("rejections").to_pylist()
    assert (row["subject"], hub.requests) == ("a.csv#2", [])


def test_media_in_parquet_files_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.parquet").write_bytes(make_parquet(tmp_path / "p", labels=(0, 7, None)))
    recipe = make(tmp_path / "in", {"table": "a.parquet", **MAPPING})
    run_quietly(recipe, tmp_path / "w")
    corpus = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w"))
    assert corpus.read("sources")["file"].to_pylist() == ["a.parquet!/audio/1.wav"]
    details = {row["subject"]: row["detail"] for row in corpus.read("rejections").to_pylist()}
    assert any("'7'" in detail for detail in details.values()), details
    assert not (tmp_path / "w" / FETCHED).exists()


def test_which_files_a_card_names():
    paths = ["data/a/x.parquet", "data/b/y.parquet", "z.parquet"]
    one = {"split": "one", "path": "data/*/x.parquet"}
    own = {"config_name": "own", "default": True, "data_files": [one, {"split": "two", "path": ["data/**/*.parquet"]}]}
    card = f"---\nconfigs: {json.dumps([own, {'config_name': 'flat', 'data_files': '*.parquet'}])}\n---\ntext"
    assert _by_card(paths, _configurations(card)) == {
        "default": {"one": paths[:1], "two": paths[:2]},
        "flat": {"train": paths[2:]},
    }
    assert _configurations("---\n!!python/object/apply:os.system [true]\n---\n") == []
    assert _configurations("no header") == []
    names = ["data/train-00000-of-00002.parquet", "data/own-00000-of-00001.parquet", "x/val/0.parquet", "dev_1.parquet"]
    assert _by_name(names) == {
        "default": {"train": names[:1], "own": names[1:2], "validation": names[3:]},
        "x": {"validation": names[2:3]},
    }
