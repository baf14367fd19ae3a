"""The content hash is of rows alone, and can be computed from a release by anyone."""

import hashlib
import json

import pytest
from pyarrow import parquet

from curate.pipeline.verify import verify
from curate.release.content import read_content_hash
from curate.release.manifest import read_manifest
from tests.release.test_export import make_release
from tests.support.release_builders import make_corpus

SPLITS = {"default": {"train": 0.5, "test": 0.5}, "cv": {"folds": 3}}


@pytest.mark.parametrize("settings", [{}, {"splits": SPLITS}, {"splits": SPLITS, "hidden": "test", "raters": True}])
def test_the_hash_follows_from_the_shards(tmp_path, settings):
    made = make_corpus(tmp_path / "ws", items=20, sources=10, lead_time_s=1.5)
    _, folder = make_release(made, **settings)
    manifest = read_manifest(folder)
    assert read_content_hash(folder, manifest) == manifest.content_sha256
    assert manifest.writer.startswith("pyarrow ")


def rewrite(folder, change=lambda table: table, *, in_manifest):
    shard = next((folder / "data").iterdir())
    parquet.write_table(change(parquet.read_table(shard)), shard)
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"] if in_manifest else ():
        if file["path"] == f"data/{shard.name}":
            file |= {"sha256": hashlib.sha256(shard.read_bytes()).hexdigest(), "size_bytes": shard.stat().st_size}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def edit(table):
    row = table.column_names.index("text")
    return table.set_column(row, table.schema.field("text"), [["changed"] * len(table)])


def test_verify_says_whether_bytes_or_rows_hold(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "ws", items=20))
    assert verify(folder).damages == []
    rewrite(folder, in_manifest=False)
    (problem,) = [damage.problem for damage in verify(folder).damages]
    assert "was changed since the release was made: every row is as it was, only its bytes are not those" in problem
    rewrite(folder, edit, in_manifest=False)
    (problem,) = [damage.problem for damage in verify(folder).damages]
    assert problem.endswith("was changed since the release was made: rows are not those that were released")
    rewrite(folder, edit, in_manifest=True)
    (problem,) = [damage.problem for damage in verify(folder).damages]
    assert "its rows are not those that were released" in problem
