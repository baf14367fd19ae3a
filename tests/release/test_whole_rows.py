"""A released row holds whatever was judged, so that its labels can be understood from the row alone."""

from pathlib import Path

import pytest
import yaml

from curate.annotation.label_studio.tasks import variables_of
from curate.assets import list_assets
from curate.corpus.spec import open_table
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.labels import find_layout, load_labels
from curate.labels.markup import MEDIA_VARIABLES
from curate.release.versions import Releases
from curate.stages.contract import Tools
from curate.stages.export import Export
from curate.storage.workspace import Workspace
from tests.release.test_export import make_release, read_rows
from tests.support.media_builders import make_frames, write_media
from tests.support.release_builders import LIVE, Made, make_corpus, make_jpeg, make_labels

HALVES = {"train": 0.5, "test": 0.5}
SUFFIXES = dict.fromkeys(("video", "video_b"), "mp4") | dict.fromkeys(("audio", "audio_b"), "flac")
TURNS = [
    {"turn": number, "speaker": "Ann", "text": f"Turn {number}", "start_s": None, "end_s": None} for number in (0, 1)
]
TEXTS = {"text": "Good news.", "text_b": "Bad news.", "statement": "The writer is glad.", "speaker": "Ann"}


def open_corpus(root: Path, labels, sources, items, *, prelabels=(), labels_of=()) -> Made:
    workspace = Workspace(root)
    workspace.claim("demo_corpus", root.parent / "demo_corpus.yaml")
    tables = {"sources": sources, "items": items, "prelabels": prelabels, "labels": labels_of}
    for name, rows in tables.items():
        rows = [{**row, "work": f"{name}-work"} for row in rows]
        open_table(workspace, name, labels).commit(rows, metadata={})
    return Made(Corpus(workspace, labels, LIVE), Tools(workspace.blobs, labels, root.parent, 0))


def card_of(folder: Path) -> tuple[dict, str]:
    _, header, body = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(header), body.replace("\\", "")


@pytest.mark.parametrize("name", sorted(list_assets("schemas/labels", suffix=".yaml")))
def test_whatever_the_screen_of_a_shipped_schema_shows_is_in_the_row(tmp_path, name):
    labels = load_labels(name)
    blobs = Workspace(tmp_path / "ws").blobs
    media = {
        medium: blobs.put(make_jpeg(7) + medium.encode(), SUFFIXES.get(medium, "jpg")) for medium in MEDIA_VARIABLES
    }
    items, shown = [], {}
    for unit in labels.units:
        for modality in ("video", "audio", "image", "text"):
            item = {"item_id": f"{unit}-{modality}", "source_id": "s", "unit": unit, "layout": modality, "turn": 1}
            items.append(item | {"start_s": 1.0, "end_s": 2.0, "dialogue": TURNS} | TEXTS | media)
            shown[item["item_id"]] = variables_of(find_layout(labels, unit, modality).read_text("utf-8"))
    made = open_corpus(tmp_path / "ws", labels, [{"source_id": "s", "file": "raw/s.mp4", "kind": "video"}], items)
    rows = read_rows(make_release(made)[1])
    for item_id, variables in shown.items():
        row = rows[item_id]
        assert (row["file"], row["start_s"], row["end_s"], row["turn"]) == ("raw/s.mp4", 1.0, 2.0, 1)
        for variable in variables - {"fps", "span"}:
            expected = TEXTS.get(variable, TURNS if variable == "dialogue" else None)
            if variable in MEDIA_VARIABLES:
                assert row[variable]["bytes"] == make_jpeg(7) + variable.encode(), (item_id, variable)
            else:
                assert row[variable] == expected, (item_id, variable)
        hidden = set(MEDIA_VARIABLES) - variables - {"audio", "face"}
        assert not any(row[medium] for medium in hidden), item_id


def test_media_that_a_recipe_leaves_out_are_named_in_the_card(tmp_path):
    made = make_corpus(tmp_path / "ws")
    _, folder = make_release(made, media=["audio"])
    row = read_rows(folder)["item-0002"]
    assert row["audio"] is not None
    assert row["video"] is None and row["face"] is None  # noqa: PT018 - one statement about the row
    assert "Media left out of this release by its recipe: video, face" in card_of(folder)[1]
    assert "left out" not in card_of(make_release(made)[1])[1]


def test_viewing_copies_are_made_for_a_release_and_those_out_of_reach_are_named(tmp_path):
    labels = make_labels()
    film = write_media(tmp_path / "film.mp4", frames=make_frames(50))
    sources = [{"source_id": name, "file": f"{name}.mp4", "kind": "video"} for name in ("film", "gone")]
    items = [
        {"item_id": f"{source['source_id']}-{start}", "source_id": source["source_id"], "unit": "utterance"}
        | {"layout": "video", "start_s": float(start), "end_s": start + 1.0}
        for source in sources
        for start in (0, 1)
    ]
    made = open_corpus(tmp_path / "ws", labels, sources, items)
    receipt, folder = make_release(made)
    rows = read_rows(folder)
    assert all(rows[f"film-{start}"]["video"]["bytes"][4:8] == b"ftyp" for start in (0, 1))
    assert rows["gone-0"]["video"] is None
    assert "2 items are without video" in receipt.message
    assert "2 of 4 items are without video" in card_of(folder)[1]
    film.rename(tmp_path / "gone.mp4")
    receipt, folder = make_release(made)
    assert all(row["video"] for row in read_rows(folder).values())
    assert "without video" not in receipt.message + card_of(folder)[1]


