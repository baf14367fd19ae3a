"""What a release holds, and that it is the same every time."""

import hashlib
import json
import shutil

import duckdb
import polars
import pyarrow as pa
import pytest
import yaml

from curate.corpus import view
from curate.errors import InvalidInput, StorageFailed, WorkspaceUnusable
from curate.labels import compile_features
from curate.release import columns
from curate.release.features import arrow_schema, card_features
from curate.release.manifest import check_files, read_manifest
from curate.release.versions import Releases
from curate.stages.export import Export
from curate.storage import spool
from curate.storage.workspace import Workspace
from tests.support.release_builders import EMOTIONS, make_corpus, make_flac, make_jpeg, make_labels

HALVES = {"train": 0.5, "test": 0.5}


def make_release(made, **settings):
    receipt = Export(stage="export", **settings).perform(*made)
    releases = Releases(made.corpus.workspace.releases)
    manifests = releases.manifests()
    return receipt, releases.fetch(manifests[-1]) if manifests else None


def hashes(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_rows(folder):
    tables = [pa.parquet.read_table(path) for path in sorted(folder.glob("data/*.parquet"))]
    return {row["item_id"]: row for row in pa.concat_tables(tables).to_pylist()}


def test_a_release_that_is_joined_on_disk_is_the_same_to_the_byte(tmp_path, monkeypatch):
    settings = {"split": HALVES, "hidden": "test", "raters": True}
    _, in_memory = make_release(make_corpus(tmp_path / "one", sources=6), **settings)
    for module in (columns, spool, view):
        monkeypatch.setattr(module, "LARGE_ROWS", 0)
    made = make_corpus(tmp_path / "two", sources=6)
    made.corpus.workspace.secret = Workspace(tmp_path / "one").secret
    _, on_disk = make_release(made, **settings)
    assert hashes(on_disk) == hashes(in_memory)


def test_a_row_holds_label_judgements_prelabel_and_media(tmp_path):
    made = make_corpus(tmp_path / "ws")
    _, folder = make_release(made)
    rows = read_rows(folder)
    names = make_labels().fields["emotion"].labels
    row = rows["item-0002"]
    assert row["emotion"] == [names.index(EMOTIONS[2])]
    assert row["emotion_soft"][names.index(EMOTIONS[2])] == 1.0
    assert row["emotion_soft"][names.index("surprise")] == 0.5
    assert sum(row["emotion_soft"]) == 1.5
    assert row["audio"]["bytes"] == make_flac(2)
    assert row["face"]["bytes"] == make_jpeg(2)
    assert (row["title"], row["licence"], row["collection"]) == ("Film 2", "CC-BY-4.0", "films")
    assert row["prelabel"]["prelabel_id"] == "pre-2"
    assert row["reviewed"] is True
    # Ada's second answer counts, Ben's only one, Cleo took hers back.
    assert [each["description"] for each in row["judgements"]] == ["answer 1 of rater 0", "answer 0 of rater 1"]
    assert rows["item-0003"]["label_source"] == "model"
    assert rows["item-0003"]["reviewed"] is False
    assert rows["item-0003"]["face"] is None
    assert rows["item-0005"]["emotion"] is None
    assert rows["item-0005"]["label_source"] is None


def test_names_of_annotators_never_leave(tmp_path):
    made = make_corpus(tmp_path / "ws")
    _, folder = make_release(made)
    raters = {each["annotator"] for row in read_rows(folder).values() for each in row["judgements"]}
    assert len(raters) == 2
    assert all(len(rater) == 14 and rater.startswith("rater-") for rater in raters)
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    table = b"".join(str(row).encode() for row in read_rows(folder).values())
    assert not [name for name in (b"ada@", b"example.org", b"ben.k", b"cleo") if name in everything + table]


def test_the_same_content_is_not_released_twice_and_new_content_is(tmp_path):
    made = make_corpus(tmp_path / "ws")
    first, folder = make_release(made)
    assert first.changed
    before = hashes(folder)
    for forget in (False, True):
        if forget:  # without the note of last time, every row is looked at, and the answer is the same
            (tmp_path / "ws" / ".release-memo.json").unlink()
        again, _ = make_release(made)
        assert not again.changed
        assert again.message == "release 1.0.0 holds all of this already"
    make_corpus(tmp_path / "ws", first=5)
    third, newer = make_release(made)
    assert third.changed
    assert newer.name == "1.1.0"
    assert hashes(folder) == before


def test_with_nothing_new_no_row_is_looked_at(tmp_path, monkeypatch):
    made = make_corpus(tmp_path / "ws")
    make_release(made, split=HALVES)
    monkeypatch.setattr("curate.stages.export.plan_release", None)
    assert not make_release(made, split=HALVES)[0].changed
    for changed in ({"split": {"train": 0.6, "test": 0.4}}, {"split": HALVES, "reviewed_only": True}):
        with pytest.raises(TypeError):
            make_release(made, **changed)
    rows = [
        {**row, "action": "deleted", "annotation_id": "later"} for row in made.corpus.read("annotations").to_pylist()
    ]
    made.corpus.append("annotations", rows[:1], metadata={})
    with pytest.raises(TypeError):
        make_release(made, split=HALVES)


def test_two_builds_are_the_same_to_the_byte(tmp_path):
    made = make_corpus(tmp_path / "one" / "ws", items=30)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copy = make_corpus(tmp_path / "two" / "ws", items=0, sources=0)
    _, one = make_release(made, split=HALVES)
    _, two = make_release(copy, split=HALVES)
    assert hashes(one) == hashes(two)
    assert len(hashes(one)) == 11


def test_every_column_is_recognised_by_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    made = make_corpus(tmp_path / "ws", items=20)
    _, folder = make_release(made, split=HALVES)
    wanted = compile_features(make_labels())
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    features = loaded["train"].features
    assert features == datasets.Features.from_dict(wanted)
    assert features["audio"] == datasets.Audio(sampling_rate=16000)
    assert features["face"] == datasets.Image()
    assert features["emotion"] == datasets.List(datasets.ClassLabel(names=list(make_labels().fields["emotion"].labels)))
    assert features.arrow_schema.remove_metadata() == arrow_schema(wanted).remove_metadata()
    assert features._to_yaml_list() == card_features(wanted)
    quiet = loaded["train"].cast_column("audio", datasets.Audio(decode=False))
    assert quiet[0]["audio"]["bytes"].startswith(b"fLaC")
    pictures = [row["face"] for row in quiet if row["face"] is not None]
    assert pictures[0].size == (24, 24)
    # The files alone say the same as the card.
    (folder / "README.md").unlink()
    bare = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache2"))
    assert bare["train"].features == features


def test_polars_and_duckdb_read_it(tmp_path):
    made = make_corpus(tmp_path / "ws", items=10)
    _, folder = make_release(made)
    frame = polars.read_parquet(folder / "data" / "*.parquet")
    assert frame.height == 10
    assert frame["face"].struct.field("bytes").drop_nulls().len() == 5
    query = f"SELECT label_source, count(*) FROM '{folder}/data/*.parquet' GROUP BY 1 ORDER BY 1 NULLS LAST"
    assert duckdb.sql(query).fetchall() == [("human", 5), ("model", 4), (None, 1)]


def test_splits_hold_still_when_data_is_added(tmp_path):
    made = make_corpus(tmp_path / "ws", items=30, sources=10)
    make_release(made, split=HALVES)
    releases = Releases(made.corpus.workspace.releases)
    old = releases.splits(releases.manifests()[0])
    make_corpus(tmp_path / "ws", items=30, sources=10, first=20)
    make_release(made, split=HALVES)
    new = releases.splits(releases.manifests()[1])
    assert len(new) == 60
    assert {item: new[item] for item in old} == old


def test_only_reviewed_items_leave_when_asked(tmp_path):
    made = make_corpus(tmp_path / "ws", items=10)
    receipt, folder = make_release(made, reviewed_only=True)
    assert receipt.counts["items"] == 5
    assert all(row["reviewed"] for row in read_rows(folder).values())
    assert "Every label was given by people." in (folder / "README.md").read_text()


def test_an_empty_corpus_makes_no_release(tmp_path):
    receipt, folder = make_release(make_corpus(tmp_path / "ws", items=0, sources=0))
    assert not receipt.changed
    assert folder is None
    assert "nothing to release" in receipt.message


def test_text_only_corpora_keep_the_media_columns(tmp_path):
    datasets = pytest.importorskip("datasets")
    _, folder = make_release(make_corpus(tmp_path / "ws", media=False))
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.features["audio"] == datasets.Audio(sampling_rate=16000)
    assert loaded[0]["audio"] is None


def test_shards_are_cut_by_size_and_keep_order(tmp_path, monkeypatch):
    made = make_corpus(tmp_path / "ws", items=40)
    monkeypatch.setattr("curate.stages.export.MEGABYTE", 20_000)
    _, folder = make_release(made, max_shard_mb=1)
    shards = sorted(path.name for path in (folder / "data").iterdir())
    assert len(shards) > 2
    assert shards[-1] == f"train-{len(shards) - 1:05d}-of-{len(shards):05d}.parquet"
    paths = [folder / "data" / name for name in shards]
    assert all(path.stat().st_size - pa.parquet.read_metadata(path).serialized_size < 30_000 for path in paths)
    ids = [polars.read_parquet(folder / "data" / name)["item_id"].to_list() for name in shards]
    assert all(part == sorted(part) for part in ids)
    assert len({item for part in ids for item in part}) == 40


def test_media_stay_out_of_the_footer_and_uncompressed(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "ws", items=40))
    metadata = pa.parquet.read_metadata(next((folder / "data").iterdir()))
    group = metadata.row_group(0)
    columns = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
    assert columns["face.bytes"].compression == "UNCOMPRESSED"
    assert not columns["face.bytes"].is_stats_set
    assert not columns["face.bytes"].has_dictionary_page
    assert columns["text"].compression == "ZSTD"
    assert columns["judgements.list.element.annotator"].is_stats_set


