"""What differs between two releases is counted right, by item and by value."""

import shutil

import pyarrow as pa
import pytest

from curate.errors import WorkspaceUnusable
from curate.release.diff import Change, compare_releases
from tests.release.test_export import make_release
from tests.support.release_builders import make_corpus

HALVES = {"train": 0.5, "test": 0.5}


def relabel(made, changes):
    """Replace the emotion of some labels."""
    labels = made.corpus.table("labels")
    rows = [row | {"emotion": changes.get(row["item_id"], row["emotion"])} for row in labels.read().to_pylist()]
    labels.replace_all(pa.Table.from_pylist(rows, schema=labels.spec.schema), metadata={})


def test_a_release_does_not_differ_from_itself(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "ws"))
    difference = compare_releases(folder, shutil.copytree(folder, tmp_path / "copy"))
    assert difference.kind == "none"
    assert not any((difference.added, difference.removed, difference.resplit, difference.relabelled))


def test_changed_labels_are_a_patch_and_counted_from_value_to_value(tmp_path):
    made = make_corpus(tmp_path / "ws", items=9)
    _, before = make_release(made)
    relabel(made, {"item-0000": ["anger"], "item-0004": ["anger", "fear"], "item-0001": ["sadness"]})
    _, after = make_release(made)
    difference = compare_releases(before, after)
    assert (difference.before, difference.after, difference.kind) == ("1.0.0", "1.0.1", "patch")
    assert difference.relabelled == {
        "emotion": [Change("item-0000", "happiness", "anger"), Change("item-0004", "happiness", "anger + fear")]
    }
    assert difference.steps("emotion") == [("happiness", "anger", 1), ("happiness", "anger + fear", 1)]
    backwards = compare_releases(after, before)
    assert backwards.relabelled["emotion"][0] == Change("item-0000", "anger", "happiness")


def test_items_that_come_and_go_are_a_minor_change(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6, sources=6)
    _, before = make_release(made, split=HALVES)
    make_corpus(tmp_path / "ws", items=4, sources=4, first=20)
    _, after = make_release(made, split=HALVES)
    difference = compare_releases(before, after)
    assert difference.kind == "minor"
    assert sorted(difference.added) == [f"item-{n}" for n in range(2000, 2004)]
    assert (difference.items_before, difference.items_after, difference.removed) == (6, 10, [])
    assert compare_releases(after, before).removed == difference.added


def test_items_in_another_split_and_new_texts_are_named(tmp_path):
    made = make_corpus(tmp_path / "ws", items=8, sources=8)
    _, before = make_release(made, split=HALVES)
    made.corpus.update_column("items", "text", {"item-0003": "Corrected."})
    _, after = make_release(made, split={"test": 1.0})
    difference = compare_releases(before, after)
    assert {change.after for change in difference.resplit} == {"test"}
    assert {change.before for change in difference.resplit} == {"train"}
    assert difference.changed_texts == [Change("item-0003", "Sentence 3, ünïcode", "Corrected.")]


def test_a_folder_without_a_readable_release_is_refused(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "ws"))
    with pytest.raises(WorkspaceUnusable):
        compare_releases(folder, tmp_path)
    next((folder / "data").iterdir()).write_bytes(b"spoilt")
    with pytest.raises(WorkspaceUnusable, match="cannot be read as a shard"):
        compare_releases(folder, folder)
