"""What was forgotten leaves an object store, and this machine's copies."""

from pathlib import Path

from curate.corpus.tombstones import Tombstones
from curate.pipeline.forget import Scope, forget, plan_forgetting
from curate.pipeline.forget.scope import today
from curate.pipeline.verify import verify
from curate.release.versions import Releases
from curate.storage.s3.client import S3Prefix
from curate.storage.workspace import Workspace
from tests.pipeline.test_forget import leaks
from tests.support.builders import make_posts
from tests.support.runs import run_quietly


def test_no_object_and_no_copy_keeps_it(here, url, tmp_path):
    machine = here("first")
    recipe = make_posts(tmp_path / "posts", 6)
    run_quietly(recipe, url)
    workspace = Workspace(url)
    Releases(workspace.releases).splits(Releases(workspace.releases).manifests()[0])
    needles = [b"This is disgusting", b"writer1"]
    assert leaks(download(url, tmp_path / "before"), needles)
    with workspace.lock():
        forget(workspace, plan_forgetting(workspace, Scope("participant", "writer1"), "asked", today=today()))
    assert leaks(download(url, tmp_path / "after"), needles) == []
    assert leaks(machine, needles) == []
    assert Tombstones.read(Workspace(url)).stones
    run_quietly(recipe, url)
    assert leaks(download(url, tmp_path / "again"), needles) == []
    assert verify(url).damages == []


def download(url: str, folder: Path) -> Path:
    prefix = S3Prefix(url)
    for name in prefix.sizes():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        prefix.download(name, folder / name)
    return folder
