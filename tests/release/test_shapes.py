"""A release in other shapes: read back by the tools that they are for, whole or not at all."""

import csv
import json
import shutil
import tarfile

import datasets
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet
from typer.testing import CliRunner

from curate.cli.app import app
from curate.cli.commands.convert import ShapeName
from curate.errors import CurateError, InvalidInput, StorageFailed
from curate.files import sha256_of_file
from curate.labels import load_labels
from curate.labels.markup import MEDIA_VARIABLES
from curate.release.manifest import read_manifest
from curate.release.shapes import convert
from curate.release.shapes.convert import SHAPES, convert_release
from curate.release.shapes.released import ReleasedRows
from curate.release.shapes.webdataset import write_webdataset
from curate.storage.workspace import Workspace
from tests.annotation.screen_items import STATEMENT, TEXT, make_record
from tests.release.test_export import make_release, read_rows
from tests.release.test_whole_rows import open_corpus
from tests.support.release_builders import EMOTIONS, make_corpus, make_flac, make_jpeg, make_labels

ITEMS = 12
PAIRS = {"better": -2, "worse": 3, "tie": 0, "unlabelled": None}
MADE_SHAPES = [name for name in SHAPES if name != "preference"]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    made = make_corpus(tmp_path_factory.mktemp("shapes") / "ws", items=ITEMS, sources=6)
    return make_release(made, split={"train": 0.5, "test": 0.5})[1]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    labels = load_labels("text_preference.v1")
    items = [
        {
            "item_id": name,
            "source_id": "s",
            "unit": "pair",
            "layout": "text",
            "text": f"{name} a",
            "text_b": f"{name} b",
        }
        | {"dialogue": [{"turn": 0, "speaker": "Ann", "text": "I lost it."}] if name == "worse" else None}
        for name in PAIRS
    ]
    items.append({"item_id": "alone", "source_id": "s", "unit": "pair", "layout": "text", "text": "only a"})
    labels_of = [
        {"item_id": name, "label_source": "human", "raters": 1, "empathetic": {"grade": grade, "reason": "It is warm."}}
        for name, grade in PAIRS.items()
        if grade is not None
    ]
    root = tmp_path_factory.mktemp("pairs") / "ws"
    return make_release(open_corpus(root, labels, [{"source_id": "s", "kind": "text"}], items, labels_of=labels_of))[1]


def converted(release, tmp_path, shape, **options):
    labels = load_labels(read_manifest(release).label_schema)
    return convert_release(release, shape, tmp_path / shape, labels=labels, **options)


def lines_of(folder):
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.open(encoding="utf-8")]


def load(folder, cache):
    return datasets.load_dataset(str(folder), cache_dir=str(cache))


@pytest.mark.parametrize(
    "name",
    [
        *("au_image", "au_video", "clip_preference", "emotion_causes", "emotion_statement", "image_emotion"),
        *("listener_valence", "open_emotion"),
    ],
)
def test_every_field_type_has_its_place(tmp_path, name):
    labels = load_labels(f"{name}.v1")
    values = make_record(labels)
    blobs = Workspace(tmp_path / "ws").blobs
    media = {medium: blobs.put(make_jpeg(7) + medium.encode(), "jpg") for medium in MEDIA_VARIABLES}
    (unit, *_) = sorted(labels.units)
    item = {"item_id": "one", "source_id": "s", "unit": unit, "layout": "image", "text": TEXT, "statement": STATEMENT}
    label = {"item_id": "one", "label_source": "human", "raters": 1, **values}
    made = open_corpus(tmp_path / "ws", labels, [{"source_id": "s", "kind": "text"}], [item | media], labels_of=[label])
    folder = make_release(made)[1]
    told = {}
    for shape in SHAPES:
        try:
            told[shape] = converted(folder, tmp_path, shape)
        except InvalidInput as error:
            told[shape] = error.message
    assert {shape for shape, result in told.items() if isinstance(result, str)} <= {
        "preference",
        "fiftyone",
        "audformat",
    }
    answers = {line["field"] for line in lines_of(told["chat"].folder)}
    assert answers == {field for field, value in values.items() if value is not None}
    (row,) = csv.DictReader((told["csv"].folder / "train.csv").open(encoding="utf-8", newline=""))
    assert all(row[field] for field in answers)
    said = json.loads(tarfile.TarFile(told["webdataset"].folder / "train-00000.tar").extractfile("one.json").read())
    assert {field for field in values if said[field] is not None} == answers


