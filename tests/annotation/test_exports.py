"""Exports of annotation tools in the shapes that the tools write: what each row says, and what is counted."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from curate.annotation.importing.exports.contract import Export, Options
from curate.annotation.importing.exports.media_names import media_name
from curate.annotation.importing.exports.offsets import code_points
from curate.annotation.importing.exports.readers import READERS, SUFFIXES, columns_of, read_export
from curate.annotation.importing.settings import ExportFormat
from curate.cli.commands.annotate import ToolName
from curate.errors import InvalidRow
from curate.labels.fields.marks import Keyframe, Link, Mark, to_marks

TEXT = "I lost my 🔑 keys and cried"
LS_FACTS = {"id": 7, "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:05:05.5Z", "lead_time": 3.5}


def read(folder: Path, tool: ExportFormat, content: Any, *, name: str = "", **options: Any) -> Export:
    path = folder / (name or f"export{SUFFIXES[tool][0]}")
    if not isinstance(content, str | bytes):
        lines = content if path.suffix == ".jsonl" else [content]
        content = "\n".join(json.dumps(line) for line in lines)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_export(path, tool, Options(**options))


def marks(export: Export, control: str, row: int = 0) -> Any:
    return to_marks(json.loads(export.rows[row].answers.get(control) or export.rows[row].task[control]))


def result(control: str, kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": f"r-{control}", "from_name": control, "to_name": "x", "type": kind, "value": value, **more}


def task(*annotations: dict[str, Any], data: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": data or {"text": TEXT}, "annotations": list(annotations), **more}


def annotation(*results: dict[str, Any], by: Any = 3, **more: Any) -> dict[str, Any]:
    return {**LS_FACTS, "completed_by": by, "was_cancelled": False, "ground_truth": False, "result": [*results], **more}


def test_every_tool_has_a_reader_and_a_name_on_the_command_line():
    assert set(READERS) == set(SUFFIXES) == set(get_args(ExportFormat)) == {tool.value for tool in ToolName}


def test_label_studio_answers_of_a_whole_task(tmp_path):
    content = annotation(
        result("mood", "choices", {"choices": ["sad", "tired"]}, origin="prediction-changed"),
        result("one", "choices", {"choices": ["yes"]}, origin="prediction"),
        result("strength", "rating", {"rating": 4}),
        result("valence", "number", {"number": -0.5}),
        result("note", "textarea", {"text": ["first", "[second]"]}),
        result("kind", "taxonomy", {"taxonomy": [["Negative", "Loss"], ["Positive"]]}),
        result("better", "pairwise", {"selected": "right"}),
        result("order", "ranker", {"ranker": {"_": ["b", "a"]}}),
        result("shape", "brushlabels", {"format": "rle", "rle": [1], "brushlabels": ["x"]}),
    )
    export = read(tmp_path, "label-studio", [task(content, predictions=[{}, {}], drafts=[{}])])
    (row,) = export.rows
    assert row.answers == {
        "mood": '["sad", "tired"]',
        "one": "yes",
        "strength": "4",
        "valence": "-0.5",
        "note": "first\n[second]",
        "kind": '["Negative/Loss", "Positive"]',
        "better": "right",
        "order": "b > a",
    }
    assert row.task == {"id": "1", "data.text": TEXT, "<ground truth>": "false", "<media>": None}
    assert row.rater == "3"
    assert row.made is not None
    assert row.made.lead_time_s == 3.5
    assert row.made.acted_at == datetime(2026, 1, 2, 3, 5, 5, 500_000, UTC)
    assert row.made.origins == {"mood": "prediction-changed", "one": "prediction"}
    assert +export.left_out == {"predictions": 2, "drafts": 1, "shape (brushlabels)": 1}
    assert {"id", "data.text", "mood", "<media>", "<rater>"} <= set(columns_of(export))


def test_label_studio_annotators_skips_and_newer_annotations(tmp_path):
    older = annotation(by={"id": 4, "email": "ben@example.org"}, updated_at="2026-01-01T00:00:00Z", id=8)
    newer = annotation(by={"id": 4, "email": "ben@example.org"}, id=9)
    skipped = annotation(result("mood", "choices", {"choices": ["sad"]}), was_cancelled=True, by=None, id=10)
    gold = annotation(
        result("mood", "choices", {"choices": ["sad"]}), ground_truth=True, id=11, created_at="0001-01-01"
    )
    export = read(tmp_path, "label-studio", [task(older, newer, skipped, gold), task()])
    assert [(r.place, r.rater, r.made and r.made.action, r.made and r.made.is_empty) for r in export.rows] == [
        ("task 1, annotation 9", "ben@example.org", "created", True),
        ("task 1, annotation 10", None, "skipped", False),
        ("task 1, annotation 11", "3", "created", False),
        ("task 1, annotation 8", "ben@example.org", "created", True),
        ("task 1", None, None, None),
    ]
    assert export.rows[1].answers == {}
    assert export.rows[2].task["<ground truth>"] == "true"
    assert +export.left_out == {"annotations marked as ground truth (taken as judgements)": 1}


def test_label_studio_places_in_texts_sounds_videos_and_pictures(tmp_path):
    relation = {"type": "relation", "from_id": "r-b", "to_id": "r-a", "direction": "left", "labels": ["causes"]}
    data = {"text": TEXT, "turns": [{"author": "A", "text": "Oh"}, {"author": "B", "text": "🔑 gone, 🔑 gone"}]}
    content = annotation(
        result("span", "labels", {"start": 12, "end": 16, "text": "keys", "labels": ["loss"]}, id="r-a"),
        result("span", "labels", {"start": 21, "end": 26, "text": "cried", "labels": ["feeling", "act"]}, id="r-b"),
        result("why", "choices", {"start": 12, "end": 16, "text": "keys", "choices": ["fate"]}, id="r-a"),
        relation,
        result(
            "said",
            "paragraphlabels",
            {"start": "1", "end": "1", "startOffset": 12, "endOffset": 16, "text": "gone"}
            | {"paragraphlabels": ["loss"]},
        ),
        result("sound", "labels", {"start": 1.25, "end": 2.5, "channel": 0, "labels": ["sob"]}, original_length=9.0),
        result("clip", "timelinelabels", {"ranges": [{"start": 26, "end": 51}], "timelinelabels": ["sob"]}),
        result(
            "box",
            "rectanglelabels",
            {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0} | {"rectanglelabels": ["face"]},
            original_width=640,
            original_height=480,
        ),
        result("bare", "rectangle", {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0}, id="r-named"),
        result(
            "name", "labels", {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0, "labels": ["hand"]}, id="r-named"
        ),
        result("lone", "rectangle", {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0}),
        result("page", "hypertextlabels", {"start": "/p[1]", "startOffset": 0, "end": "/p[1]", "endOffset": 3}),
        result(
            "track",
            "videorectangle",
            {
                "framesCount": 250,
                "duration": 10.0,
                "labels": ["face"],
                "sequence": [
                    {
                        "frame": 26,
                        "enabled": False,
                        "x": 0,
                        "y": 0,
                        "width": 50,
                        "height": 50,
                        "rotation": 0,
                        "time": 1.04,
                    }
                ],
            },
        ),
    )
    export = read(tmp_path, "label-studio", [task(content, data=data)], frame_rate_hz=25)
    keys = Mark("loss", "r-a", start=12, end=16, text="keys")
    cried = [Mark("feeling", "r-b", start=21, end=26, text="cried"), Mark("act", start=21, end=26, text="cried")]
    assert marks(export, "span") == ((keys, *cried), (Link("r-a", "r-b", "causes"),))
    assert marks(export, "why").marks == (keys._replace(label="fate"),)
    # Label Studio counts UTF-16 units in dialogues: each key is two of them.
    assert marks(export, "said").marks == (Mark("loss", "r-said", turn=1, start=10, end=14, text="gone"),)
    assert marks(export, "sound").marks == (Mark("sob", "r-sound", start_s=1.25, end_s=2.5),)
    assert marks(export, "clip").marks == (Mark("sob", "r-clip", start_s=1.0, end_s=2.0),)
    assert marks(export, "box").marks == (Mark("face", "r-box", box=(10, 20, 30, 40), size=(100, 100)),)
    assert marks(export, "name").marks == (Mark("hand", "r-named", box=(1, 2, 3, 4), size=(100, 100)),)
    frame = Keyframe(1.0, (0, 0, 50, 50), visible=False)
    assert marks(export, "track").marks == (Mark("face", "r-track", track=(frame,), size=(100, 100)),)
    assert +export.left_out == {"lone: regions without a label": 1, "page (hypertextlabels)": 1}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (result("c", "labels", {"start": 3, "end": 7, "text": "keys", "labels": ["x"]}), "where the text is another"),
        (result("c", "labels", {"start": 3, "end": 7, "labels": ["x"]}), "not clear what it marks"),
        (result("c", "timelinelabels", {"ranges": [{"start": 1, "end": 2}], "timelinelabels": ["x"]}), "frame_rate_hz"),
        (result("c", "rectanglelabels", {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 10}
                | {"rectanglelabels": ["x"]}), "a box is rotated"),
        (result("c", "rectanglelabels", {"x": float("nan"), "y": 2, "width": 3, "height": 4}
                | {"rectanglelabels": ["x"]}), "nan is not a number"),
        (result("c", "rectanglelabels", {"x": 10**30, "y": 2, "width": 3, "height": 4}
                | {"rectanglelabels": ["x"]}), "is not within"),
    ],
)  # fmt: skip
def test_places_that_cannot_be_read_rightly_say_why_and_cost_no_other_answer(tmp_path, answer, sentence):
    content = annotation(answer, result("mood", "choices", {"choices": ["sad"]}))
    export = read(tmp_path, "label-studio", [task(content)])
    assert export.rows[0].answers["mood"] == "sad"
    with pytest.raises(ValueError, match=sentence):
        to_marks(json.loads(export.rows[0].answers["c"]))


FLAT = {"text": TEXT, "id": 5, "annotator": 2, "annotation_id": 9, "created_at": "2026-01-02T03:04:05Z"}


def test_label_studio_json_min_and_csv_are_read_alike(tmp_path):
    answers = {
        "mood": "sad",
        "many": {"choices": ["sad", "tired"]},
        "span": [{"start": 12, "end": 16, "text": "keys", "labels": ["loss"]}],
        "strength": [{"rating": 4}],
        "kind": [{"taxonomy": [["Negative", "Loss"]]}],
    }
    small = read(
        tmp_path, "label-studio", [{**FLAT, **answers, "lead_time": 3.5, "updated_at": "2026-01-02T04:00:00Z"}]
    )
    cells = {name: value if isinstance(value, str) else json.dumps(value) for name, value in answers.items()}
    row = {**{name: str(value) for name, value in FLAT.items()}, **cells, "lead_time": "3.5"}
    row |= {"updated_at": "2026-01-02T04:00:00Z"}
    quoted = ['"' + value.replace('"', '""') + '"' for value in row.values()]
    table = "\ufeff" + ",".join(row) + "\n" + ",".join(quoted) + "\n"
    as_csv = read(tmp_path, "label-studio", table, name="export.csv")
    for export in (small, as_csv):
        (first,) = export.rows
        expected = {"mood": "sad", "many": '["sad", "tired"]', "strength": "4", "kind": "Negative/Loss"}
        assert {name: first.task[name] for name in expected} == expected
        assert marks(export, "span").marks == (Mark("loss", start=12, end=16, text="keys"),)
        assert first.rater == "2"
        assert first.made is not None
        assert first.made.lead_time_s == 3.5
        assert first.made.acted_at == datetime(2026, 1, 2, 4, tzinfo=UTC)
        assert "mood" in export.controls


RECORD = {
    "id": "a1",
    "fields": {"text": TEXT, "title": "Keys"},
    "metadata": {"split": "train"},
    "suggestions": {"mood": {"value": "sad", "score": 0.9, "agent": "m"}, "stars": {"value": 3, "score": None}},
    "responses": {
        "mood": [{"value": "sad", "user_id": "u1"}, {"value": "calm", "user_id": "u2"}],
        "stars": [{"value": 5, "user_id": "u1"}],
        "many": [{"value": ["a", "b"], "user_id": "u1"}],
        "order": [{"value": [{"value": "x", "rank": 2}, {"value": "y", "rank": 1}, {"value": "z", "rank": 2}]}
                  | {"user_id": "None"}],
        "where": [{"value": [{"start": 2, "end": 6, "label": "loss"}], "user_id": "u1"}],
    },
    "vectors": {},
    "_server_id": "s1",
}  # fmt: skip


def test_argilla_records_as_written_to_disk(tmp_path):
    (tmp_path / ".argilla").mkdir()
    questions = [{"name": "where", "settings": {"type": "span", "field": "text"}}, {"name": "mood", "settings": {}}]
    (tmp_path / ".argilla/settings.json").write_text(json.dumps({"questions": questions}))
    export = read(tmp_path, "argilla", [RECORD])
    answers = {row.rater: row.answers for row in export.rows}
    assert {name: value for name, value in answers["u1"].items() if name != "where"} == {
        "mood": "sad",
        "stars": "5",
        "many": '["a", "b"]',
    }
    assert marks(export, "where").marks == (Mark("loss", start=2, end=6, text="lost"),)
    assert answers["u2"] == {"mood": "calm"}
    assert answers[None] == {"order": "y > x = z"}
    origins = {row.rater: row.made.origins for row in export.rows if row.made}
    assert origins["u1"] == {"mood": "prediction", "stars": "prediction-changed", "many": "manual", "where": "manual"}
    assert origins["u2"] == {"mood": "prediction-changed"}
    assert export.rows[0].task["fields.text"] == TEXT
    assert export.rows[0].task["metadata.split"] == "train"
    assert export.left_out["suggestions"] == 2
    assert export.left_out["responses whose status is not in the file (taken as submitted, drafts among them)"] == 6


def test_argilla_places_after_an_emoji_need_a_word_on_how_they_are_counted(tmp_path):
    # Argilla's page counts UTF-16 units, its Python client code points: the two differ after the key.
    record = {**RECORD, "fields": {"text": TEXT}}
    record["responses"] = {"where": [{"value": [{"start": 13, "end": 17, "label": "loss"}], "user_id": "u1"}]}
    with pytest.raises(ValueError, match="set offsets to utf16 or characters"):
        marks(read(tmp_path, "argilla", [record]), "where")
    counted = read(tmp_path, "argilla", [record], offsets="utf16")
    assert marks(counted, "where").marks == (Mark("loss", start=12, end=16, text="keys"),)
    two_fields = {**record, "fields": {"text": TEXT, "title": "Keys"}}
    with pytest.raises(ValueError, match="which field the spans of where are in"):
        marks(read(tmp_path, "argilla", [two_fields]), "where")


def test_argilla_records_of_the_api_have_a_status(tmp_path):
    responses = [
        {"user_id": "u1", "status": "submitted", "values": {"mood": {"value": "sad"}}},
        {"user_id": "u2", "status": "draft", "values": {"mood": {"value": "calm"}}},
        {"user_id": "u3", "status": "discarded", "values": {}},
    ]
    suggestions = [{"question_name": "mood", "value": "sad"}]
    record = {"id": "a", "fields": {"text": "x"}, "responses": responses, "suggestions": suggestions}
    export = read(tmp_path, "argilla", [record, {"id": "b", "fields": {"text": "y"}, "responses": []}])
    acts = [(row.rater, row.made and row.made.action, dict(row.answers)) for row in export.rows]
    assert acts == [("u1", "created", {"mood": "sad"}), ("u3", "skipped", {}), (None, None, {})]
    assert +export.left_out == {"suggestions": 1, "draft responses": 1}


def test_prodigy_answers(tmp_path):
    facts = {"_input_hash": -5, "_task_hash": 6, "_session_id": "set-ann", "_view_id": "x", "_timestamp": 1767323045}
    spans = [
        {"start": 2, "end": 6, "label": "loss", "text": "lost", "token_start": 1},
        {"start": 21, "end": 26, "label": "act"},
    ]
    relations = [{"head": 1, "child": 6, "head_span": spans[1], "child_span": spans[0], "label": "because"}]
    rect = {"label": "face", "type": "rect", "points": [[1, 2]], "x": 10, "y": 20, "width": 30, "height": 40}
    polygon = {"label": "hand", "type": "polygon", "points": [[1, 2]]}
    lines = [
        {
            "text": TEXT,
            "meta": {"source": "diary"},
            "spans": spans,
            "relations": relations,
            "answer": "accept",
            **facts,
        },
        {"text": "b", "options": [{"id": "sad", "text": "Sad"}], "accept": ["sad"], "answer": "accept"}
        | {"_annotator_id": "set-ben", "_session_id": "set-2"},
        {"text": "c", "label": "sad", "answer": "reject", **facts},
        {"text": "d", "spans": [], "answer": "ignore", **facts},
        {"text": "e", "spans": [], "answer": "accept", **facts},
        {"audio": "clips/one.wav", "audio_spans": [{"start": 0.5, "end": 1.25, "label": "sob", "id": "q"}]}
        | {"answer": "accept", "transcript": "oh"},
        {"image": "face.jpg", "width": 640, "height": 480, "spans": [rect, polygon], "answer": "accept"},
        {"text": "f"},
        {"text": "g", "answer": "maybe"},
    ]
    export = read(tmp_path, "prodigy", lines)
    rows = export.rows
    assert marks(export, "spans").marks == (
        Mark("loss", "s0", start=2, end=6, text="lost"),
        Mark("act", "s1", start=21, end=26, text="cried"),
    )
    assert marks(export, "spans").links == (Link("s1", "s0", "because"),)
    assert rows[0].task["meta.source"] == "diary"
    assert rows[0].task["_input_hash"] == "-5"
    assert rows[0].rater == "set-ann"
    assert rows[0].made is not None
    assert rows[0].made.acted_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (rows[1].rater, rows[1].answers) == ("set-ben", {"accept": "sad"})
    assert (rows[2].answers, rows[2].task["answer"]) == ({}, "reject")
    assert rows[3].made is not None
    assert rows[3].made.action == "skipped"
    assert rows[4].made is not None
    assert rows[4].made.is_empty
    assert marks(export, "audio_spans", 5).marks == (Mark("sob", "s0", start_s=0.5, end_s=1.25),)
    assert rows[5].answers["transcript"] == "oh"
    assert rows[5].task["<media>"] == "one.wav"
    assert marks(export, "spans", 6).marks == (Mark("face", "s0", box=(10, 20, 30, 40), size=(640, 480)),)
    assert rows[7].made is None
    assert rows[8].problem == "its answer is 'maybe', none of accept, reject and ignore"
    assert +export.left_out == {"rejected tasks (read them from `answer`)": 1, "spans (polygon)": 1}


def test_doccano_labels_entities_and_relations(tmp_path):
    entities = [
        {"id": 10, "label": "loss", "start_offset": 2, "end_offset": 6},
        {"id": 11, "label": "act", "start_offset": 7, "end_offset": 9},
    ]
    lines = [
        {"id": 1, "text": "I lost", "label": ["sad", "tired"], "topic": "keys", "Comments": ["hm"]},
        {"id": 2, "text": "I lost", "label": [[2, 6, "loss"]], "meta": {"page": 3}},
        {"id": 3, "text": "I lost my", "entities": entities, "relations": [{"id": 1, "from_id": 10, "to_id": 11}
                                                                       | {"type": "of"}]},
        {"id": 4, "text": "nothing", "label": []},
        {"id": 5, "data": "I lost", "entities": [[2, 6, "loss"]], "cats": ["sad"], "username": "ann"},
        {"id": 6, "filename": "a.png", "bbox": [{"id": 1, "x": 1, "y": 2, "width": 3, "height": 4, "label": "face"}]},
        {"id": 7, "text": "x", "annotations": [{"label": 7, "start_offset": 0, "end_offset": 1, "user": 1}]},
        {"id": 8, "text": TEXT, "label": [[13, 17, "loss"]]},
    ]  # fmt: skip
    export = read(tmp_path, "doccano", lines, rater="m1")
    rows = export.rows
    assert rows[0].answers == {"label": '["sad", "tired"]'}
    assert rows[0].rater == "m1"
    assert rows[0].task["topic"] == "keys"
    assert rows[1].task["meta.page"] == "3"
    assert marks(export, "label", 1).marks == (Mark("loss", start=2, end=6, text="lost"),)
    assert marks(export, "entities", 2).links == (Link("10", "11", "of"),)
    assert (rows[3].made, rows[3].answers) == (None, {})
    assert rows[4].rater == "ann"
    assert rows[4].answers["cats"] == "sad"
    assert marks(export, "bbox", 5).marks == (Mark("face", box=(1, 2, 3, 4)),)
    assert rows[6].rater == "1"
    assert marks(export, "label", 6).marks[0].label == "7"
    with pytest.raises(ValueError, match="doccano may count the characters before 17 in one of several ways"):
        marks(export, "label", 7)
    assert +export.left_out == {"comments": 1}


COCO: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 200, "height": 100},
        {"id": 2, "file_name": "b.jpg"},
        {"id": 3, "file_name": "c.jpg", "width": 200, "height": 100},
    ],
    "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": "hand"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 10, 40, 50], "attributes": {"mood": "sad"}},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [0, 0, 10, 10], "annotator": "ann"},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "attributes": {"rotation": 30.0}},
        {"id": 4, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3, 4, 5, 6]]},
        {"id": 6, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4]},
        {"id": 7, "image_id": 3, "caption": "A face."},
    ],
}


def test_coco_boxes_categories_attributes_and_raters(tmp_path):
    export = read(tmp_path, "coco", COCO)
    assert [(row.place, row.rater, sorted(row.answers)) for row in export.rows] == [
        ("image 1", None, ["attributes.mood", "bbox"]),
        ("image 1", "ann", ["bbox"]),
        ("image 2", None, ["bbox"]),
        ("image 3", None, ["caption"]),
    ]
    face = Mark("face", box=(20, 10, 40, 50), size=(200, 100))
    assert marks(export, "bbox").marks == (face,)
    assert marks(export, "attributes.mood").marks == (face._replace(label="sad"),)
    with pytest.raises(ValueError, match="a box is rotated"):
        marks(export, "bbox", 2)
    assert sum(export.left_out.values()) == 3
    with pytest.raises(InvalidRow, match="a list, as of a detector"):
        read(tmp_path, "coco", [{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}])


CVAT_IMAGES = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>4</id><name>faces</name><assignee><username>ann</username>
</assignee></task></meta>
<image id="0" name="a.jpg" width="200" height="100">
 <box label="face" source="auto" occluded="0" xtl="20.0" ytl="10.0" xbr="60.0" ybr="60.0" z_order="0">
  <attribute name="mood">sad</attribute></box>
 <box label="hand" source="manual" occluded="0" xtl="0" ytl="0" xbr="10" ybr="10" z_order="0"></box>
 <tag label="indoor" source="manual"><attribute name="light">dim</attribute></tag>
 <polygon label="hair" points="1,2;3,4;5,6"></polygon>
</image>
<image id="1" name="b.jpg" width="200" height="100">
 <box label="face" xtl="1" ytl="2" xbr="3" ybr="4" rotation="30"></box></image>
<image id="2" name="c.jpg" width="200" height="100"></image>
</annotations>"""


