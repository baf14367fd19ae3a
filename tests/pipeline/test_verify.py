"""``curate verify``: whatever a disk, a person or a program changed is named, with the next step."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
import typer

from curate.cli.commands.verify import verify_command
from curate.errors import CurateError, InvalidInput
from curate.pipeline.verify import verify
from curate.stages.export import Export
from curate.storage.workspace import Workspace
from tests.support.release_builders import make_corpus


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A workspace with tables, media, replies and a release."""
    root = tmp_path_factory.mktemp("verify") / "w"
    made = make_corpus(root, items=4)
    Export(stage="export").perform(made.corpus, made.tools)
    with sqlite3.connect(root / "answers.sqlite") as replies:
        replies.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, reply TEXT) STRICT")
        replies.executemany("INSERT INTO answers VALUES (?, ?)", [(str(n), "x" * 200) for n in range(500)])
    return root


@pytest.fixture
def workspace(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "w"))


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def release(workspace: Path) -> None:
    made = make_corpus(workspace, items=0, sources=0)
    Export(stage="export", release="2.0.0").perform(made.corpus, made.tools)


def problems(path: Path) -> list[str]:
    return [f"{damage.place}: {damage.problem}; {damage.next_step}" for damage in verify(path).damages]


def test_whole_workspaces_and_releases_pass_and_stay_as_they_are(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    result = verify(whole)
    assert result.damages == []
    assert result.checked == {"tables": 5, "blobs": 10, "releases": 1}
    assert verify(whole / "releases" / "1.0.0").damages == []
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "gone", "linked", "folder"])
def test_a_spoilt_picture_is_named_with_the_rows_that_need_it(workspace, how, tmp_path):
    path = next(path for path in sorted(workspace.glob("blobs/*/*")) if path.suffix == ".jpg")
    other = next(path for path in sorted(workspace.glob("blobs/*/*")) if path.suffix == ".flac")
    data = path.read_bytes()
    if how == "flipped":
        flip(path, 30)
    elif how == "cut":
        path.write_bytes(data[:-5])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
    if how == "linked":
        (tmp_path / "same.jpg").write_bytes(data)
        path.symlink_to(tmp_path / "same.jpg")
    elif how == "folder":
        path.mkdir()
        shutil.copy(other, path / "x.jpg")
    found = [line for line in problems(workspace) if path.name in line.partition(": ")[0]]
    assert "needed by items item-" in found[0]
    assert "restore it from a copy; or delete" in found[0]
    with pytest.raises(CurateError, match=path.name):
        release(workspace)
    assert not (workspace / "releases" / "again").exists()


def test_strange_files_among_the_media_are_named(workspace):
    (workspace / "blobs" / "notes.txt").write_text("hello")
    (line,) = problems(workspace)
    assert line.startswith("blobs/notes.txt: ")
    assert line.endswith("delete this file")


@pytest.mark.parametrize("how", ["cut", "gone", "garbled", "log"])
def test_a_damaged_table_is_named(workspace, how):
    table = workspace / "tables" / "items"
    path = next(iter(table.glob("*.parquet")))
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "garbled":
        path.write_bytes(b"\0" * path.stat().st_size)
    else:
        next(iter((table / "_delta_log").glob("*.json"))).write_text("{")
    (line,) = [line for line in problems(workspace) if line.startswith("items: ")]
    assert "restore tables/items from a copy, or delete this table and run again" in line


def test_judgements_are_never_to_be_deleted(workspace):
    next(iter((workspace / "tables" / "annotations").rglob("*.parquet"))).unlink()
    (line,) = [line for line in problems(workspace) if line.startswith("annotations/")]
    assert "delete" not in line


def test_damaged_replies_are_named(workspace):
    path = workspace / "answers.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 4] = os.urandom(4096 * 2)
    path.write_bytes(data)
    found = [line for line in problems(workspace) if line.startswith("answers.sqlite: ")]
    assert found
    assert "paid for again" in found[0]
    path.write_bytes(b"not a database at all" * 400)
    assert any(line.startswith("answers.sqlite: ") for line in problems(workspace))


DAMAGES = {
    "flipped": lambda release: flip(next(iter(release.glob("data/*"))), 2000),
    "card": lambda release: flip(release / "README.md"),
    "gone": lambda release: next(iter(release.glob("data/*"))).unlink(),
    "added": lambda release: shutil.copy(next(iter(release.glob("data/*"))), release / "data" / "train-9.parquet"),
    "no manifest": lambda release: (release / "manifest.json").unlink(),
    "renamed": lambda release: release.rename(release.with_name("7.0.0")),
    "manifest": lambda release: (release / "manifest.json").write_text(
        (release / "manifest.json").read_text().replace('"train": 4', '"train": 5')
    ),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_release_is_named_in_its_workspace_and_alone(workspace, how):
    DAMAGES[how](workspace / "releases" / "1.0.0")
    release = next(iter((workspace / "releases").iterdir()))
    (line,) = problems(workspace)
    assert line.startswith(f"releases/{release.name}: ")
    assert f"or delete {release} and run again" in line
    if how != "no manifest":
        assert len(problems(release)) == 1


def test_the_command_ends_with_1_and_lists_every_damage(workspace, capsys):
    verify_command(None, str(workspace))
    assert "verified 5 tables, 10 blobs, 1 release; no damage" in capsys.readouterr().out
    for path in sorted(workspace.glob("blobs/*/*"))[:2]:
        flip(path)
    with pytest.raises(typer.Exit) as ended:
        verify_command(str(workspace))
    assert ended.value.exit_code == 1
    output = capsys.readouterr().out
    assert output.count("damaged: blobs/") == output.count("next: ") == 2
    assert "2 damages" in output
    with pytest.raises(typer.Exit):
        verify_command(str(workspace), json=True)
    assert len(json.loads(capsys.readouterr().out)["damages"]) == 2


def test_what_is_neither_is_a_sentence(tmp_path):
    with pytest.raises(InvalidInput, match="neither a workspace nor a release"):
        verify(tmp_path)
    with pytest.raises(InvalidInput, match="neither a workspace nor a release"):
        verify(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    assert not Workspace.is_at(tmp_path)
