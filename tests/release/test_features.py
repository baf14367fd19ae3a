"""The configuration ``features``: each item's part of each signal, exactly, and what a card and a diff say of it."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from curate.corpus.spec import open_table
from curate.corpus.tombstones import Tombstone, Tombstones
from curate.hub.lint import lint_release
from curate.pipeline.verify import verify
from curate.release.content import read_content_hash
from curate.release.diff import compare_releases
from curate.release.features import card_features
from curate.release.manifest import read_manifest
from curate.release.recut import recut
from curate.release.signals import FEATURES
from curate.release.takedown import held_in_release
from tests.release.test_export import make_release
from tests.support.release_builders import make_corpus, make_signals

HALVES = {"train": 0.5, "test": 0.5}


def release(made, **settings):
    """The manifest and folder of the newest release."""
    _, folder = make_release(made, **settings)
    return read_manifest(folder), folder


def rows_of(folder):
    tables = [parquet.read_table(path) for path in sorted(folder.glob("features/*.parquet"))]
    return {row["item_id"]: row for row in pa.concat_tables(tables).to_pylist()} if tables else {}


def test_values_equal_a_plain_slice(tmp_path):
    made = make_corpus(tmp_path / "ws", items=12)
    make_signals(made.corpus)
    _, folder = release(made, split=HALVES)
    rows = rows_of(folder)
    items = {row["item_id"]: row for row in made.corpus.read("items").to_pylist()}
    assert rows.keys() == items.keys()
    signals = {row["source_id"]: row for row in made.corpus.read("signals").to_pylist()}
    for item_id, row in rows.items():
        item = items[item_id]
        times = np.array(signals[item["source_id"]]["times_s"])
        part = (times >= item["start_s"]) & (times < item["end_s"])
        expected = np.array(signals[item["source_id"]]["values"], float)[:, part]
        assert row["times_s"] == times[part].tolist()
        np.testing.assert_array_equal(np.array(row["values"], float), expected)
        assert row["mean"] == [expected[0].mean(), np.nanmean(expected[1])]
        assert row["maximum"] == [expected[0].max(), np.nanmax(expected[1])]
        assert row["present_share"] == [1.0, np.mean(~np.isnan(expected[1]))]
        assert (row["signal"], row["tool"], row["rate_hz"], row["track"]) == ("motion", "Meter 1", 10, None)
        assert row["names"] == ["tenths", "squares"]
    # Item 1 is from 1.5 to 2.75 s.
    assert rows["item-0001"]["values"][0] == [float(tenth) for tenth in range(15, 28)]
    assert rows["item-0001"]["values"][1][6] is None  # 2.1 s is the 21st tenth


def test_datasets_loads_it_by_its_name(tmp_path):
    datasets = pytest.importorskip("datasets")
    made = make_corpus(tmp_path / "ws", items=12)
    make_signals(made.corpus)
    manifest, folder = release(made, split=HALVES, max_shard_mb=1)
    loaded = datasets.load_dataset(str(folder), "features", cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == manifest.splits
    assert list(loaded["train"].features) == list(FEATURES)
    row = loaded["train"][0]
    assert np.array(row["values"], float).shape == (2, len(row["times_s"]))
    shards = {file.path: file.rows for file in manifest.files if file.rows is not None}
    assert lint_release(folder, shards, card_features) == []
    assert verify(folder).damages == []
    splits = {row["item_id"]: split for split, rows in loaded.items() for row in rows}
    default = datasets.load_dataset(str(folder), "labels", cache_dir=str(tmp_path / "cache"))
    assert splits == {row["item_id"]: split for split, rows in default.items() for row in rows}


def test_the_card_names_tool_rate_columns_and_what_is_missing(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6)
    make_signals(made.corpus, sources=2)
    _, folder = release(made)
    card = (folder / "README.md").read_text("utf-8")
    values = [value for row in rows_of(folder).values() for column in row["values"] for value in column]
    share = sum(value is None for value in values) / len(values)
    assert f"| `motion` | Meter 1 | 10 | 4 of 6 | {share:.1%} |" in card
    assert "`motion` has 2 columns: `tenths`, `squares`." in card
    assert "config_name: features" in card


def test_without_signals_nothing_is_different(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6)
    manifest, folder = release(made)
    assert "Signals" not in (folder / "README.md").read_text("utf-8")
    assert manifest.signals == {}
    assert not (folder / "features").exists()


def test_a_changed_signal_makes_a_release_that_says_so(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6)
    first, before = release(made)
    make_signals(made.corpus)
    second, after = release(made)
    assert (first.version, second.version) == ("1.0.0", "1.1.0")
    assert compare_releases(before, after).reasons() == ["signal motion added"]
    assert release(made)[0].version == "1.1.0"
    table = open_table(made.corpus.workspace, "signals", made.corpus.labels)
    rows = [row | {"values": [[0.5] * 6_000, row["values"][1]]} for row in table.read().to_pylist()]
    table.replace_all(pa.Table.from_pylist(rows, schema=table.spec.schema), metadata={})
    third, changed = release(made)
    assert (third.version, third.history[-1].reason) == ("1.2.0", "signal motion changed")
    fourth, _ = release(made, signals=False)
    assert (fourth.history[-1].reason, fourth.signals) == ("signal motion removed", {})
    assert compare_releases(after, changed).kind == "minor"


def test_faces_have_rows_of_their_own_while_they_are_there(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6, sources=1)
    times = [0.2, 0.4, 1.6, 1.8]
    tracks = {"2": times, "10": times[:2]}
    rows = [
        {
            "signal_id": f"face-{track}",
            "source_id": "source-0000",
            "signal": "openface",
            "track": track,
            "format": "openface",
            "tool": "OpenFace",
            "rate_hz": 5.0,
            "names": ["AU12_r"],
            "times_s": seen,
            "values": [[float(track)] * len(seen)],
            "summary": [],
            "work": "signals-work",
        }
        for track, seen in tracks.items()
    ]
    open_table(made.corpus.workspace, "signals", made.corpus.labels).commit(rows, metadata={})
    _, folder = release(made)
    released = parquet.read_table(next(folder.glob("features/*.parquet"))).to_pylist()
    found = [(row["item_id"], row["track"], row["values"], row["mean"]) for row in released]
    assert found[:3] == [
        ("item-0000", "2", [[2.0, 2.0]], None),
        ("item-0000", "10", [[10.0, 10.0]], None),
        ("item-0001", "2", [[2.0, 2.0]], None),
    ]
    assert found[3:] == [(f"item-{number:04d}", None, [[]], None) for number in range(2, 6)]
    assert "Up to 2 faces of an item have a row each" in (folder / "README.md").read_text("utf-8")


def test_values_of_the_whole_source_are_in_each_of_its_items(tmp_path):
    made = make_corpus(tmp_path / "ws", items=4, sources=1)
    make_signals(made.corpus, sources=1, times_s=None, rate_hz=None, values=[[1.5], [None]])
    _, folder = release(made)
    rows = rows_of(folder)
    assert len(rows) == 4
    assert all((row["times_s"], row["values"]) == (None, [[1.5], [None]]) for row in rows.values())
    assert all(row["present_share"] == [1.0, 0.0] and row["mean"] == [1.5, None] for row in rows.values())


def test_other_values_in_a_file_are_damage(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6)
    make_signals(made.corpus)
    manifest, folder = release(made)
    assert read_content_hash(folder, manifest) == manifest.content_sha256
    path = next(folder.glob("features/*.parquet"))
    table = parquet.read_table(path)
    rows = table.to_pylist()
    rows[0]["values"][0][0] += 1
    parquet.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    assert read_content_hash(folder, manifest) != manifest.content_sha256
    assert [damage.problem for damage in verify(folder).damages] == [
        "features/train-00000-of-00001.parquet was changed since the release was made"
    ]


def test_a_release_that_is_cut_again_has_no_signals_of_what_is_forgotten(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6)
    make_signals(made.corpus)
    manifest, folder = release(made)
    secret = made.corpus.workspace.secret
    key = Tombstones(secret).key("item", "item-0001")
    facts = {"reason": "asked", "scope": "item", "forgotten_at": "2027-01-01T00:00:00+00:00"}
    stones = Tombstones(secret, [Tombstone(kind="item", key=key, **facts)])
    target = tmp_path / manifest.version
    assert recut(folder, manifest, stones, target, day="2027-03-01") == 1
    assert rows_of(target).keys() == {f"item-{number:04d}" for number in (0, 2, 3, 4, 5)}
    again = read_manifest(target)
    assert again.signals.keys() == {"motion"}
    assert again.signals != manifest.signals
    assert read_content_hash(target, again) == again.content_sha256


def test_no_release_names_a_forgotten_file_as_another_of_a_session(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6, session="S1", session_offset_s=0.0, file="raw/film.mp4")
    manifest, folder = release(made)
    named = parquet.read_table(next(folder.glob("data/*.parquet")), columns=["item_id", "source_id", "other_files"])
    others = {row["item_id"]: {file["source_id"] for file in row["other_files"]} for row in named.to_pylist()}
    assert others["item-0000"] == {"source-0001", "source-0002"}
    secret = made.corpus.workspace.secret
    key = Tombstones(secret).key("source", "source-0001")
    facts = {"reason": "asked", "scope": "source", "forgotten_at": "2027-01-01T00:00:00+00:00"}
    stones = Tombstones(secret, [Tombstone(kind="source", key=key, **facts)])
    assert held_in_release(folder, manifest, stones).items == 6
    target = tmp_path / manifest.version
    assert recut(folder, manifest, stones, target, day="2027-03-01") == 2
    again = read_manifest(target)
    assert held_in_release(target, again, stones).items == 0
    rows = parquet.read_table(next(target.glob("data/*.parquet")), columns=["source_id", "other_files"]).to_pylist()
    assert {row["source_id"]: [file["source_id"] for file in row["other_files"]] for row in rows} == {
        "source-0000": ["source-0002"],
        "source-0002": ["source-0000"],
    }