@pytest.mark.parametrize("shape", MADE_SHAPES)
def test_every_item_is_written_or_counted_as_left_out(release, tmp_path, shape):
    result = converted(release, tmp_path, shape)
    left_out = sum(number for reason, number in result.left_out.items() if reason.startswith("items"))
    assert result.counts["items"] + left_out == ITEMS
    readme = (result.folder / "README.md").read_text()
    assert f"licence of {ITEMS} items: CC-BY-4.0" in readme
    for reason, number in result.left_out.items():
        assert f"left out: {number} {reason}" in readme
    again = convert_release(release, shape, tmp_path / "again", labels=make_labels())
    files = sorted(path.relative_to(result.folder) for path in result.folder.rglob("*") if path.is_file())
    assert files
    assert all((result.folder / path).read_bytes() == (again.folder / path).read_bytes() for path in files)


def test_webdataset_is_read_by_its_library(release, tmp_path):
    import webdataset

    folder = converted(release, tmp_path, "webdataset").folder
    rows, samples = read_rows(release), {}
    for path in sorted(folder.glob("*.tar")):
        for sample in webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False):
            samples[sample["__key__"]] = sample
    assert set(samples) == set(rows)
    sample = samples["item-0002"]
    assert (sample["audio.flac"], sample["face.jpg"]) == (make_flac(2), make_jpeg(2))
    said = json.loads(sample["json"])
    assert (said["emotion"], said["text"], len(said["judgements"])) == ([EMOTIONS[2]], "Sentence 2, ünïcode", 2)
    assert said["judgements"][0]["acted_at"].startswith("2027-01-01T")
    assert "face.jpg" not in samples["item-0003"]
    assert "configs" not in (folder / "README.md").read_text(), "`datasets` refuses items of different media"


def test_archives_end_between_items(release, tmp_path):
    rows = ReleasedRows(release, read_manifest(release))
    written = write_webdataset(rows, tmp_path, max_bytes=12_000)
    assert written.counts["archives"] == len(list(tmp_path.glob("*.tar"))) > 4
    keys = [{name.partition(".")[0] for name in tarfile.TarFile(path).getnames()} for path in tmp_path.glob("*.tar")]
    assert sum(map(len, keys)) == len(set().union(*keys)) == ITEMS


def test_chats_have_messages_and_media(release, tmp_path):
    result = converted(release, tmp_path, "chat")
    lines = [line for line in lines_of(result.folder) if line["item_id"] == "item-0002"]
    by_task = {(line["field"], line["task"]): line for line in lines}
    assert set(by_task) == {(f, t) for f in ("emotion", "intensity", "valence") for t in ("qa", "reasoning")} | {
        ("description", "description")
    }
    question, answer = by_task["emotion", "qa"]["messages"]
    assert question["content"].startswith(
        "Sentence 2, ünïcode\n\nWhich emotions are shown? Answer with one or more of: "
    )
    assert (question["role"], answer) == ("user", {"role": "assistant", "content": EMOTIONS[2]})
    assert by_task["intensity", "reasoning"]["messages"][1]["content"] == "guessed\n\n3"
    for line in lines:
        assert [(result.folder / path).read_bytes() for path in line["images"]] == [make_jpeg(2)]
        assert [(result.folder / path).read_bytes() for path in line["audios"]] == [make_flac(2)]
    loaded = load(result.folder, tmp_path / "cache")
    assert {name: len(rows) for name, rows in loaded.items()} == {
        path.stem: len(path.read_text().splitlines()) for path in result.folder.glob("*.jsonl")
    }


def test_preferences_are_chosen_and_rejected(pairs, tmp_path):
    result = converted(pairs, tmp_path, "preference")
    assert result.left_out == {"ties": 1, "pairs without a label": 1, "items without two texts": 1}
    lines = {line["item_id"]: line for line in lines_of(result.folder)}
    sides = {name: (line["chosen"], line["rejected"], line["margin"]) for name, line in lines.items()}

    def said(text):
        return [{"role": "assistant", "content": text}]

    assert sides == {
        "better": (said("better a"), said("better b"), 2),
        "worse": (said("worse b"), said("worse a"), 3),
    }
    assert lines["worse"]["prompt"] == [{"role": "user", "content": "Ann: I lost it."}]
    assert lines["better"]["prompt"][0]["content"] == "Which reply responds better to the feelings of the other?"
    assert load(result.folder, tmp_path / "cache")["train"].column_names[:3] == ["prompt", "chosen", "rejected"]
    chats = {line["item_id"]: line for line in lines_of(converted(pairs, tmp_path, "chat").folder)}
    assert "A: better a\n\nB: better b" in chats["better"]["messages"][0]["content"]
    assert chats["worse"]["messages"][1]["content"] == "B much better: It is warm."


