"""What a release can be loaded as: items with and without media, judgements, raters."""

import json
import random

import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from curate.errors import InvalidInput
from curate.hub.lint import lint_release
from curate.pipeline.verify import verify
from curate.release.features import MEDIA, card_features
from curate.release.long import MIN_GROUP, rater_rows
from curate.release.manifest import read_manifest
from tests.release.test_export import hashes, make_release
from tests.support.release_builders import make_corpus

HALVES = {"train": 0.5, "test": 0.5}
TABLE = "rater,gender,age\nada@example.org,f,30\nben@example.org,m,40\ncleo,f,30\n"


def rows_of(folder, name):
    tables = [parquet.read_table(path) for path in sorted(folder.glob(f"{name}/*.parquet"))]
    return pa.concat_tables(tables).to_pylist()


def shards_of(folder):
    return {file.path: file.rows for file in read_manifest(folder).files if file.rows is not None}


def test_each_configuration_loads_by_its_name(tmp_path):
    datasets = pytest.importorskip("datasets")
    made = make_corpus(tmp_path / "ws", items=20, sources=10)
    _, folder = make_release(made, split=HALVES, raters=True)
    loaded = {
        name: datasets.load_dataset(str(folder), name, cache_dir=str(tmp_path / "cache"))
        for name in ("default", "labels", "judgements", "raters")
    }
    assert set(loaded["default"]) == set(loaded["labels"]) == {"train", "test"}
    for split, items in loaded["default"].items():
        labels = loaded["labels"][split]
        assert labels.to_list() == items.remove_columns(list(MEDIA)).to_list()
        assert set(labels.features) == set(items.features) - set(MEDIA)
    assert datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache")).features["audio"]
    assert loaded["raters"]["train"].to_list() == [
        {"rater": rater, "judgements": 10, "items": 10} for rater in loaded["raters"]["train"]["rater"]
    ]
    streamed = datasets.load_dataset(str(folder), "judgements", split="test", streaming=True)
    assert next(iter(streamed))["field"] == "emotion"
    assert lint_release(folder, shards_of(folder), card_features) == []
    assert verify(folder).damages == []


def test_a_judgement_is_a_row_for_each_answer(tmp_path):
    made = make_corpus(tmp_path / "ws", items=5, lead_time_s=2.5)
    _, folder = make_release(made)
    rows = rows_of(folder, "judgements")
    ada, ben = sorted(
        {row["rater"] for row in rows if row["item_id"] == "item-0000"}, key=lambda name: _first(rows, name)
    )
    mine = [row for row in rows if (row["item_id"], row["rater"]) == ("item-0000", ada)]
    answers = {row["field"]: (row["value"], row["number"], row["origin"]) for row in mine}
    assert answers["emotion"] == ('["happiness"]', None, "manual")
    assert answers["intensity"] == ("3.0", 3.0, None)
    assert answers["description"] == ("answer 1 of rater 0", None, None)
    assert {row["position"] for row in mine} == {1}
    assert {row["position"] for row in rows if row["item_id"] == "item-0002"} == {2}
    assert {(row["seconds"], row["label_schema"], row["skipped"]) for row in rows} == {
        (2.5, "utterance_emotion.v1", False)
    }
    nested = {judgement["judgement_id"] for row in rows_of(folder, "data") for judgement in row["judgements"]}
    assert nested == {row["judgement_id"] for row in rows}
    assert ben != ada


def _first(rows, rater):
    return next(row["judgement_id"] for row in rows if row["rater"] == rater)


def test_a_judgement_without_an_answer_keeps_its_reason(tmp_path):
    made = make_corpus(tmp_path / "ws", items=2, arm="voice")
    row = {
        "annotation_id": "x",
        "judgement_id": "x",
        "item_id": "item-0001",
        "annotator": "dan",
        "action": "cannot_judge",
    }
    made.corpus.append("annotations", [row | {"cannot_judge": "media_broken"}], metadata={})
    _, folder = make_release(made)
    (unjudged,) = [row for row in rows_of(folder, "judgements") if row["item_id"] == "item-0001"]
    assert (unjudged["field"], unjudged["value"], unjudged["cannot_judge"]) == (None, None, "media_broken")
    assert unjudged["position"] is None, "no time is known"
    assert {row["arm"] for row in rows_of(folder, "judgements")} == {"voice", None}


