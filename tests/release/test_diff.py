"""What differs between two releases is counted right, by item and by value."""

import hashlib
import json
import re
import shutil

import pyarrow as pa
import pytest
from pyarrow import parquet

from curate.errors import WorkspaceUnusable
from curate.release.diff import Change, compare_releases
from curate.release.verify import release_damages
from curate.release.versions import Releases
from curate.storage.folder import DiskFolder
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


CHANGED = {
    "text": ({"items": {"text": "Corrected."}}, "minor", ["1 item with another text"], None),
    "speaker": ({"items": {"speaker": "Ann"}}, "minor", ["1 item with other speaker"], "speaker"),
    "media": ({"items": {"audio": "new"}}, "minor", ["1 item with other audio"], "audio"),
    "title": ({"sources": {"title": "Another film"}}, "minor", ["2 items with other title"], "title"),
    "evidence": ({"labels": {"raters": 9}}, "patch", ["1 item with other raters"], "raters"),
    "proposal": ({"prelabels": {"model": "words 2"}}, "patch", ["1 item with other prelabel"], "prelabel"),
    "label": ({"labels": {"emotion": ["disgust"]}}, "patch", ["1 label of emotion"], None),
}


@pytest.mark.parametrize("name", CHANGED)
def test_each_difference_is_named_for_what_it_is(tmp_path, name):
    changes, kind, reasons, column = CHANGED[name]
    made = make_corpus(tmp_path / "ws", items=6, sources=3)
    _, before = make_release(made)
    for table, values in changes.items():
        stored = made.corpus.table(table)
        values = {
            key: made.tools.blobs.put(b"fLaC", "flac") if value == "new" else value for key, value in values.items()
        }
        rows = stored.read().sort_by(stored.spec.key).to_pylist()
        rows[2] |= values
        stored.replace_all(pa.Table.from_pylist(rows, schema=stored.spec.schema), metadata={})
    _, after = make_release(made)
    difference = compare_releases(before, after)
    assert (difference.kind, difference.reasons()) == (kind, reasons)
    assert list(difference.changed) == ([column] if column else [])
    assert list(difference.relabelled) == (["emotion"] if name == "label" else [])


def refooted(folder, copy, features, *, renamed=None):
    """A copy of a release whose first shard has other features in its footer, and a manifest that agrees with it."""
    shutil.copytree(folder, copy)
    shard = sorted((copy / "data").iterdir())[0]
    table = parquet.read_table(shard)
    own = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    table = table.rename_columns([(renamed or {}).get(name, name) for name in table.column_names])
    footer = features(own) if callable(features) else features
    text = footer if isinstance(footer, str) else json.dumps({"info": {"features": footer}})
    parquet.write_table(table.replace_schema_metadata({"huggingface": text}), shard)
    manifest = json.loads((copy / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["path"] == f"data/{shard.name}":
            file |= {"sha256": hashlib.sha256(shard.read_bytes()).hexdigest(), "size_bytes": shard.stat().st_size}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def with_feature(name, feature):
    return lambda own: own | {name: feature}


FOOTERS = {
    "not JSON": ("not JSON", "cannot be read as a shard"),
    "another document": ("[]", "cannot be read as a shard"),
    "deep": ("[" * 100_000, "cannot be read as a shard"),
    "a list": ([1, 2], "lists no features"),
    "none": (None, "lists no features"),
    "a column less": (lambda own: {n: f for n, f in own.items() if n != "text"}, "describe its columns: text differs"),
    "a column more": (with_feature("bonus", {"dtype": "string", "_type": "Value"}), "bonus differs"),
    "not a feature": (with_feature("emotion", 7), "column emotion has 7 as its feature"),
    "an unknown kind": (with_feature("text", {"_type": "Exec"}), "unknown feature type Exec"),
    "a kind that is a list": (with_feature("text", {"_type": ["Value"]}), "unknown feature type"),
    "another type": (with_feature("text", {"dtype": "int64", "_type": "Value"}), "text is not stored as its feature"),
    "an unknown type": (with_feature("text", {"dtype": "utf9", "_type": "Value"}), "cannot be read as a shard"),
    "no type": (with_feature("text", {"dtype": ["string"], "_type": "Value"}), "column text has no type"),
    "no names": (
        with_feature("emotion", {"_type": "List", "feature": {"_type": "ClassLabel", "names": {"a": 1}}}),
        "column emotion has labels without names",
    ),
    "long": (with_feature("text", {"_type": "x" * 10_000}), "x…"),
}


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    made = make_corpus(tmp_path_factory.mktemp("released") / "ws")
    return made, make_release(made)[1]


@pytest.mark.parametrize("name", FOOTERS)
def test_a_footer_that_anyone_may_have_written_is_refused_in_one_sentence(tmp_path, released, name):
    features, words = FOOTERS[name]
    _, folder = released
    copy = refooted(folder, tmp_path / folder.name, features)
    with pytest.raises(WorkspaceUnusable, match=re.escape(words)) as caught:
        compare_releases(folder, copy)
    (damage,) = release_damages(DiskFolder(copy))
    assert damage == caught.value.message.removeprefix(f"release {copy}: ")
    assert len(damage) < 250


def test_a_label_number_without_a_name_is_shown_as_such(tmp_path, released):
    _, folder = released
    few = {"_type": "List", "feature": {"_type": "ClassLabel", "names": ["only"]}}
    difference = compare_releases(folder, refooted(folder, tmp_path / "copy", with_feature("emotion", few)))
    assert difference.kind == "major"
    assert difference.columns_changed == ["emotion"]
    assert "label number 3 without a name" in {change.after for change in difference.relabelled["emotion"]}


def test_a_release_without_item_ids_stops_a_trace(tmp_path):
    made = make_corpus(tmp_path / "ws")
    _, folder = make_release(made)
    renamed = {"item_id": "other"}
    copy = refooted(
        folder, tmp_path / "copy", lambda own: {renamed.get(n, n): f for n, f in own.items()}, renamed=renamed
    )
    shutil.rmtree(folder)
    copy.rename(folder)
    releases = Releases(made.corpus.workspace.releases)
    with pytest.raises(WorkspaceUnusable, match="has no column item_id of texts"):
        releases.splits(releases.manifests()[0])


def test_a_folder_without_a_readable_release_is_refused(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "ws"))
    with pytest.raises(WorkspaceUnusable):
        compare_releases(folder, tmp_path)
    next((folder / "data").iterdir()).write_bytes(b"spoilt")
    with pytest.raises(WorkspaceUnusable, match="cannot be read as a shard"):
        compare_releases(folder, folder)