def test_csv_has_labels_by_name_and_says_its_types(release, tmp_path):
    result = converted(release, tmp_path, "csv")
    rows = {
        row["item_id"]: row
        for path in result.folder.glob("*.csv")
        for row in csv.DictReader(path.open(encoding="utf-8", newline=""))
    }
    row = rows["item-0002"]
    assert json.loads(row["emotion"]) == [EMOTIONS[2]]
    assert json.loads(row["emotion_soft"])["surprise"] == 0.5
    assert (row["valence"], row["speaker"], row["turn"]) == ("0.25", "speaker of source-0002", "")
    assert not {"audio", "face", "judgements", "prelabel"} & set(row)
    readme = (result.folder / "README.md").read_text()
    assert "| `valence` | float64 |" in readme
    assert "| `emotion` | JSON list, of anger, " in readme
    assert result.left_out == {"media": 30, "judgements of single people": 12, "proposals of models": 12}
    assert sum(len(part) for part in load(result.folder, tmp_path / "cache").values()) == ITEMS


def test_audformat_is_read_by_its_library(release, tmp_path):
    import audformat

    result = converted(release, tmp_path, "audformat")
    database = audformat.Database.load(str(result.folder))
    rows = read_rows(release)
    seen = 0
    for split in database.tables:
        frame = database[split].get()
        for path, cells in frame.iterrows():
            row = rows[cells["item_id"]]
            assert (result.folder / path).read_bytes() == row["audio"]["bytes"]
            assert cells["valence"] == row["valence"] or row["valence"] is None
            if row["emotion"] is not None:
                names = make_labels().fields["emotion"].labels
                assert [bool(cells[f"emotion.{name}"]) for name in names] == [
                    number in row["emotion"] for number in range(len(names))
                ]
                assert cells["emotion.share.surprise"] == 0.5
            seen += 1
    assert seen == ITEMS
    assert database.schemes["valence"].minimum == -1
    assert {name: split.type for name, split in database.splits.items()} == {"train": "train", "test": "test"}


def test_fiftyone_has_a_file_of_labels_for_each_field(release, tmp_path):
    result = converted(release, tmp_path, "fiftyone")
    labels = {}
    for path in result.folder.glob("*/labels/emotion.json"):
        document = json.loads(path.read_text())
        assert tuple(document["classes"]) == make_labels().fields["emotion"].labels
        for key, target in document["labels"].items():
            assert len(list((path.parents[1] / "data").glob(f"{key}.*"))) == 1
            labels[key] = target
    assert labels["item-0002"][0]["label"] == EMOTIONS[2]
    assert labels["item-0002"][0]["attributes"]["valence"] == 0.25
    assert result.left_out["items without a picture"] == ITEMS - len(labels) == 6


def test_only_reviewed_items(release, tmp_path):
    result = converted(release, tmp_path, "csv", reviewed_only=True)
    assert (result.counts["items"], result.left_out["items that nobody has reviewed"]) == (6, 6)


def test_names_of_files_are_safe_and_different(release):
    rows = ReleasedRows(release, read_manifest(release))
    ids = ["../etc", ".._etc", "a.b", "a b", "x" * 200, "x" * 201, "item"]
    keys = [rows.key(item_id) for item_id in ids]
    assert len(set(keys)) == len(ids)
    assert not any(set("./ ") & set(key) for key in keys)
    assert [rows.key(item_id) for item_id in ids] == keys
    assert rows.key("x" * 202) == f"{'x' * 60}_2"


def test_names_of_files_are_found_at_once_among_many_that_begin_alike(release):
    rows = ReleasedRows(release, read_manifest(release))
    lookups = []

    class Taken(set):
        def __contains__(self, key):
            lookups.append(key)
            return super().__contains__(key)

    rows._taken = Taken()
    assert len({rows.key(f"{'x' * 60} {number}") for number in range(100)}) == 100
    assert len(lookups) == 100


