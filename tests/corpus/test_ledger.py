"""What the ledger counts as kept, rejected and done is the same in this run and in the next."""

from pathlib import Path
from typing import Any

import pytest

from curate.corpus.ledger import Entry, Ledger
from curate.labels import load_labels
from curate.storage.workspace import Workspace

LABELS = load_labels("utterance_emotion.v1")
LIVE = frozenset({"work a", "work b"})


def open_ledger(root: Path) -> Ledger:
    return Ledger(Workspace(root), LABELS, stage="ingest", writes=["sources"], live=LIVE)


def make_entry(name: str, *source_ids: str, rejected: tuple[tuple[str, str, str], ...] = ()) -> Entry:
    rows = [{"source_id": source_id, "file": f"{name}.csv"} for source_id in source_ids]
    return Entry(f"{name}.csv", f"work {name}", {"sources": rows}, rejected)


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
    ledger.commit([make_entry("a", "old", "older")], metadata={})
    counts = ledger.commit([make_entry("b", *source_ids)], metadata={})
    assert counts == (kept, int(kept == 0))
    rejections = read_rejections(ledger)
    assert [row["subject"] for row in rejections] == subjects
    assert all(row["reason"] == "duplicate" and row["detail"] == "the same content as a.csv" for row in rejections)
    assert len({row["rejection_id"] for row in rejections}) == len(rejections)
    again = open_ledger(tmp_path)
    assert (again.finished, again.dropped, again.works) == (ledger.finished, ledger.dropped, ledger.works)
    assert again.is_done("work b")
    assert ("work b" in again.dropped) == (kept == 0)


def test_a_rejection_of_the_input_does_not_undo_its_rows(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    note = (("b.csv", "filtered", "3 rows"),)
    assert ledger.commit([make_entry("b", "new", rejected=note)], metadata={}) == (1, 0)
    again = open_ledger(tmp_path)
    assert (again.finished, again.dropped) == (ledger.finished, ledger.dropped) == ({"work b"}, set())


def test_crashed_work_is_done_again(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.commit([make_entry("a", rejected=(("a.csv", "crashed", "killed"),))], metadata={})
    assert not open_ledger(tmp_path).is_done("work a")
