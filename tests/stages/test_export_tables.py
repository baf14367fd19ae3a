"""Exports of annotation tools in a workspace: as judgements of its items, and as the source of items."""

import json
import wave
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from curate.cli.app import app
from curate.corpus.judgements import current_judgements
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.labels import ItemContext, load_taxonomy
from curate.labels.fields.boxes.field import Boxes
from curate.labels.fields.marks import Keyframe, Mark, Marks
from curate.labels.fields.timeline.field import Timeline
from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.stages.tables.importing import import_table
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.label_files import write_asset
from tests.support.runs import run_quietly

POSTS = ["I lost my 🔑 keys and cried", "What a day.", "Nobody came.", "We won!"]
TEXT_LABELS = """
name: post_test.v1
unit: post
fields:
  mood: {type: category, taxonomy: ekman7.v1, multiple: true}
  strength: {type: scale, minimum: 1, maximum: 5, level: ordinal}
  words: {type: spans, over: utterance, taxonomy: ekman7.v1, relations: [because]}
  note: {type: text}
"""
IMAGE_LABELS = """
name: picture_test.v1
unit: image
fields:
  faces: {type: boxes, taxonomy: ekman7.v1}
  mood: {type: category, taxonomy: ekman7.v1}
"""
SOUND_LABELS = """
name: sound_test.v1
unit: clip
fields:
  heard: {type: timeline, over: audio, taxonomy: ekman7.v1}
"""


def make_posts(folder: Path) -> Corpus:
    write_asset(folder, "labels", "post_test.v1", TEXT_LABELS)
    (folder / "posts.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in POSTS))
    recipe = make_recipe(
        folder, {"stage": "ingest", "files": "posts.jsonl"}, {"stage": "preprocess"}, labels="post_test.v1"
    )
    run_quietly(recipe, folder / "w")
    return open_corpus(load_recipe(recipe), Workspace(folder / "w"))


def make_pictures(folder: Path) -> Corpus:
    write_asset(folder, "labels", "picture_test.v1", IMAGE_LABELS)
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (200, 100), colour).save(folder / name)
    recipe = make_recipe(
        folder, {"stage": "ingest", "files": "*.png"}, {"stage": "preprocess"}, labels="picture_test.v1"
    )
    run_quietly(recipe, folder / "w")
    return open_corpus(load_recipe(recipe), Workspace(folder / "w"))


