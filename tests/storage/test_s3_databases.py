"""A database of a workspace on an object store follows the workspace, and no row of it is ever lost."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from curate.storage.workspace import Workspace

ROOT = Path(__file__).parents[2]
NAME = "answers.sqlite"
Become = Callable[[str], Path]


def add(path: Path, text: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE IF NOT EXISTS answers (text)")
        database.execute("INSERT INTO answers VALUES (?)", (text,))


def read_texts(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [text for (text,) in database.execute("SELECT text FROM answers ORDER BY text")]


def run_and_add(url: str, *texts: str) -> tuple[Path, list[str]]:
    """Add rows in one run that ends well; returns the path and what it had found."""
    workspace = Workspace(url)
    with workspace.lock():
        path = workspace.local_file(NAME)
        before = read_texts(path) if path.is_file() else []
        for text in texts:
            add(path, text)
            workspace.save_local_files()
    return path, before


KILLED_RUN = """
import os, signal, sys
from curate.storage.s3.client import S3Prefix
from curate.storage.workspace import Workspace
from tests.storage.test_s3_databases import NAME, add
url, moment, earlier, later = sys.argv[1:]
workspace, upload = Workspace(url), S3Prefix.upload
def deadly(self, path, name):
    if moment == "after": upload(self, path, name)
    add(workspace.local_file(NAME), later)
    os.kill(os.getpid(), signal.SIGKILL)
with workspace.lock():
    add(workspace.local_file(NAME), earlier)
    S3Prefix.upload = deadly
    workspace.save_local_files()
"""


def run_killed(url: str, moment: str, earlier: str, later: str) -> None:
    """A run that adds rows before and during an upload, and is killed before or after its end; then unlocked."""
    command = [sys.executable, "-c", KILLED_RUN, url, moment, earlier, later]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode < 0, done.stderr
    assert Workspace(url).unlock()


def test_every_machine_has_the_rows_of_the_runs_before(here: Become, url: str) -> None:
    run_and_add(url, "a", "b")
    here("second")
    assert run_and_add(url, "c")[1] == ["a", "b"]
    here("first")
    assert run_and_add(url)[1] == ["a", "b", "c"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kills", [1, 2])
def test_a_kill_around_an_upload_loses_no_row(here: Become, url: str, moment: str, kills: int) -> None:
    run_and_add(url, "a")
    texts = ["a"]
    for kill in range(kills):
        texts += [f"b{kill} before the upload", f"b{kill} during the upload"]
        run_killed(url, moment, *texts[-2:])
    path, before = run_and_add(url, "c")
    assert before == texts
    assert list(path.parent.glob("*.unsaved-*")) == []
    here("second")
    assert run_and_add(url)[1] == [*texts, "c"]


def test_rows_of_a_killed_run_are_set_aside_where_another_machine_has_run_since(here: Become, url: str) -> None:
    run_and_add(url, "a")
    run_killed(url, "after", "b", "only here")
    here("second")
    assert run_and_add(url, "c")[1] == ["a", "b"]
    here("first")
    path, before = run_and_add(url, "d")
    assert before == ["a", "b", "c"]
    assert read_texts(path.with_name(f"{NAME}.unsaved-1")) == ["a", "b", "only here"]


@pytest.mark.parametrize("note", [None, "", "{}", '{"equal_to": 1, "unsaved": 1, "uploads": 3}', "[]"])
def test_a_copy_without_a_note_is_not_overwritten(here: Become, url: str, note: str | None) -> None:
    path, _ = run_and_add(url, "a")
    add(path, "only here")
    note_path = path.with_name(f"{NAME}.copy.json")
    if note is None:
        note_path.unlink()
    else:
        note_path.write_text(note)
    assert run_and_add(url)[1] == ["a"]
    assert read_texts(path.with_name(f"{NAME}.unsaved-1")) == ["a", "only here"]


def test_a_folder_uses_its_database_in_place(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    assert workspace.local_file(NAME) == workspace.local / NAME
