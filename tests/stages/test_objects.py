"""Files on an object store: listed by runs only, copied once, and gone when they are forgotten."""

from datetime import date

import pytest

from curate.corpus.fetched import FETCHED, link_copy
from curate.errors import InvalidInput
from curate.pipeline import open_corpus, plan
from curate.pipeline.forget.scope import Scope
from curate.pipeline.forget.takedown import forget, plan_forgetting
from curate.recipe import load_recipe
from curate.stages.ingest.stage import Ingest
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.media_builders import make_tone, write_media
from tests.support.object_store import ObjectStore
from tests.support.runs import run_quietly

PREFIX = "s3://corpora/raw 1"


@pytest.fixture(scope="module")
def store():
    pytest.importorskip("s3fs")
    running = ObjectStore()
    yield running
    running.close()


@pytest.fixture
def files(store, tmp_path, monkeypatch):
    """The store's files, whose keys are in the environment; every listing and copy is noted in ``asked``."""
    from curate.storage.s3.client import S3Prefix

    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    view = store.files()
    if view.exists(PREFIX):
        view.rm(PREFIX, recursive=True)
    (tmp_path / "made").mkdir(exist_ok=True)
    for name, level in (("day/a.wav", 0.1), ("day/deep/b.wav", 0.2), ("c.wav", 0.3)):
        path = write_media(tmp_path / "made" / name.replace("/", "-"), sound=make_tone(0.3, level=level))
        view.pipe_file(f"{PREFIX}/{name}", path.read_bytes())
    view.pipe_file(f"{PREFIX}/day/notes.txt", b"not a sound")
    view.asked = []
    for name in ("objects", "download"):
        real = getattr(S3Prefix, name)

        def noted(self, *arguments, real=real, name=name):
            view.asked.append(name)
            return real(self, *arguments)

        monkeypatch.setattr(S3Prefix, name, noted)
    return view


def sources(loaded, root):
    return {row["file"]: row["kind"] for row in open_corpus(loaded, Workspace(root)).read("sources").to_pylist()}


@pytest.fixture
def loaded(tmp_path):

    recipe = make_recipe(tmp_path / "in", {"stage": "ingest", "files": f"{PREFIX}/day/**/*.wav", "licence": "CC0-1.0"})
    return load_recipe(recipe)


def test_a_run_copies_what_is_new_and_no_other_command_asks(loaded, files, tmp_path):
    root = tmp_path / "w"
    (ingest_plan,) = plan(loaded, Workspace(root))
    assert ingest_plan.note == f"files at {PREFIX}/day/**/*.wav are to be listed"
    assert files.asked == []
    run_quietly(loaded, root)
    a, b = f"{PREFIX}/day/a.wav", f"{PREFIX}/day/deep/b.wav"
    assert sources(loaded, root) == {a: "audio", b: "audio"}
    assert sorted(files.asked) == ["download", "download", "objects"]
    assert link_copy(root / FETCHED, a).read_bytes() == files.cat_file(a)
    files.asked.clear()
    assert plan(loaded, Workspace(root))[0].changes is False
    assert files.asked == []
    assert not run_quietly(loaded, root).changed
    assert files.asked == ["objects"]
    # What has changed and what is new is copied, nothing else.
    files.pipe_file(a, files.cat_file(f"{PREFIX}/c.wav"))
    files.pipe_file(f"{PREFIX}/day/d.wav", files.cat_file(b))
    files.asked.clear()
    run_quietly(loaded, root)
    assert sorted(files.asked) == ["download", "download", "objects"]
    assert link_copy(root / FETCHED, a).read_bytes() == files.cat_file(f"{PREFIX}/c.wav")


def test_a_store_that_is_out_of_reach(loaded, files, tmp_path, monkeypatch):
    root = tmp_path / "w"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(InvalidInput, match="cannot be listed"):
        run_quietly(loaded, root)
    monkeypatch.undo()


def test_what_is_forgotten_is_not_copied_again(loaded, files, tmp_path):
    root, gone = tmp_path / "w", f"{PREFIX}/day/a.wav"
    run_quietly(loaded, root)
    workspace = Workspace(root)
    with workspace.lock():
        forget(workspace, plan_forgetting(workspace, Scope("source", gone), "asked", today=date(2026, 1, 1)))
    for _ in range(2):
        assert not link_copy(root / FETCHED, gone).exists()
        assert gone.encode() not in (root / FETCHED).read_bytes()
        run_quietly(loaded, root)
    assert sources(loaded, root) == {f"{PREFIX}/day/deep/b.wav": "audio"}


def test_a_pattern_without_a_match_is_named(files, tmp_path):
    (tmp_path / "made").mkdir(exist_ok=True)
    recipe = make_recipe(tmp_path / "in", {"stage": "ingest", "files": f"{PREFIX}/day/*.mp4"})
    with pytest.raises(InvalidInput, match=r"no file matches 's3://corpora/raw 1/day/\*\.mp4'"):
        run_quietly(recipe, tmp_path / "w")


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("s3://corpora", "is not a bucket and a pattern"),
        ("s3://*/a", "is not a bucket and a pattern"),
        ("s3://key:secret@corpora/*", "is not a bucket and a pattern"),
        ("gs://corpora/*.wav", "AWS_ENDPOINT_URL=https://storage.googleapis.com"),
        ("https://a.example/*.wav", "is a link: name it in `urls`"),
        ("ftp://a/b", "files are in folders or at s3://"),
    ],
)
def test_patterns_that_cannot_be_listed(pattern, sentence):
    with pytest.raises(ValueError, match="files") as caught:
        Ingest(files=pattern)
    assert sentence in str(caught.value)
