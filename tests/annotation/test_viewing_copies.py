"""Viewing copies: made by the first push that needs them, and by no other."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from curate.annotation.fake import KEY, FakeLabelStudio
from curate.annotation.local_server.connection import Connection
from curate.corpus.live import LiveWork
from curate.corpus.sources import RawFolders, SourceMissing
from curate.corpus.spec import open_table
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.media.container.probe import probe
from curate.stages import viewing_copies
from curate.stages.annotate import Annotate, push
from curate.stages.prelabel.media import ItemMedia
from curate.stages.prelabel.stage import Prelabel
from curate.stages.viewing_copies import ViewingCopies
from tests.annotation.annotation_builders import make_clip, make_corpus, make_item, make_tools

CHAT = {"model": "openai/gpt-5-mini", "prompt": "utterance_emotion.v1"}


def make_film_items(root: Path, *names: str) -> Corpus:
    """A corpus with one item of each film, from 1.2 s to 2.4 s, of which only the files of the films are there."""
    items = [
        make_item(n, layout="video", source_id=name, start_s=1.2, end_s=2.4, frame_rate_hz=25.0)
        for n, name in enumerate(names)
    ]
    corpus = make_corpus(root, items)
    rows = [{"source_id": name, "file": f"{name}.mp4", "work": "sources-work"} for name in names]
    open_table(corpus.workspace, "sources", corpus.labels).commit(rows, replacing=["sources-work"], metadata={})
    return Corpus(corpus.workspace, corpus.labels, {**corpus.live, "sources": LiveWork.of(["sources-work"])})


def test_a_push_makes_each_copy_once_and_leaves_out_what_it_cannot_show(tmp_path: Path, monkeypatch: Any) -> None:
    rendered: list[Path] = []
    render = viewing_copies.render_video
    monkeypatch.setattr(viewing_copies, "render_video", lambda path, *a: rendered.append(path) or render(path, *a))
    for name in ("first", "second"):
        (tmp_path / f"{name}.mp4").write_bytes(make_clip("mp4"))
    (tmp_path / "broken.mp4").write_bytes(make_clip("mp4")[:4000])
    corpus = make_film_items(tmp_path / "workspace", "first", "second", "gone", "broken")
    fake, tools = FakeLabelStudio(), make_tools(corpus, tmp_path)
    with fake.serve() as url:
        reach = Connection(url, KEY, local=False, name="fake")
        with pytest.raises(InvalidInput, match="2 items were sent") as caught:
            push(corpus, tools, Annotate(), reach)
        assert any("gone.mp4 cannot be read" in problem for problem in caught.value.problems)
        assert any("broken.mp4" in problem for problem in caught.value.problems)
        assert len(fake.tasks) == 2
        by_source = {row["source_id"]: row["video"] for row in corpus.read("items").to_pylist()}
        assert by_source["first"] == by_source["second"]
        assert by_source["gone"] is by_source["broken"] is None
        copy = corpus.workspace.blobs.path(by_source["first"] or "")
        assert probe(copy).duration_s == pytest.approx(1.2, abs=0.07)
        assert [data for files in fake.uploads.values() for data in files.values()] == [copy.read_bytes()]
        for name in ("gone", "broken"):
            (tmp_path / f"{name}.mp4").write_bytes(make_clip("mp4"))
        assert push(corpus, tools, Annotate(), reach)[:3] == (2, 0, 4)
        assert push(corpus, tools, Annotate(), reach)[:3] == (0, 0, 4)
    assert sorted(path.stem for path in rendered) == ["broken", "broken", "first", "gone", "second"]


def test_models_see_the_film_itself_whether_or_not_there_is_a_copy(tmp_path: Path) -> None:
    (tmp_path / "first.mp4").write_bytes(make_clip("mp4"))
    corpus = make_film_items(tmp_path / "workspace", "first", "gone")
    tools, stage = make_tools(corpus, tmp_path), Prelabel(stage="prelabel", labellers=[CHAT], show=["frames"])
    inputs = stage.enrich(stage.inputs(corpus.read("items"), tools), corpus, tools)
    (shown, gone), size = inputs.to_pylist(), stage.pictures.count
    if shown["source_id"] != "first":
        shown, gone = gone, shown
    media = ItemMedia(["frames"], stage, corpus, tools)
    before = asyncio.run(media.prepare(shown))
    assert len(before["frames"]) == size == len(media.estimate(shown)["frames"])
    with pytest.raises(SourceMissing, match=r"gone\.mp4"):
        asyncio.run(media.prepare(gone))
    ViewingCopies(corpus, RawFolders(tmp_path)).make([shown])
    again = stage.enrich(stage.inputs(corpus.read("items"), tools), corpus, tools)
    assert corpus.read("items", ["video"])["video"].null_count == 1
    used = list(stage.columns_used() or ())
    assert {str(row) for row in again.select(used).to_pylist()} == {str({k: r[k] for k in used}) for r in (shown, gone)}