def test_cvat_pictures(tmp_path):
    export = read(tmp_path, "cvat", CVAT_IMAGES)
    face = Mark("face", box=(20, 10, 40, 50), size=(200, 100))
    assert marks(export, "box").marks == (face, Mark("hand", box=(0, 0, 10, 10), size=(200, 100)))
    assert marks(export, "face.mood").marks == (face._replace(label="sad"),)
    first = export.rows[0]
    assert (first.answers["tag"], first.answers["indoor.light"], first.rater) == ("indoor", "dim", "ann")
    assert first.made is not None
    assert first.made.origins == {
        "box": "prediction-changed",
        "face.mood": "prediction",
        "tag": "manual",
        "indoor.light": "manual",
    }
    with pytest.raises(ValueError, match="a box is rotated"):
        marks(export, "box", 1)
    assert export.rows[2].made is None
    assert export.rows[2].rater is None
    assert +export.left_out == {"polygon hair": 1}


def box(frame: int, left: int, *, outside: int = 0, keyframe: int = 1) -> str:
    place = f'xtl="{left}" ytl="0" xbr="{left + 10}" ybr="10"'
    return f'<box frame="{frame}" outside="{outside}" occluded="0" keyframe="{keyframe}" {place}></box>'


def test_cvat_tracks_end_in_the_frame_before_their_box_is_outside(tmp_path):
    size = "<original_size><width>200</width><height>100</height></original_size>"
    meta = f"<meta><task><id>1</id>{size}</task><source>film.mp4</source></meta>"
    whole = "".join([box(0, 0), box(5, 5, keyframe=0), box(9, 9, keyframe=0), box(10, 10, outside=1), box(20, 50)])
    sparse = "".join([box(0, 0), box(10, 10, outside=1)])
    tracks = f'<track id="0" label="face" source="manual">{whole}</track><track id="1" label="hand">{sparse}</track>'
    points = '<track id="2" label="nose"><points frame="0" points="1,2"></points></track>'
    content = f"<annotations>{meta}{tracks}{points}</annotations>"
    export = read(tmp_path, "cvat", content, frame_rate_hz=10)
    gone = Keyframe(0.9, (9, 0, 10, 10), visible=False)
    face = (Keyframe(0.0, (0, 0, 10, 10)), gone, Keyframe(2.0, (50, 0, 10, 10)))
    assert [mark.track for mark in marks(export, "box").marks] == [face, (Keyframe(0.0, (0, 0, 10, 10)), gone)]
    assert export.rows[0].task["<media>"] == "film.mp4"
    assert marks(export, "box").marks[0].size == (200, 100)
    assert +export.left_out == {"points track nose": 1}
    with pytest.raises(ValueError, match="set frame_rate_hz"):
        marks(read(tmp_path, "cvat", content), "box")