def test_a_value_outside_the_schema_is_never_released(tmp_path):
    labels = make_labels()
    made = make_corpus(tmp_path / "ws")
    narrow = labels.fields["intensity"].model_copy(update={"maximum": 2.0})
    narrowed = labels.model_copy(update={"fields": {**labels.fields, "intensity": narrow}})
    corpus = Corpus(made.corpus.workspace, narrowed, LIVE)
    with pytest.raises(InvalidInput, match=r"holds 3\.0 for intensity, .* does not allow"):
        Export(stage="export").perform(corpus, made.tools._replace(labels=narrowed))


def test_the_card_says_how_far_splits_are_apart(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "known", items=20, sources=10), split=HALVES)
    assert "No source occurs in more than one split. No speaker occurs in more than one split." in card_of(folder)[1]
    _, folder = make_release(make_corpus(tmp_path / "none", items=20, sources=10, speaker=None), split=HALVES)
    assert "The speaker is known for no item: one speaker may occur in several splits." in card_of(folder)[1]
    made = make_corpus(tmp_path / "some", items=20, sources=10)
    make_corpus(tmp_path / "some", items=4, sources=2, first=20, speaker=None)
    text = card_of(make_release(made, split=HALVES)[1])[1]
    assert "No known speaker occurs in more than one split; for 4 of 24 items the speaker is unknown" in text


def test_items_that_would_join_splits_are_withheld_and_counted(tmp_path):
    made = make_corpus(tmp_path / "ws", items=20, sources=10)
    make_release(made, split=HALVES)
    releases = Releases(made.corpus.workspace.releases)
    placed = releases.splits(releases.manifests()[0])
    train, test = (next(item for item, split in placed.items() if split == name) for name in HALVES)
    rows = {row["item_id"]: row for row in made.corpus.read("items").to_pylist()}
    bridge = {**rows[train], "item_id": "bridge", "speaker": rows[test]["speaker"], "work": "items-work"}
    made.corpus.table("items").commit([bridge], metadata={})
    receipt, folder = make_release(made, split=HALVES, release="9.0.0")
    assert "bridge" not in read_rows(folder)
    assert "1 new item is withheld" in receipt.message
    assert "1 new item is withheld" in card_of(folder)[1]
    assert releases.splits(releases.manifests()[-1]) == placed


def test_items_that_turn_out_to_belong_together_stop_the_release(tmp_path):
    made = make_corpus(tmp_path / "ws", items=20, sources=10)
    make_release(made, split=HALVES)
    ids = made.corpus.read("items")["item_id"].to_pylist()
    made.corpus.update_column("items", "speaker", dict.fromkeys(ids, "Ada"))
    with pytest.raises(InvalidInput, match="items never move between splits") as failure:
        make_release(made, split=HALVES)
    assert failure.value.problems == ("speaker Ada occurs in test and train",)


def test_a_card_states_only_what_is_so(tmp_path):
    header, body = card_of(make_release(make_corpus(tmp_path / "people", language="en"))[1])
    assert "human-annotation" in header["tags"]
    assert header["language"] == ["en"]
    assert {"text-classification", "audio-classification", "video-classification"} == set(header["task_categories"])
    info = header["dataset_info"][0]
    assert info["splits"] == [{"name": "train", "num_bytes": info["dataset_size"], "num_examples": 6}]
    assert info["download_size"] > 0
    assert "| disgust | 0 | 0% |" in body
    assert "2 people took part, by pseudonyms, on 2027-01-01." in body
    assert "Asked for pre-labels: words 1 (6 proposals)." in body
    assert "left as it was" not in body


def test_the_card_of_a_corpus_that_nobody_judged_claims_no_people(tmp_path):
    labels = make_labels()
    posts = [{"item_id": name, "source_id": "s", "unit": "post", "layout": "text", "text": name} for name in "abc"]
    proposals = [{"prelabel_id": f"p{n}", "item_id": n, "labeller": "offline", "final": True} for n in "abc"]
    outcomes = [{"outcome": "ok", "emotion": ["anger"]}, {"outcome": "abstained"}, {"outcome": "abstained"}]
    rows = [{**row, **outcome} for row, outcome in zip(proposals, outcomes, strict=True)]
    label = {"item_id": "a", "label_source": "model", "raters": 0, "emotion": ["anger"], "evidence": ["pa"]}
    made = open_corpus(tmp_path / "ws", labels, [{"source_id": "s"}], posts, prelabels=rows, labels_of=[label])
    header, body = card_of(make_release(made)[1])
    assert "human-annotation" not in header["tags"]
    assert "language" not in header
    assert header["task_categories"] == ["text-classification"]
    assert "Asked for pre-labels: offline (1 proposal, 2 abstained)." in body
    assert "No item has been reviewed by people yet." in body


def test_answers_taken_over_from_the_pre_label_are_counted(tmp_path):
    made = make_corpus(tmp_path / "ws", items=2)
    assert "left as it was" not in card_of(make_release(made)[1])[1]
    origins = [{"field": "emotion", "origin": "prediction"}, {"field": "intensity", "origin": "manual"}]
    make_corpus(tmp_path / "ws", items=2, first=1, origins=origins)
    body = card_of(make_release(made)[1])[1]
    assert "Some answers are the pre-label's, left as it was" in body
    assert "| `emotion` | 4 | 2 | 50% |" in body
    assert "| `intensity` | 2 | 0 | 0% |" in body


def test_releases_of_one_name_are_not_confused_by_the_cache_of_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")

    def load(folder):
        loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
        return {row["item_id"]: row["text"] for row in loaded.select_columns(["item_id", "text"])}

    for number, texts in enumerate((["one", "two"], ["six", "two"], ["one", "two", "ten"])):
        posts = [{"item_id": f"i{n}", "source_id": "s", "unit": "post", "text": text} for n, text in enumerate(texts)]
        made = open_corpus(tmp_path / str(number) / "ws", make_labels(), [{"source_id": "s"}], posts)
        assert list(load(make_release(made)[1]).values()) == texts