def test_a_killed_build_is_no_release_and_is_cleared_away(tmp_path):
    made = make_corpus(tmp_path / "ws")
    releases = made.corpus.workspace.releases.path
    (releases / ".building" / "data").mkdir(parents=True)
    (releases / ".building" / "data" / "train-00000-of-00001.parquet").write_bytes(b"half")
    assert Releases(made.corpus.workspace.releases).manifests() == []
    _, folder = make_release(made)
    assert sorted(path.name for path in releases.iterdir()) == ["1.0.0"]
    check_files(folder, read_manifest(folder))


def test_a_version_with_other_content_is_never_overwritten(tmp_path):
    made = make_corpus(tmp_path / "ws")
    _, folder = make_release(made, release="3.0.0")
    before = hashes(folder)
    assert not make_release(made, release="3.0.0")[0].changed
    make_corpus(tmp_path / "ws", first=5)
    with pytest.raises(InvalidInput, match=r"3\.0\.0 exists already"):
        make_release(made, release="3.0.0")
    assert hashes(folder) == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["3.0.0"]


def test_damage_is_found(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "ws"))
    manifest = read_manifest(folder)
    shard = next((folder / "data").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(WorkspaceUnusable, match="was changed"):
        check_files(folder, manifest)
    (folder / "manifest.json").write_text('{"files": [{"path": "../../secret"}]}')
    with pytest.raises(WorkspaceUnusable, match="no readable"):
        read_manifest(folder)


def test_lost_media_are_named(tmp_path):
    made = make_corpus(tmp_path / "ws")
    name = made.corpus.read("items")["audio"].to_pylist()[0]
    made.tools.blobs.path(name).unlink()
    with pytest.raises(StorageFailed, match=name[:10]):
        make_release(made)


def test_spoilt_media_are_never_released(tmp_path):
    made = make_corpus(tmp_path / "ws")
    item = made.corpus.read("items").to_pylist()[0]
    path = made.tools.blobs.path(item["audio"])
    secret = tmp_path / "secret"
    secret.write_bytes(b"of this machine")
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(StorageFailed, match=f"item {item['item_id']} cannot be released: blob {item['audio']}") as told:
        make_release(made)
    assert "restore it" in told.value.hint
    path.unlink()
    path.write_bytes(b"cut")
    with pytest.raises(StorageFailed, match=f"item {item['item_id']} cannot be released: blob {item['audio']}"):
        make_release(made)
    assert Releases(made.corpus.workspace.releases).manifests() == []


def test_a_damaged_release_is_never_there_already(tmp_path):
    made = make_corpus(tmp_path / "ws")
    _, folder = make_release(made)
    for path in [*(folder / "data").iterdir(), folder / "README.md"]:
        whole = path.read_bytes()
        for damage in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-1], None):
            path.unlink() if damage is None else path.write_bytes(damage)
            with pytest.raises(WorkspaceUnusable, match=path.name):
                make_release(made)
            path.write_bytes(whole)
    assert not make_release(made)[0].changed


