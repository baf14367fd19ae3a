"""What the ledger counts as kept, rejected and done is the same in this run and in the next."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.corpus.ledger import Batch, CommitCounts, Ledger
from curate.corpus.live import LiveWork
from curate.corpus.spec import table_spec
from curate.labels import load_labels
from curate.storage.workspace import Workspace

LABELS = load_labels("utterance_emotion.v1")
LIVE = LiveWork.of(["work a", "work b"])


def open_ledger(root: Path) -> Ledger:
    return Ledger(Workspace(root), LABELS, stage="ingest", writes=["sources"], live=LIVE)


def make_batch(*names: str, rows: Sequence[tuple[str, str]] = (), rejected: Sequence[tuple[str, ...]] = ()) -> Batch:
    """Outcomes of the inputs ``names``: rows of these inputs with these keys, and what is rejected of them."""
    sources = [{"source_id": source_id, "file": f"{name}.csv"} for name, source_id in rows]
    table = pa.Table.from_pylist(sources, schema=table_spec("sources", LABELS).schema)
    ids, works = ([text.format(name) for name in names] for text in ("{}.csv", "work {}"))
    return Batch(pa.array(ids), pa.array(works), {"sources": table}, rejected)  # type: ignore[arg-type]


def todo(ledger: Ledger, *works: str) -> list[str]:
    """Return the work that is not done."""
    return [works[index] for index in ledger.progress(pa.chunked_array([list(works)])).todo]


def read_rejections(ledger: Ledger) -> list[dict[str, Any]]:
    return sorted(ledger.rejections.read().to_pylist(), key=lambda row: str(row["subject"]))


@pytest.mark.parametrize(
    ("source_ids", "kept", "subjects"),
    [
        (("new",), 1, []),
        (("new", "old"), 1, ["old"]),
        (("old", "new", "older"), 1, ["old", "older"]),
        (("old",), 0, ["b.csv"]),
        (("old", "older", "old"), 0, ["b.csv"]),
    ],
)
def test_an_input_with_any_new_row_is_kept_now_and_later(
    tmp_path: Path, source_ids: tuple[str, ...], kept: int, subjects: list[str]
) -> None:
    ledger = open_ledger(tmp_path)
    ledger.commit(make_batch("a", rows=[("a", "old"), ("a", "older")]), metadata={})
    counts = ledger.commit(make_batch("b", rows=[("b", source_id) for source_id in source_ids]), metadata={})
    check_duplicates(tmp_path, counts, kept, subjects)


def check_duplicates(root: Path, counts: CommitCounts, kept: int, subjects: list[str]) -> None:
    assert counts == (kept, int(kept == 0), 0)
    again = open_ledger(root)
    rejections = read_rejections(again)
    assert [row["subject"] for row in rejections] == subjects
    assert all(row["reason"] == "duplicate" and row["detail"] == "the same content as a.csv" for row in rejections)
    assert len({row["rejection_id"] for row in rejections}) == len(rejections)
    assert again.progress(pa.chunked_array([["work a", "work b"]])) == ([], int(kept == 0))


def test_of_equal_rows_in_one_batch_the_first_is_kept(tmp_path: Path) -> None:
    rows = [("a", "old"), ("a", "older"), ("b", "old"), ("b", "new"), ("b", "new"), ("c", "older")]
    counts = open_ledger(tmp_path).commit(make_batch("a", "b", "c", rows=rows), metadata={})
    assert counts == (4, 1, 0)
    again = open_ledger(tmp_path)
    assert [row["subject"] for row in read_rejections(again)] == ["c.csv", "old"]
    assert again.progress(pa.chunked_array([["work a", "work b", "work c"]])) == ([], 1)


def test_rows_of_work_that_is_no_longer_asked_for_are_replaced(tmp_path: Path) -> None:
    open_ledger(tmp_path).commit(make_batch("gone", rows=[("gone", "old"), ("gone", "older")]), metadata={})
    ledger = open_ledger(tmp_path)
    assert ledger.commit(make_batch("a", "b", rows=[("a", "old"), ("b", "old")]), metadata={}) == (1, 1, 0)
    stored = ledger.tables["sources"].read(["source_id", "file"]).to_pylist()
    assert stored == [{"source_id": "old", "file": "a.csv"}]
    assert read_rejections(ledger)[0]["detail"] == "the same content as a.csv"


def test_a_rejection_of_the_input_does_not_undo_its_rows(tmp_path: Path) -> None:
    note = [("b.csv", "b.csv", "filtered", "3 rows")]
    counts = open_ledger(tmp_path).commit(make_batch("b", rows=[("b", "new")], rejected=note), metadata={})
    assert counts == (1, 0, 0)
    assert open_ledger(tmp_path).progress(pa.chunked_array([["work b"]])) == ([], 0)


def test_crashed_work_is_done_again(tmp_path: Path) -> None:
    crashed = make_batch("a", rejected=[("a.csv", "a.csv", "crashed", "killed")])
    assert open_ledger(tmp_path).commit(crashed, metadata={}) == (0, 1, 1)
    assert todo(open_ledger(tmp_path), "work a", "work b") == ["work a", "work b"]