VIA_2 = {
    "filename": "a.jpg",
    "size": 5,
    "file_attributes": {"scene": "indoor", "tags": {"day": True, "night": False, "rain": True}},
    "regions": [
        {"shape_attributes": {"name": "rect", "x": 20, "y": 10, "width": 40, "height": 50}}
        | {"region_attributes": {"kind": "face", "mood": "sad"}},
        {"shape_attributes": {"name": "circle", "cx": 1, "cy": 2, "r": 3}, "region_attributes": {"kind": "ball"}},
    ],
}


@pytest.mark.parametrize("form", ["annotations", "project", "csv"])
def test_via_2_boxes_and_attributes(tmp_path, form):
    if form == "csv":
        rows = [
            [
                "a.jpg",
                "5",
                json.dumps(VIA_2["file_attributes"]),
                "2",
                str(number),
                json.dumps(region["shape_attributes"]),
                json.dumps(region["region_attributes"]),
            ]
            for number, region in enumerate(VIA_2["regions"])
        ]
        header = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
        lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
        export = read(tmp_path, "via", "\n".join([header, *lines]), name="export.csv")
    else:
        images = {"a.jpg5": VIA_2}
        export = read(tmp_path, "via", images if form == "annotations" else {"_via_img_metadata": images})
    (row,) = export.rows
    assert (row.answers["scene"], row.answers["tags"]) == ("indoor", '["day", "rain"]')
    assert marks(export, "kind").marks == (Mark("face", box=(20, 10, 40, 50)),)
    assert marks(export, "mood").marks == (Mark("sad", box=(20, 10, 40, 50)),)
    assert +export.left_out == {"kind (circle)": 1}


