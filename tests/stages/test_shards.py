"""Shards of WebDataset: samples are rows, whose media are members of the archive."""

import json
import tarfile

import pytest

from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.stages.test_archives import make_tar, tar_member
from tests.support.builders import make_recipe
from tests.support.media_builders import make_tone, write_media
from tests.support.runs import run_quietly


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_samples_and_what_cannot_be_read_of_a_shard(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    write_media(tmp_path / "a.wav", sound=make_tone())
    sound = (tmp_path / "a.wav").read_bytes()

    def said(emotion: str) -> bytes:
        return json.dumps({"emotion": emotion, "speaker": {"id": 7}}).encode()

    members = [("d/0001.WAV", sound), ("d/0001.json", said("anger")), ("d/0001.txt", " Oh no! \n".encode("utf-8-sig"))]
    members += [("d/0002.json", said("fear")), ("d/0002.txt", b"Help"), ("README", b"no sample")]
    members += [
        ("d/0003.json", b"not json"),
        ("d/0003.txt", b"Hm"),
        ("d/0004.txt", b"\xff\xfe\xfa"),
        ("d/0004.json", b"{}"),
    ]
    members += [("d/0006.json", b'{"emotion": "anger", "emotion": "fear"}'), ("d/0006.txt", b"Well")]
    members += [(tar_member("d/0005.wav", tarfile.SYMTYPE, "/etc/passwd"), b"")]
    make_tar(tmp_path / f"in/s-0.{suffix}", members, "w" if suffix == "tar" else "w:gz")
    table = {
        "table": f"s-*.{suffix}",
        "item": {"id": "__key__", "media": "wav", "text": "txt", "keep": {"json.speaker": "speaker"}},
        "rater": {"constant": "expert"},
        "long": {"emotion": "json.emotion"},
    }
    stages = [{"stage": "ingest", "tables": [table], "licence": "CC0-1.0"}, {"stage": "preprocess", "unit": "clip"}]
    stages += [{"stage": "annotate", "server": False}, {"stage": "aggregate"}]
    recipe = make_recipe(tmp_path / "in", *stages, labels="acted_emotion.v1")
    run_quietly(recipe, tmp_path / "w")
    corpus = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w"))
    rows = {row["key"]: row for row in corpus.read("sources").to_pylist()}
    assert {key: (row["kind"], row["text"]) for key, row in rows.items()} == {
        "d/0001": ("audio", "Oh no!"),
        "d/0002": ("text", "Help"),
    }
    assert rows["d/0001"]["file"] == f"s-0.{suffix}!/d/0001.WAV"
    assert rows["d/0001"]["columns"] == [{"name": "speaker", "value": '{"id": 7}'}]
    assert [row["emotion"] for row in corpus.read("annotations").to_pylist()] == ["anger"]
    details = "\n".join(row["detail"] for row in corpus.read("rejections").to_pylist())
    assert "sample d/0003: its .json is not JSON" in details
    assert "sample d/0004: " in details
    assert "sample d/0006: its .json is not JSON: two members are named emotion" in details
    assert "d/0005.wav: it is a link" in details