def test_a_manifest_that_names_another_folder_writes_nowhere(tmp_path):
    made = make_corpus(tmp_path / "ws")
    _, folder = make_release(made)
    manifest = json.loads((folder / "manifest.json").read_text())
    for version in (str(tmp_path / "elsewhere"), "7.0.0"):
        (folder / "manifest.json").write_text(json.dumps(manifest | {"version": version}))
        with pytest.raises(WorkspaceUnusable):
            make_release(made)
    assert not (tmp_path / "elsewhere").exists()


def test_the_card_shows_hostile_text_and_obeys_none_of_it(tmp_path):
    evil = "x\n---\n# Owned\n| a | <script>alert(1)</script> [click](http://evil) ${header} ![p](http://evil/p.png)"
    made = make_corpus(tmp_path / "ws", title=evil, collection=evil, licence=f"CC-BY-4.0{evil}", speaker=evil)
    _, folder = make_release(made)
    card = (folder / "README.md").read_text()
    _, header, body = card.split("---\n", 2)
    assert yaml.safe_load(header)["license"] == "other"
    assert "\n# Owned" not in body
    assert "<script" not in body
    assert "](http" not in body
    row = next(line for line in body.splitlines() if "alert" in line)
    assert row.replace("\\|", "").count("|") == 5


