"""The corpus shows the rows that the recipe now asks for; changes reach those rows alone."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.corpus import live, view
from curate.corpus.live import LiveWork
from curate.corpus.sources import RawFolders, SourceMissing
from curate.corpus.spec import parent_column, parse_type, repeats_column, table_spec
from curate.corpus.view import Corpus
from curate.errors import StorageFailed
from curate.labels import load_labels
from curate.storage.workspace import Workspace

LABELS = load_labels("utterance_emotion.v1")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Items a and b, of which b repeats a, and an item of earlier settings."""
    made = Corpus(Workspace(tmp_path), LABELS, {"items": LiveWork.of(["now"])})
    rows: list[dict[str, Any]] = [
        {"item_id": "b", "text": "B", "repeats": "a", "work": "now"},
        {"item_id": "a", "text": "A", "work": "now"},
        {"item_id": "old", "text": "O", "work": "before"},
    ]
    made.table("items").commit(rows, metadata={})
    return made


def test_items_of_earlier_settings_and_repeats_are_left_out(corpus: Corpus) -> None:
    assert corpus.read("items")["item_id"].to_pylist() == ["a"]
    assert corpus.read("items", ["text"], with_repeats=True).to_pylist() == [{"text": "A"}, {"text": "B"}]
    corpus.append("labels", [{"item_id": item} for item in ("a", "b", "old")], metadata={})
    assert corpus.read("labels")["item_id"].to_pylist() == ["a"]
    assert corpus.read("faces").num_rows == 0


def test_large_tables_are_read_alike(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.table("items").commit([{"item_id": "0", "text": None, "work": "now"}], metadata={})
    in_memory = [corpus.read("items"), corpus.read("items", ["work", "text"], with_repeats=True), corpus.read("faces")]
    monkeypatch.setattr(view, "LARGE_ROWS", 0)
    on_disk = [corpus.read("items"), corpus.read("items", ["work", "text"], with_repeats=True), corpus.read("faces")]
    assert on_disk[0]["item_id"].to_pylist() == ["0", "a"]
    assert [table.equals(other) for table, other in zip(in_memory, on_disk, strict=True)] == [True] * 3


def test_whether_work_is_asked_for_is_known_in_blocks_and_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_BLOCK", 2)
    asked_for = LiveWork.of([f"w{n}" for n in range(9)], ["v"])
    works = pa.chunked_array([["w8", None, "x", "v"], ["w0"]], pa.string())
    assert asked_for.contains(works).to_pylist() == [True, False, False, True, True]
    assert asked_for.contains(works.slice(1, 1)).to_pylist() == [False]
    assert asked_for.contains(works.slice(3, 1)).to_pylist() == [True]
    assert LiveWork.of().contains(works).to_pylist() == [False] * 5
    assert asked_for.contains(works.slice(0, 0)).to_pylist() == []


def test_a_column_changes_in_current_rows_alone(corpus: Corpus) -> None:
    version = corpus.table("items").version()
    assert corpus.update_column("items", "text", {"a": "A", "b": "new", "old": "new", "nobody": "new"}) == 1
    texts = dict(zip(*corpus.table("items").read(["item_id", "text"]).to_pydict().values(), strict=True))
    assert texts == {"a": "A", "b": "new", "old": "O"}
    assert corpus.update_column("items", "text", {"b": "new"}) == 0
    assert corpus.table("items").version() == (version or 0) + 1


def test_rows_are_appended_once(corpus: Corpus) -> None:
    rows = [{"item_id": "a", "method": "first"}, {"item_id": "a", "method": "second"}]
    assert [corpus.append("labels", rows, metadata={}) for _ in range(2)] == [1, 0]
    assert corpus.read("labels")["method"].to_pylist() == ["first"]


def test_what_the_files_of_tables_say() -> None:
    assert (repeats_column("items"), repeats_column("faces")) == ("repeats", None)
    assert parent_column("items") == "source_id"
    assert table_spec("labels", LABELS).variant == LABELS.name
    assert table_spec("items", LABELS).variant is None
    with pytest.raises(ValueError, match="there is no table 'nothing'"):
        table_spec("nothing", LABELS)
    assert str(parse_type("list<struct<a: string, b: list<int32>>>")) == (
        "list<item: struct<a: string, b: list<item: int32>>>"
    )
    with pytest.raises(ValueError, match="is not a column type"):
        parse_type("list<words>")


def test_a_raw_file_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    assert RawFolders(tmp_path).path("a.wav") == tmp_path / "a.wav"
    with pytest.raises(SourceMissing, match=r"raw/b\.wav cannot be read: No such file") as failure:
        RawFolders(tmp_path).path("raw/b.wav")
    assert isinstance(failure.value, StorageFailed)
    assert failure.value.hint