def hostile(release, tmp_path, change):
    """A copy of a release whose first shard was changed, and whose manifest agrees with that."""
    folder = shutil.copytree(release, tmp_path / release.name)
    path = min(folder.glob("data/*.parquet"))
    table = parquet.read_table(path)
    changed = change(table)
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    metadata = {"info": {"features": {name: features[name] for name in changed.column_names}}}
    parquet.write_table(changed.replace_schema_metadata({"huggingface": json.dumps(metadata)}), path)
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["path"] == f"data/{path.name}":
            file |= {"size_bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
    manifest["splits"] |= {"../../out": 0}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def set_column(table, name, values):
    index = table.column_names.index(name)
    return table.set_column(index, table.schema.field(name), pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["reviewed"]), "lacks column reviewed"),
        (lambda t: t.drop_columns(["title"]), "lacks column title"),
        (lambda t: set_column(t, "item_id", ["same"] * t.num_rows), "item same is not there once"),
        (lambda t: set_column(t, "item_id", [None] * t.num_rows), "item None is not there once"),
        (lambda t: set_column(t, "emotion", [[-1]] * t.num_rows), "has a value that its column does not allow"),
        (lambda t: set_column(t, "emotion", [[7]] * t.num_rows), "has a value that its column does not allow"),
    ],
)
def test_releases_that_somebody_changed_are_refused(release, tmp_path, change, message):
    folder = hostile(release, tmp_path, change)
    for shape in ("webdataset", "csv", "chat", "audformat", "fiftyone"):
        with pytest.raises(CurateError) as caught:
            convert_release(folder, shape, tmp_path / "deep" / "new", labels=make_labels())
        assert message in caught.value.message
    assert [path.name for path in tmp_path.iterdir() if path.name != "deep"] == [folder.name]
    assert not list((tmp_path / "deep").glob("*"))


@pytest.mark.parametrize("shape", ["webdataset", "csv", "audformat", "fiftyone"])
def test_shares_that_are_not_one_for_each_label_are_refused(release, tmp_path, shape):
    folder = hostile(release, tmp_path, lambda table: set_column(table, "emotion_soft", [[0.5]] * table.num_rows))
    assert "has a value that its column does not allow" in refused(folder, tmp_path / "new", shape)


def test_a_split_cannot_name_a_place_outside(release, tmp_path):
    folder = hostile(release, tmp_path, lambda table: table)
    convert_release(folder, "csv", tmp_path / "deep" / "er" / "new", labels=make_labels())
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, "deep"]
    assert [path.name for path in (tmp_path / "deep").rglob("*.csv") if "out" in path.name] == []


def refused(release, target, shape="csv", **options):
    with pytest.raises(CurateError) as caught:
        convert_release(release, shape, target, **options)
    return caught.value.message


def test_nothing_is_half_written(release, pairs, tmp_path, monkeypatch):
    target = tmp_path / "out"
    assert "no preference" in refused(release, target, "preference", labels=make_labels())
    assert "not at hand" in refused(release, target, "chat")
    assert "not at hand" in refused(release, target, "chat", labels=load_labels("post_reader.v1"))
    assert "no item of the release has sound" in refused(pairs, target, "audformat")
    assert "no field of labels" in refused(pairs, target, "fiftyone")

    def breaks(rows, folder):
        (folder / "part").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(convert.SHAPES, "csv", SHAPES["csv"]._replace(write=breaks))
    with pytest.raises(StorageFailed, match="No space left"):
        convert_release(release, "csv", target)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_and_a_damaged_release_are_refused(release, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    assert "has files already" in refused(release, tmp_path / "full")
    assert "is not a folder" in refused(release, tmp_path / "full" / "mine")
    (tmp_path / "empty").mkdir()
    assert convert_release(release, "csv", tmp_path / "empty").folder == tmp_path / "empty"
    broken = shutil.copytree(release, tmp_path / release.name)
    shard = next(broken.glob("data/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(InvalidInput, match="is damaged"):
        convert_release(broken, "csv", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_command(release, tmp_path):
    workspace = str(release.parent.parent)
    run = CliRunner().invoke
    shown = run(app, ["convert", release.name, "-w", workspace, "--as", "chat", "--to", str(tmp_path / "chat")])
    assert shown.exit_code == 0, shown.output
    assert "left out: items without any label" in shown.output
    from_folder = ["convert", str(release), "-w", str(tmp_path), "--as", "csv", "--to", str(tmp_path / "csv"), "--json"]
    assert json.loads(run(app, from_folder).stdout)["counts"] == {"items": ITEMS}
    header = yaml.safe_load((tmp_path / "csv" / "README.md").read_text().split("---")[1])
    assert {file["split"] for file in header["configs"][0]["data_files"]} == {"train", "test"}
    assert [name.value for name in ShapeName] == list(SHAPES)