def test_licences_are_those_the_hub_knows(tmp_path):
    made = make_corpus(tmp_path / "ws", licence="CC-BY-SA-4.0")
    make_corpus(tmp_path / "ws", licence=None, first=5)
    _, folder = make_release(made)
    header = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert header["license"] == ["cc-by-sa-4.0", "unknown"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("---\n$header\n---\n$colour", "placeholder"),
        ("# No header", "YAML block"),
        ("---\n$header\nlanguage: [en\n---\n", "not valid"),
        ("---\n$header\n---\n\udcff", "UTF-8"),
    ],
)
def test_a_template_that_cannot_be_filled_is_told(tmp_path, template, words):
    made = make_corpus(tmp_path / "ws")
    (tmp_path / "data_cards").mkdir()
    (tmp_path / "data_cards" / "mine.md").write_text(template, errors="surrogateescape")
    with pytest.raises(InvalidInput, match=words):
        make_release(made, card="mine")
    assert not list(made.corpus.workspace.releases.path.glob("*"))


def test_a_layout_that_is_no_text_is_told(tmp_path):
    made = make_corpus(tmp_path / "ws")
    (tmp_path / "annotation_ui_configs").mkdir()
    (tmp_path / "annotation_ui_configs" / "utterance_video.xml").write_bytes(b"<View>\xff</View>")
    with pytest.raises(InvalidInput, match=r"utterance_video\.xml is not UTF-8 text \(byte 6\)"):
        make_release(made)


def test_a_field_may_not_be_named_like_a_column(tmp_path):
    labels = make_labels()
    field = labels.fields["description"].model_copy(update={"name": "title"})
    clash = labels.model_copy(update={"fields": {**labels.fields, "title": field}})
    with pytest.raises(InvalidInput, match="'title'"):
        compile_features(clash)


def test_the_names_kept_free_of_labels_are_those_of_a_release():
    from curate.labels import load_labels
    from curate.labels.columns import reserved_names

    labels = load_labels("utterance_emotion.v1")
    features = compile_features(labels)
    inner = {*features["judgements"]["feature"], *features["prelabel"]}
    own = {name for name in {*features, *inner} if name.removesuffix("_soft") not in labels.fields}
    assert own <= set(reserved_names())
