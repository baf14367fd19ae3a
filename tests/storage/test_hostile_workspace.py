"""Workspaces that a stranger prepared, or a disk damaged: nothing outside is read or written."""

import json
import os
import stat
from pathlib import Path

import pytest

from curate.errors import WorkspaceUnusable
from curate.files import sha256_of
from curate.release.manifest import read_manifest
from curate.storage.blobs import BlobMissing, Blobs
from curate.storage.lock import hold_disk_lock
from curate.storage.workspace import Workspace

LINKS = (
    ".lock",
    ".lock.json",
    "releases",
    "releases/.building",
    "tables",
    "tables/labels",
    "tables/labels/_delta_log",
    "answers.sqlite",
    "runs",
    "blobs",
    "blobs/ab",
    "label_studio",
    "label_studio/server.log",
    "curate.yaml",
)


@pytest.mark.parametrize("name", LINKS)
def test_links_in_a_workspace_are_refused(tmp_path, name):
    root = Workspace(tmp_path / "w").local
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "curate.yaml").write_bytes((root / "curate.yaml").read_bytes())
    link = root / name
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_dir():
        link.rmdir()
    link.unlink(missing_ok=True)
    link.symlink_to(victim / "curate.yaml" if name == "curate.yaml" else victim)
    with pytest.raises(WorkspaceUnusable, match="is a link") as refused:
        Workspace(root)
    assert str(link) in refused.value.message
    assert os.listdir(victim) == ["curate.yaml"]


def test_the_note_of_a_lock_does_not_follow_a_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".lock.json").symlink_to(victim)
    with hold_disk_lock(tmp_path / "w"):
        pass
    assert victim.read_text() == "precious"


def test_a_new_workspace_is_for_its_owner_alone(tmp_path):
    workspace = Workspace(tmp_path / "w")
    (tmp_path / "made").mkdir(mode=0o755)
    made = Workspace(tmp_path / "made")
    folders = [workspace.local, *(w.local / n for w in (workspace, made) for n in ("blobs", "tables", "releases"))]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    blob = workspace.blobs.path(workspace.blobs.put(b"a face", "jpg"))
    assert stat.S_IMODE(blob.stat().st_mode) == 0o600


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def link_elsewhere(path: Path) -> None:
    secret = path.parents[2] / "secret"
    secret.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(secret)


SPOIL = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
    "replaced": lambda path: path.write_bytes(b"another picture"),
    "linked": link_elsewhere,
}


@pytest.mark.parametrize("how", SPOIL)
def test_spoilt_blobs_are_never_read_and_are_written_again(tmp_path, how):
    blobs = Blobs(tmp_path / "w" / "blobs")
    name = blobs.put(b"a picture", "jpg")
    SPOIL[how](blobs.path(name))
    reads = [blobs.read, blobs.path, lambda n: blobs.read_many([n]), lambda n: blobs.share([n], tmp_path / "shared")]
    for read in reads:
        with pytest.raises(BlobMissing, match=f"blob {name} is damaged"):
            read(name)
    assert not list((tmp_path / "shared").rglob("*.jpg"))
    assert blobs.put(b"a picture", "jpg") == name
    assert blobs.read(name) == b"a picture"


def test_shared_media_are_links_to_the_same_bytes(tmp_path):
    blobs = Blobs(tmp_path / "blobs")
    name, other = blobs.put(b"a clip", "mp4"), blobs.put(b"not shown", "mp4")
    blobs.share([name], tmp_path / "shared")
    assert (tmp_path / "shared" / name).samefile(blobs.path(name))
    assert not (tmp_path / "shared" / other).exists()


@pytest.mark.parametrize(
    "change",
    [
        {"version": "/tmp/elsewhere"},
        {"version": "../up"},
        {"version": "9" * 5000 + ".0.0"},
        {"version": 1},
        {"history": []},
    ],
)
def test_manifests_of_strangers_name_no_other_folder(tmp_path, change):
    good = {"version": "1.0.0", "recipe": "r", "label_schema": "l", "label_schema_sha256": "0"}
    good |= {"content_sha256": sha256_of(""), "schemes": {}, "splits": {}, "files": [], "tool": "curate", "writer": "x"}
    good["history"] = [{"version": "1.0.0", "kind": "major", "reason": "first release", "items": 0}]
    (tmp_path / "manifest.json").write_text(json.dumps(good))
    assert read_manifest(tmp_path).version == "1.0.0"
    for text in (json.dumps(good | change) if abs(len(str(change))) < 300 else "[" * 100_000, "[" * 100_000, "[]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(WorkspaceUnusable, match="no readable manifest"):
            read_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"[" * 50_000, b"format: 1\n" * 5_000_000, b"a: !!timestamp foo", b"\xff", b""])
def test_settings_that_no_workspace_has_are_one_sentence(tmp_path, content):
    Workspace(tmp_path / "w").local.joinpath("curate.yaml").write_bytes(content)
    with pytest.raises(WorkspaceUnusable, match=r"curate\.yaml cannot be read"):
        Workspace(tmp_path / "w")