def test_hidden_splits_have_no_judgements_anywhere(tmp_path):
    made = make_corpus(tmp_path / "ws", items=20, sources=10)
    _, folder = make_release(made, split=HALVES, hidden="test")
    paths = sorted(shards_of(folder))
    assert [path.split("-")[0] for path in paths] == [
        "data/test",
        "data/train",
        "judgements/train",
        "labels/test",
        "labels/train",
    ]
    assert not any(
        row["emotion"] for row in parquet.read_table(folder / "labels/test-00000-of-00001.parquet").to_pylist()
    )


def test_without_media_labels_are_not_stored_twice(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "ws", media=False), split=HALVES)
    assert not (folder / "labels").exists()
    header = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert {config["config_name"] for config in header["configs"]} == {"default", "labels", "judgements"}
    assert lint_release(folder, shards_of(folder), card_features) == []


def test_raters_are_shown_only_on_request_and_where_five_say_the_same(tmp_path):
    made = make_corpus(tmp_path / "ws")
    _, folder = make_release(made)
    assert not (folder / "raters").exists()
    assert b"gender" not in b"".join(path.read_bytes() for path in folder.rglob("*.parquet"))
    (tmp_path / "raters.csv").write_text(TABLE)
    _, folder = make_release(made, raters="raters.csv")
    assert folder.name == "1.0.1", "the table is part of the content"
    assert [row["gender"] for row in rows_of(folder, "raters")] == [None, None]
    many = [f"r{number}" for number in range(MIN_GROUP + 2)]
    said = {name: {"gender": "f" if number < MIN_GROUP else "m", "age": "30"} for number, name in enumerate(many)}
    shown = rater_rows(pa.array(["i"] * len(many)), pa.array(many), said).to_pylist()
    assert [row["gender"] for row in shown] == ["f"] * MIN_GROUP + [None, None]
    assert [row["age"] for row in shown] == ["30"] * MIN_GROUP + [None, None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name,age\na,1\n",
        "rater,rater\na,b\n",
        "rater,items\na,1\n",
        "rater,age\na\n",
        "rater,age\na,1\na,2\n",
        "rater,age\ra,1\ra,2\r",
        f"rater,age\na,{'1' * 140_000}\n",
        "\udcff",
    ],
)
def test_a_table_of_raters_that_is_none_is_refused(tmp_path, text):
    made = make_corpus(tmp_path / "ws")
    (tmp_path / "raters.csv").write_text(text, errors="surrogateescape")
    with pytest.raises(InvalidInput, match=r"raters\.csv"):
        make_release(made, raters="raters.csv")


def test_the_items_of_a_source_are_in_one_file_and_growth_leaves_others_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("curate.stages.export.MEGABYTE", 60_000)
    made = make_corpus(tmp_path / "ws", items=40, sources=8)
    _, before = make_release(made, max_shard_mb=1)
    files = {
        path.name: parquet.read_table(path, columns=["source_id"])["source_id"] for path in (before / "data").iterdir()
    }
    assert len(files) > 2
    assert sum(len(set(sources.to_pylist())) for sources in files.values()) == 8
    made.corpus.update_column("items", "text", {"item-0003": "Corrected."})
    _, after = make_release(made, max_shard_mb=1)
    old, new = hashes(before / "data"), hashes(after / "data")
    assert sum(old[name] != new[name] for name in old) == 1


def test_any_partition_of_the_work_gives_equal_bytes(tmp_path):
    released = []
    for seed in range(3):
        made = make_corpus(tmp_path / str(seed) / "ws", items=24, sources=8)
        secret = made.corpus.workspace
        secret.secret = b"the same"
        for name in ("sources", "items", "prelabels", "labels", "annotations"):
            table = made.corpus.table(name)
            rows = table.read().to_pylist()
            random.Random(seed).shuffle(rows)
            table.replace_all(pa.Table.from_pylist(rows[:1], schema=table.spec.schema), metadata={})
            size = seed * 5 + 3
            for start in range(1, len(rows), size):
                table.commit(rows[start : start + size], metadata={})
        splits = {"default": HALVES, "cv": {"folds": 3}, "even": {**HALVES, "stratify_by": "emotion"}}
        released.append(hashes(make_release(made, splits=splits, raters=True)[1]))
    assert released[0] == released[1] == released[2]


def test_the_manifest_lists_every_file(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "ws"), raters=True)
    listed = {file["path"] for file in json.loads((folder / "manifest.json").read_text())["files"]}
    assert listed == {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
    (folder / "judgements" / "more.parquet").write_bytes(b"x")
    assert "judgements/more.parquet is not part of the release" in verify(folder).damages[0].problem