def make_sounds(folder: Path, **settings: Any) -> Corpus:
    write_asset(folder, "labels", "sound_test.v1", SOUND_LABELS)
    with wave.open(str(folder / "one.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes((np.sin(np.arange(64_000) / 8) * 9_000).astype("<i2").tobytes())
    stages = ({"stage": "ingest", "files": "*.wav"}, {"stage": "preprocess", "unit": "clip", **settings})
    recipe = make_recipe(folder, *stages, labels="sound_test.v1")
    run_quietly(recipe, folder / "w")
    return open_corpus(load_recipe(recipe), Workspace(folder / "w"))


def choices(control: str, *labels: str, **more: Any) -> dict[str, Any]:
    return {"from_name": control, "to_name": "t", "type": "choices", "value": {"choices": [*labels]}, **more}


def annotated(number: int, text: str, *annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": number, "data": {"text": text}, "annotations": [*annotations], **more}


def by(rater: str | None, *results: dict[str, Any], at: str = "2026-01-02T03:04:05Z", **more: Any) -> dict[str, Any]:
    user = None if rater is None else {"id": 1, "email": rater}
    return {"id": 9, "completed_by": user, "result": [*results], "updated_at": at, "lead_time": 2.0, **more}


def acts(corpus: Corpus, *columns: str) -> list[tuple[Any, ...]]:
    texts = {row["item_id"]: row["text"] for row in corpus.read("items").to_pylist()}
    rows = current_judgements(corpus.read("annotations"), with_skipped=True).to_pylist()
    return sorted(((texts[row["item_id"]], *(row[name] for name in columns)) for row in rows), key=repr)


def test_controls_called_like_fields_of_items_named_by_their_text(tmp_path):
    corpus = make_posts(tmp_path)
    span = {"start": 12, "end": 16, "text": "keys", "labels": ["sadness"]}
    tasks = [
        annotated(
            1,
            POSTS[0],
            by(
                "ann",
                choices("mood", "sadness", "fear", origin="prediction-changed"),
                {"from_name": "words", "to_name": "t", "type": "labels", "value": span, "id": "w"},
                {"from_name": "toxic", "to_name": "t", "type": "rating", "value": {"rating": 2}},
            ),
            by("ben", was_cancelled=True),
            drafts=[{}],
            predictions=[{}],
        ),
        annotated(2, POSTS[1], by(None, choices("mood", "Neutral")), by(None, choices("mood", "Neutral"))),
        annotated(3, "A text that nobody has.", by("ann", choices("mood", "happiness"))),
        annotated(4, "Nor this one, and nobody answered.",),
        annotated(5, POSTS[2], by("ann", choices("mood", "gloom"))),
        annotated(6, POSTS[3], by("ann", choices("toxic", "no"))),
    ]  # fmt: skip
    export = tmp_path / "export.json"
    export.write_text("\ufeff" + json.dumps(tasks), "utf-8")
    done = import_table(corpus, export, tool="label-studio")
    assert done[:5] == (4, 2, 4, 0, 0)
    assert done.mapping == {"item_id": "data.text", "long": {"mood": "mood", "words": "words"}}
    assert done.left_out == {"predictions": 1, "drafts": 1, "answers in toxic, which is not mapped": 2}
    assert done.problems == (
        "export.json#5: task 3, annotation 9: item 'A text that nobody has.' is not in the workspace",
        "export.json#7:mood: task 5, annotation 9: 'gloom' is not a label of ekman7.v1: map it",
    )
    marked = {"spans": [{"id": "s1", "turn": None, "start": 12, "end": 16, "text": "keys", "label": "sadness"}]}
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    origins = [{"field": "mood", "origin": "prediction-changed"}]
    assert acts(corpus, "annotator", "action", "mood", "words", "origins", "acted_at", "lead_time_s") == [
        (POSTS[0], "ann", "created", ["fear", "sadness"], {**marked, "relations": []}, origins, time, 2.0),
        (POSTS[0], "ben", "skipped", None, None, None, time, 2.0),
        (POSTS[1], None, "created", ["neutral"], None, None, time, 2.0),
        (POSTS[1], None, "created", ["neutral"], None, None, time, 2.0),
    ]
    again = import_table(corpus, export, tool="label-studio")
    assert (again.created, again.updated, again.deleted) == (0, 0, 0)


def test_changed_judgements_are_new_acts_and_skips_are_taken_back(tmp_path):
    corpus = make_posts(tmp_path)
    export = tmp_path / "export.json"

    def bring(*annotations: dict[str, Any], **options: Any):
        export.write_text(json.dumps([annotated(1, POSTS[0], *annotations)]))
        return import_table(corpus, export, tool="label-studio", **options)[2:5]

    assert bring(by("ann", choices("mood", "happiness")), by("ben", was_cancelled=True)) == (2, 0, 0)
    later = "2026-02-01T00:00:00Z"
    changed = (by("ann", was_cancelled=True, at=later), by("ben", choices("mood", "fear"), at=later))
    assert bring(*changed) == (0, 2, 0)
    assert bring(*changed) == (0, 0, 0)
    time = datetime(2026, 2, 1, tzinfo=UTC)
    assert acts(corpus, "annotator", "action", "mood", "acted_at") == [
        (POSTS[0], "ann", "skipped", None, time),
        (POSTS[0], "ben", "updated", ["fear"], time),
    ]
    assert corpus.read("annotations").num_rows == 4
    assert bring(changed[1], replaces=True) == (0, 0, 1)
    assert bring(*changed) == (0, 1, 0)
    assert acts(corpus, "annotator", "action")[0] == (POSTS[0], "ann", "skipped")


def test_a_mapping_renames_controls_labels_and_raters(tmp_path):
    corpus = make_posts(tmp_path)
    entities = [
        {"id": 1, "label": "LOSS", "start_offset": 2, "end_offset": 6},
        {"id": 2, "label": "TEARS", "start_offset": 22, "end_offset": 27},
        {"id": 3, "label": "JUNK", "start_offset": 0, "end_offset": 1},
    ]
    relations = [{"id": 1, "from_id": 2, "to_id": 1, "type": "Because"}, {"id": 2, "from_id": 3, "to_id": 1}]
    record = {"id": 5, "text": POSTS[0], "entities": entities, "relations": relations}
    other = {"id": 6, "text": POSTS[1], "entities": [[0, 4, "TEARS"]], "cats": ["x"]}
    with zipfile.ZipFile(tmp_path / "doccano.zip", "w") as archive:
        archive.writestr("m1.jsonl", json.dumps(record))
        archive.writestr("m2.jsonl", json.dumps(other))
        archive.writestr("unknown.jsonl", json.dumps({"id": 7, "text": POSTS[2], "entities": []}))
    (tmp_path / "map.yaml").write_text(
        "item_id: text\nformat: doccano\noffsets: utf16\nrater: {column: <rater>, map: {m1: ann, m2: ben}}\n"
        "long:\n  words: {column: entities, map: {LOSS: sadness, TEARS: sadness, JUNK: null}}\n"
    )
    done = import_table(corpus, tmp_path / "doccano.zip", tmp_path / "map.yaml")
    assert (done.created, done.problems) == (2, ())
    assert done.left_out == {"answers in cats, which is not mapped": 1}
    (first, second) = acts(corpus, "annotator", "words")
    spans = [(s["start"], s["end"], s["text"], s["label"]) for s in first[2]["spans"]]
    assert (first[1], spans) == ("ann", [(2, 6, "lost", "sadness"), (21, 26, "cried", "sadness")])
    assert first[2]["relations"] == [{"from": "s2", "to": "s1", "label": "because"}]
    assert (second[1], second[2]["spans"][0]["text"]) == ("ben", "What")


def test_places_are_held_to_the_text_of_the_item(tmp_path):
    corpus = make_posts(tmp_path)
    (tmp_path / "map.yaml").write_text("item_id: name\nformat: prodigy\nlong: {words: spans}\n")
    ids = {row["text"]: row["item_id"] for row in corpus.read("items").to_pylist()}
    spans = [{"start": 0, "end": 4, "label": "happiness"}]
    lines = [
        {"text": "Quite another text", "name": ids[POSTS[1]], "spans": spans, "answer": "accept"},
        {"text": POSTS[2], "name": ids[POSTS[2]], "spans": [{"start": 0, "end": 6, "label": "happiness"}]}
        | {"answer": "accept"},
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = import_table(corpus, tmp_path / "set.jsonl", tmp_path / "map.yaml")
    assert done.problems == ("set.jsonl#1:words: the export marks 'Quit', and the item's text there is 'What'",)
    assert (done.judgements, done.created) == (1, 1)
    with pytest.raises(InvalidInput, match="nothing was imported"):
        import_table(corpus, tmp_path / "set.jsonl", tmp_path / "map.yaml", is_strict=True)


FACE = {"x": 0.1, "y": 0.1, "width": 0.2, "height": 0.5, "label": "sadness"}
CUT = {"x": 0.9, "y": 0.0, "width": 0.1, "height": 0.1, "label": "happiness"}
PIXELS = [([20, 10, 40, 50], "sadness"), ([180, -10, 60, 20], "happiness")]


def picture_export(tool: str) -> tuple[str, str, str]:
    """The same two boxes in the form of a tool: the name of a file, its content, and the control of the boxes."""
    if tool == "coco":
        names = [{"id": number, "name": name} for number, (_, name) in enumerate(PIXELS)]
        boxes = [{"id": n, "image_id": 1, "category_id": n, "bbox": box} for n, (box, _) in enumerate(PIXELS)]
        images = [{"id": 1, "file_name": "set/a.png", "width": 200, "height": 100}]
        return "c.json", json.dumps({"images": images, "categories": names, "annotations": boxes}), "bbox"
    if tool == "cvat":
        boxes = [
            f'<box label="{name}" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}"/>' for (x, y, w, h), name in PIXELS
        ]
        image = f'<image id="0" name="a.png" width="200" height="100">{"".join(boxes)}</image>'
        return "c.xml", f"<annotations><meta/>{image}</annotations>", "box"
    if tool == "label-studio":
        results = [
            {"from_name": "faces", "type": "rectanglelabels", "original_width": 200, "original_height": 100}
            | {"value": {"x": x / 2, "y": y, "width": w / 2, "height": h, "rotation": 0, "rectanglelabels": [name]}}
            for (x, y, w, h), name in PIXELS
        ]
        data = {"image": "/data/upload/1/0a1b2c3d-a.png"}
        return "l.json", json.dumps([{"id": 1, "data": data, "annotations": [by("ann", *results)]}]), "faces"
    if tool == "prodigy":
        spans = [
            {"label": name, "type": "rect", "points": [], "x": x, "y": y, "width": w, "height": h}
            for (x, y, w, h), name in PIXELS
        ]
        line = {"image": "a.png", "width": 200, "height": 100, "spans": spans, "answer": "accept"}
        return "p.jsonl", json.dumps(line), "spans"
    regions = [
        {
            "shape_attributes": {"name": "rect", "x": x, "y": y, "width": w, "height": h},
            "region_attributes": {"m": name},
        }
        for (x, y, w, h), name in PIXELS
    ]
    return "v.json", json.dumps({"a": {"filename": "a.png", "size": 1, "regions": regions, "file_attributes": {}}}), "m"


@pytest.mark.parametrize("tool", ["coco", "cvat", "label-studio", "prodigy", "via"])
def test_boxes_of_every_tool_are_the_same_fractions_cut_at_the_edges(tmp_path, tool):
    corpus = make_pictures(tmp_path)
    name, content, control = picture_export(tool)
    (tmp_path / name).write_text(content)
    (tmp_path / "map.yaml").write_text(f"item_id: <media>\nlong: {{faces: {control}}}\n")
    done = import_table(corpus, tmp_path / name, tmp_path / "map.yaml", tool=tool)  # type: ignore[arg-type]
    assert (done.created, done.problems) == (1, ())
    (judged,) = current_judgements(corpus.read("annotations")).to_pylist()
    assert judged["faces"] == [CUT, FACE] or judged["faces"] == [FACE, CUT]


def test_a_box_outside_of_the_picture_is_refused(tmp_path):
    corpus = make_pictures(tmp_path)
    regions = [{"shape_attributes": {"name": "rect", "x": 300, "y": 0, "width": 9, "height": 9}}]
    regions[0]["region_attributes"] = {"faces": "happiness"}
    (tmp_path / "v.json").write_text(json.dumps({"a": {"filename": "b.png", "regions": regions}}))
    done = import_table(corpus, tmp_path / "v.json", tool="via")
    assert (done.created, done.problems) == (0, ("v.json#1:faces: a box without extent",))


def test_stretches_of_a_sound_count_from_the_start_of_its_file(tmp_path):
    corpus = make_sounds(tmp_path)
    (item,) = corpus.read("items").to_pylist()
    spans = [{"start": 0.5, "end": 1.25, "label": "sadness"}, {"start": 3.5, "end": 9.0, "label": "happiness"}]
    line = {"audio": "/somewhere/one.wav", "audio_spans": spans, "answer": "accept", "_session_id": "s-ann"}
    (tmp_path / "p.jsonl").write_text(json.dumps(line))
    (tmp_path / "map.yaml").write_text("item_id: <media>\nlong: {heard: audio_spans}\n")
    done = import_table(corpus, tmp_path / "p.jsonl", tmp_path / "map.yaml", tool="prodigy")
    assert (done.created, done.problems) == (1, ())
    (judged,) = current_judgements(corpus.read("annotations")).to_pylist()
    assert judged["heard"] == [
        {"start_s": 0.5, "end_s": 1.25, "label": "sadness"},
        {"start_s": 3.5, "end_s": 4.0, "label": "happiness"},
    ]
    assert (item["start_s"], item["end_s"]) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("mapping", "content", "sentence"),
    [
        (None, [annotated(1, "x", by("ann", choices("feeling", "happiness")))], "is called like a field"),
        (None, [annotated(1, "x", by("ann", choices("mood", "happiness")))], "no column of export.json names items"),
        (None, {"a": 1}, "no column annotator or annotation_id"),
        ("item_id: data.txt\nlong: {mood: mood}\n", [annotated(1, "x", by("ann", choices("mood", "happiness")))],
         "export.json has no column data.txt; the columns are id, data.text"),
        ("item_id: data.text\nformat: via\nlong: {mood: mood}\n", [], "it says via, and the command line label-studio"),
        ("item_id: id\nvotes: {mood: {a: happiness}}\n", [], "each row of an export is one judgement"),
        ("item_id: id\nlong: {words: {column: w, map: {a: gloom}}}\n", [], "'gloom' is not a label of ekman7.v1"),
    ],
)  # fmt: skip
def test_exports_and_mappings_that_cannot_be_used(tmp_path, mapping, content, sentence):
    corpus = make_posts(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps(content))
    if mapping is not None:
        (tmp_path / "map.yaml").write_text(mapping)
    with pytest.raises(InvalidInput) as raised:
        import_table(corpus, tmp_path / "export.json", tmp_path / "map.yaml" if mapping else None, tool="label-studio")
    assert sentence in " ".join((raised.value.message, *raised.value.problems))


def test_an_export_is_the_source_of_items_and_judgements(tmp_path):
    write_asset(tmp_path, "labels", "post_test.v1", TEXT_LABELS)
    tasks = [
        annotated(1, POSTS[0], by("ann", choices("feeling", "Trauer")), by("ben", choices("feeling", "Freude"))),
        annotated(2, POSTS[1], by("ann", choices("toxic", "no"))),
        annotated(3, POSTS[2]),
        annotated(4, POSTS[3], by("ann", choices("feeling", "Zorn"))),
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    table = {
        "table": "export.json",
        "format": "label-studio",
        "item": {"id": "id", "text": "data.text"},
        "long": {"mood": {"column": "feeling", "map": {"Trauer": "sadness", "Freude": "happiness"}}},
    }
    stages = ({"stage": "ingest", "tables": [table]}, {"stage": "preprocess"}, {"stage": "annotate"})
    recipe = make_recipe(tmp_path, *stages, labels="post_test.v1")
    result = run_quietly(recipe, tmp_path / "w")
    assert result.stages[-1].counts == {"judgements": 2, "new": 2}
    assert "left out of exports: 1 answers in toxic, which is not mapped" in result.stages[-1].message
    corpus = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w"))
    assert sorted(corpus.read("items")["text"].to_pylist()) == sorted(POSTS)
    assert acts(corpus, "annotator", "mood") == [(POSTS[0], "ann", ["sadness"]), (POSTS[0], "ben", ["happiness"])]
    details = [row["detail"] for row in corpus.read("rejections").to_pylist()]
    assert details == ["export.json#5:mood: task 4, annotation 9: 'Zorn' is not a label of ekman7.v1: map it"]
    assert run_quietly(recipe, tmp_path / "w").stages[-1].counts == {"judgements": 2, "new": 0}


def test_the_command_says_what_it_read_and_what_it_left_out(tmp_path, monkeypatch):
    make_posts(tmp_path)
    tasks = [annotated(1, POSTS[1], by("ann", choices("mood", "happiness")), predictions=[{}, {}])]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    monkeypatch.chdir(tmp_path)
    arguments = ["annotate", "import", "export.json", "--format", "label-studio", "-w", "w"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "read mood from mood; items are named by data.text" in done.output
    assert "1 judgement of 1 item: 1 new, 0 changed, 0 withdrawn" in done.output
    assert "left out: 2 predictions" in done.output
    tasks[0]["annotations"] = [by("ann", choices("mood", "gloom"))]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 3
    assert json.loads(done.stdout)["left_out"] == {"predictions": 2}


def test_tracks_and_stretches_are_cut_at_the_ends_of_a_part_of_their_film():
    ekman = load_taxonomy("ekman7.v1")
    tracks = Boxes(name="faces", type="boxes", over="video", taxonomy=ekman)
    seen = Timeline(name="seen", type="timeline", taxonomy=ekman)
    part = ItemContext(duration_s=1.0, fps=10.0, width_px=100, height_px=100)

    def track(*keyframes: Keyframe) -> Marks:
        return Marks((Mark("fear", track=keyframes, size=(100, 100)),))

    moving = track(Keyframe(0.0, (0, 0, 10, 10)), Keyframe(4.0, (40, 0, 10, 10), visible=False))
    whole = tracks.from_marks(moving, part)
    (cut,) = tracks.within(whole, part, start_s=2.0)
    assert [(k["time_s"], k["x"], k["visible"]) for k in cut["keyframes"]] == [(0.0, 0.2, True), (1.0, 0.3, True)]
    assert tracks.within(whole, part, start_s=9.0) is None
    early = track(Keyframe(0.0, (0, 0, 10, 10)), Keyframe(1.0, (0, 0, 10, 10), visible=False))
    assert tracks.within(tracks.from_marks(early, part), part, start_s=2.0) is None
    stretches = Marks((Mark("fear", start_s=1.5, end_s=2.5), Mark("anger", start_s=5.0, end_s=6.0)))
    cut_stretches = seen.within(seen.from_marks(stretches, part), part, start_s=2.0)
    assert cut_stretches == [{"start_s": 0.0, "end_s": 0.5, "label": "fear"}]
    with pytest.raises(ValueError, match="does not mark a stretch of time"):
        seen.from_marks(moving, part)
    with pytest.raises(ValueError, match="does not mark a box that moves"):
        tracks.from_marks(stretches, part)
