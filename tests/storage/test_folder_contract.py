"""A folder on a disk and one on an object store keep the same promises."""

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import CurateError, WorkspaceBusy
from curate.storage.folder import Folder
from curate.storage.workspace import Workspace


@pytest.fixture(params=["disk", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    root = tmp_path / "w" if request.param == "disk" else request.getfixturevalue("url")
    if request.param == "s3":
        request.getfixturevalue("here")
    return Workspace(root).folder.child("a")


def test_files_are_written_listed_and_read(folder: Folder) -> None:
    assert folder.children() == set()
    assert not folder.exists("x.txt")
    with pytest.raises(FileNotFoundError):
        folder.read("x.txt")
    for name in ("x.txt", "b/y.txt", "b/z.json", "c/d/y.txt"):
        folder.write(name, name.encode())
    folder.write("x.txt", b"again")
    assert folder.read("x.txt") == b"again"
    assert folder.child("b").read("y.txt") == b"b/y.txt"
    assert folder.children() == {"x.txt", "b", "c"}
    assert all(map(folder.exists, ("x.txt", "b", "c/d", "c/d/y.txt")))
    assert folder.glob("*/*.txt") == ["b/y.txt"]
    assert folder.glob("*.txt") == ["x.txt"]
    assert [path.read_bytes() for path in folder.fetch(["b/y.txt", "x.txt"])] == [b"b/y.txt", b"again"]


def test_a_child_folder_appears_as_a_whole(folder: Folder) -> None:
    child = folder.child("v1")
    work = folder.path / ".work"
    work.mkdir(parents=True)
    for name in ("data", "last"):
        (work / name).write_text(name)
    child.save(["data", "last"], source=work)
    if not child.exists("last"):
        work.rename(child.path)
    folder.remove_unfinished("last")
    assert {child.read(name) for name in ("data", "last")} == {b"data", b"last"}


def test_one_holder_of_the_lock_at_a_time(folder: Folder) -> None:
    with folder.lock(), pytest.raises(WorkspaceBusy, match="process"), folder.lock():
        pass
    with folder.lock():
        pass
    assert folder.unlock(certain=False) is None


def raise_error(error: Exception) -> None:
    raise error


def test_failures_name_the_folder(folder: Folder) -> None:
    report: Callable[[Exception], None] = raise_error
    with pytest.raises(CurateError) as failure, folder.errors():
        report(OSError(28, "No space left on device"))
    assert folder.location in failure.value.message
    assert failure.value.hint
    with pytest.raises(KeyError), folder.errors():
        report(KeyError("a bug"))
    assert folder.to_error_in_text("a riddle") is None