def test_via_3_projects(tmp_path):
    options = {"s": "sob", "l": "laugh"}
    project = {
        "project": {"pid": "x"},
        "config": {},
        "attribute": {
            "1": {"aname": "voice", "anchor_id": "FILE1_Z2_XY0", "type": 4, "options": options},
            "2": {"aname": "scene", "anchor_id": "FILE1_Z0_XY0", "type": 1, "options": {}},
            "3": {"aname": "kind", "anchor_id": "FILE1_Z0_XY1", "type": 2, "options": {"f": "face", "h": "hat"}},
        },
        "file": {
            "1": {"fid": 1, "fname": "film.mp4", "type": 4, "src": "x/film.mp4"},
            "2": {"fid": 2, "fname": "b.jpg"},
        },
        "view": {"1": {"fid_list": [1]}, "2": {"fid_list": [2]}, "3": {"fid_list": [1, 2]}},
        "metadata": {
            "1_a": {"vid": "1", "flg": 0, "z": [1.5, 2.25], "xy": [], "av": {"1": "s"}},
            "1_b": {"vid": "1", "flg": 0, "z": [], "xy": [], "av": {"2": "a room"}},
            "1_c": {"vid": "1", "flg": 0, "z": [3.0], "xy": [2, 1, 2, 3, 4], "av": {"3": "f"}},
            "2_a": {"vid": "2", "flg": 0, "z": [], "xy": [2, 20, 10, 40, 50], "av": {"3": "f"}},
            "2_b": {"vid": "2", "flg": 0, "z": [], "xy": [7, 1, 2, 3, 4, 5, 6], "av": {"3": "h"}},
            "3_a": {"vid": "3", "flg": 0, "z": [], "xy": [], "av": {"2": "both"}},
        },
    }
    export = read(tmp_path, "via", project)
    assert marks(export, "voice").marks == (Mark("sob", start_s=1.5, end_s=2.25),)
    assert export.rows[0].answers["scene"] == "a room"
    assert marks(export, "kind", 1).marks == (Mark("face", box=(20, 10, 40, 50)),)
    assert export.rows[2].answers == {}
    assert +export.left_out == {
        "kind (boxes at a time of a video)": 1,
        "kind (polygon)": 1,
        "annotations of several files at once": 1,
    }


