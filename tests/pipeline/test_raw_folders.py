"""Where raw files may be read: in the recipe's folder, and in folders that the user named."""

import os
import time
from pathlib import Path

import pytest

from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput, WorkspaceUnusable
from curate.notebook.runs import raw_folders
from curate.pipeline import make_tools, open_corpus, plan
from curate.recipe import load_recipe
from curate.stages.ingest.finding import find_files
from curate.stages.ingest.matching import LeadsOutside, match_files
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.runs import contents, run_quietly

TEXT = "I am so happy that you came!"


@pytest.fixture
def places(tmp_path) -> tuple[Path, Path]:
    """A recipe's folder with one post, and one beside it that is the user's own."""
    own, other = tmp_path / "study", tmp_path / "private"
    for folder in (own / "raw", other / "letters"):
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text(f"{TEXT} {folder.name}")
    return own, other


def link(path: Path, target: str | Path) -> None:
    path.symlink_to(target)


OUTSIDE = {
    "absolute": ("{other}/letters/*.txt", lambda own, other: None),
    "absolute, one file": ("{other}/letters/a.txt", lambda own, other: None),
    "everything": ("/**/*.txt", lambda own, other: None),
    "up": ("../private/letters/*.txt", lambda own, other: None),
    "up after a wildcard": ("*/../../private/letters/*.txt", lambda own, other: None),
    "up, any depth": ("raw/../../**/*.txt", lambda own, other: None),
    "link to a file": ("raw/*.txt", lambda own, other: link(own / "raw/b.txt", other / "letters/a.txt")),
    "link to a folder": ("raw/letters/*.txt", lambda own, other: link(own / "raw/letters", other / "letters")),
    "link by wildcard": ("raw/*/*.txt", lambda own, other: link(own / "raw/l", "../../private/letters")),
    "link by any depth": ("**/*.txt", lambda own, other: link(own / "raw/l", other)),
    "link through a link": (
        "raw/*.txt",
        lambda own, other: (link(own / "l", other), link(own / "raw/b.txt", "../l/letters/a.txt")),
    ),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_nothing_outside_is_read_unless_the_user_says_so(places, kind):
    own, other = places
    pattern, prepare = OUTSIDE[kind]
    prepare(own, other)
    recipe = make_recipe(own, {"stage": "ingest", "files": pattern.format(other=other)}, {"stage": "preprocess"})
    before = time.monotonic()
    with pytest.raises(InvalidInput) as refused:
        load_recipe(recipe)
    assert time.monotonic() - before < 2
    (problem,) = refused.value.problems
    assert problem.startswith(f"{recipe}:")
    assert "outside the recipe's folder" in problem
    assert "--raw /" in problem
    with pytest.raises(InvalidInput, match="outside the recipe's folder"):
        run_quietly(load_recipe(recipe, check_sources=False), own / "w")
    if kind != "everything":
        loaded = load_recipe(recipe, raw=[other.parent if kind == "up, any depth" else other])
        run_quietly(loaded, own / "w")
        assert (
            TEXT + " letters" in open_corpus(loaded, Workspace(own / "w")).read("items", ["text"])["text"].to_pylist()
        )


def test_what_was_allowed_is_remembered_for_this_recipe_alone(places, run_curate):
    own, other = places
    stages = [{"stage": "ingest", "files": str(other / "**/*.txt")}, {"stage": "preprocess"}]
    recipe, workspace = make_recipe(own, *stages), str(own / "w")
    assert raw_folders((), recipe, workspace) == ()
    with pytest.raises(InvalidInput, match="--raw gone: there is no such folder"):
        raw_folders([Path("gone")], recipe, workspace)
    done = run_curate("run", str(recipe), "-w", workspace, "--raw", str(other))
    assert done.returncode == 0, done.stderr
    # Commands that look for raw files ask the workspace; others have its folders in their tools.
    assert raw_folders((), recipe, workspace) == (other,)
    assert raw_folders([own], recipe, workspace) == (own, other)
    tools = make_tools(load_recipe(recipe, check_sources=False), Workspace(workspace))
    assert tools.raw.path(str(other / "letters/a.txt")).is_file()
    strange = make_recipe(own / "strange", *stages)
    assert raw_folders((), strange, workspace) == ()
    assert make_tools(load_recipe(strange, check_sources=False), Workspace(workspace)).raw_folders == ()


def test_workspaces_remember_folders_the_newest_first(tmp_path):
    recipe, workspace = tmp_path / "r.yaml", Workspace(tmp_path / "w")
    for n in range(30):
        workspace.claim("r", recipe, [tmp_path / f"disk{n}"])
    workspace.claim("r", recipe, [])
    opened = Workspace(tmp_path / "w")
    assert opened.raw_folders(recipe)[:2] == (tmp_path / "disk29", tmp_path / "disk28")
    assert len(opened.raw_folders(recipe)) == 20
    assert opened.raw_folders(tmp_path / "other.yaml") == ()
    settings = tmp_path / "w/curate.yaml"
    settings.write_text(settings.read_text().replace("raw:", "raw: 7\nrest:"))
    with pytest.raises(WorkspaceUnusable, match="raw is not a list"):
        Workspace(tmp_path / "w")


def test_a_shipped_recipe_takes_raw_files_from_anywhere_with_equal_rows(tmp_path):
    recipe = make_recipe(tmp_path / "shipped", {"stage": "ingest", "files": "texts/*.txt"}, {"stage": "preprocess"})
    tables = []
    for name in ("disk", "mount"):
        (tmp_path / name / "texts").mkdir(parents=True)
        (tmp_path / name / "texts/a.txt").write_text(TEXT)
        run_quietly(load_recipe(recipe, raw=[tmp_path / name]), tmp_path / f"w_{name}")
        tables.append(contents(tmp_path / f"w_{name}"))
    assert tables[0]["sources"]["file"].to_pylist() == ["texts/a.txt"]
    assert tables[0]["sources"].drop_columns(["work"]).equals(tables[1]["sources"].drop_columns(["work"]))
    # Moved to another disk: the name is looked up there, and nothing is done again.
    (tmp_path / "disk").rename(tmp_path / "moved")
    loaded = load_recipe(recipe, raw=[tmp_path / "moved"])
    assert [stage.todo for stage in plan(loaded, Workspace(tmp_path / "w_disk"))] == [0, 0]
    tools = make_tools(loaded, Workspace(tmp_path / "w_disk"))
    assert tools.raw.path("texts/a.txt") == tmp_path / "moved/texts/a.txt"


def test_the_named_folder_comes_first_and_the_recipes_folder_fills_in(places):
    own, other = places
    raw = RawFolders(own, (other,))
    assert find_files("raw/*.txt", raw) == ["raw/a.txt"]
    assert raw.path("raw/a.txt") == own / "raw/a.txt"
    (other / "raw").mkdir()
    (other / "raw/b.txt").write_text(TEXT)
    assert find_files("raw/*.txt", raw) == ["raw/b.txt"]


def test_subtitles_and_speaker_turns_that_are_links_are_refused(places):
    own, other = places
    (own / "raw/film.mp4").write_bytes(b"film")
    (own / "raw/film.srt").symlink_to(other / "letters/a.txt")
    loaded = load_recipe(make_recipe(own, {"stage": "ingest", "files": "raw/*.mp4"}), check_sources=False)
    with pytest.raises(InvalidInput, match=r"film\.srt leads to .* outside the recipe's folder"):
        run_quietly(loaded, own / "w")
    (own / "who").mkdir()
    (own / "who/a.rttm").symlink_to(other / "letters/a.txt")
    for file in ("who", str(other)):
        (other / "b.rttm").write_text("")
        stages = {"stage": "ingest", "files": "raw/*.txt"}, {"stage": "preprocess", "speakers": {"file": file}}
        with pytest.raises(InvalidInput) as refused:
            load_recipe(make_recipe(own, *stages))
        assert "outside the recipe's folder" in refused.value.problems[0]
        with pytest.raises(InvalidInput, match="outside the recipe's folder"):
            run_quietly(load_recipe(make_recipe(own, *stages), check_sources=False), own / "w2")


def test_names_in_a_workspace_lead_nowhere_else(places):
    own, other = places
    (own / "raw/b.txt").symlink_to(other / "letters/a.txt")
    for name in (str(other / "letters/a.txt"), "../private/letters/a.txt", "raw/b.txt"):
        with pytest.raises(InvalidInput, match="outside the recipe's folder"):
            RawFolders(own).path(name)
        assert RawFolders(own, (other,)).path(name).read_text().startswith(TEXT)


def test_many_wildcards_over_links_in_circles_end_soon(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    for name in ("one", "two", "three"):
        (tmp_path / name).symlink_to(".")
    before = time.monotonic()
    for pattern in ("*/" * 200 + "*.txt", "**/" * 200 + "*.txt", "**/*/" * 20 + "*.txt"):
        assert len(match_files(pattern, tmp_path)) <= 1, pattern
    assert time.monotonic() - before < 2


def test_folders_outside_are_not_even_listed(places, monkeypatch):
    own, other = places
    (own / "raw/l").symlink_to(other)
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path=".": (listed.append(os.path.realpath(path)), scandir(path))[1])
    for pattern in ("**/*.txt", "raw/l/*.txt", "raw/l/*/*.txt", f"{other}/*.txt", "../*/*.txt"):
        with pytest.raises(LeadsOutside):
            find_files(pattern, RawFolders(own))
    assert listed
    assert all(path.startswith(str(own)) for path in listed)