@pytest.mark.parametrize(
    ("tool", "content", "sentence"),
    [
        ("label-studio", '[{"id": 1, "data": {"text": "x"}, "annotations": [{', "it is not JSON"),
        ("label-studio", "", "it is empty"),
        ("label-studio", "[]", "no list of tasks"),
        ("label-studio", '{"a": ' + "[" * 100_000, "it is not JSON"),
        ("label-studio", '[{"id": ' + "9" * 5_000 + ', "data": {}}]', "it is not JSON"),
        ("label-studio", [{"text": "x"}], "no column annotator or annotation_id"),
        ("argilla", {"records": []}, "no list of records"),
        ("prodigy", [{"text": "x"}], "none of its lines has an `answer`"),
        ("doccano", '{"id": 1, "text": "x"', "none of its lines can be read"),
        ("coco", {"annotations": []}, "no list `images`"),
        ("cvat", "<annotations><image", "it is not XML"),
        ("cvat", "<html></html>", "it is not an export of CVAT"),
        ("cvat", "<annotations></annotations>", "neither images nor tracks"),
        ("cvat", '<!DOCTYPE a [<!ENTITY b "c">]><annotations><image name="&b;"/></annotations>', "document type"),
        ("cvat", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations><image/></annotations>', "document type"),
        ("via", [1], "neither a project nor annotations"),
        ("via", {"a": {"regions": []}}, "no files with a `filename`"),
        ("via", {"attribute": {}, "file": {}, "view": {}, "metadata": {"x": 1}}, "the project is damaged"),
    ],
)
def test_files_that_are_no_exports_are_a_sentence(tmp_path, tool, content, sentence):
    with pytest.raises(InvalidRow, match=sentence):
        read(tmp_path, tool, content)
    with pytest.raises(InvalidRow, match="files"):
        read(tmp_path, tool, b"", name="export.pdf")


def test_one_bad_line_costs_that_line(tmp_path):
    lines = b'\xef\xbb\xbf{"id": 1, "text": "a", "label": ["x"]}\n\n{"id": 2, "text": \n{"id": 3, "id": 4}\n'
    export = read(tmp_path, "doccano", lines)
    assert [row.place for row in export.rows] == ["line 1", "line 3", "line 4"]
    assert [str(row.problem)[:22] for row in export.rows] == [
        "None",
        "it is not JSON: Expect",
        "it is not JSON: two me",
    ]


def test_a_text_of_a_megabyte(tmp_path):
    text = "é" * 1_000_000 + " sad"
    record = {"id": 1, "text": text, "label": [[1_000_001, 1_000_004, "mood"]]}
    assert marks(read(tmp_path, "doccano", [record]), "label").marks[0].text == "sad"


def test_names_of_media():
    names = {
        "clips/one.wav": "one.wav",
        "/data/upload/3/0a1b2c3d-one.wav": "one.wav",
        "/data/local-files/?d=set/one%20two.mp4": "one two.mp4",
        "s3://bucket/set/one.jpg": "one.jpg",
        "https://example.org/a/one.png?X-Amz-Signature=abc": "one.png",
        "C:\\clips\\one.wav": "one.wav",
        "what a mess.": None,
        "data:image/png;base64,AAAA": None,
        "http://[bad/one.png": "one.png",
    }
    assert {value: media_name([value]) for value in names} == names
    assert media_name([None, "a text", "x/b.mp3"]) == "b.mp3"


@pytest.mark.parametrize(
    ("places", "options", "expected"),
    [
        ((12, 16), {"quoted": "keys"}, (12, 16)),
        ((13, 17), {"quoted": "keys"}, (12, 16)),
        ((13, 17), {"offsets": "utf16"}, (12, 16)),
        ((15, 19), {"offsets": "bytes"}, (12, 16)),
        ((2, 6), {"tool": "Argilla"}, (2, 6)),
        ((11, 17), {"offsets": "utf16"}, None),
        ((13, 17), {"offsets": "characters", "quoted": "keys"}, None),
        ((13, 17), {"tool": "Argilla"}, None),
        ((-1, 3), {}, None),
        ((3, 3), {}, None),
        ((3, 99), {}, None),
        ((True, 3), {}, None),
        ((0, 10**30), {}, None),
        ((1.0, 3), {}, None),
    ],
)
def test_places_in_texts(places, options, expected):
    way = options.pop("offsets", None)
    if expected is None:
        with pytest.raises(ValueError, match=r"a stretch|the export marks|may count"):
            code_points(TEXT, *places, way, **options)
    else:
        assert code_points(TEXT, *places, way, **options) == expected
