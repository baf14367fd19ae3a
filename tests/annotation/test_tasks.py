"""The pure way there and back."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from curate.annotation.label_studio.tasks import (
    Origin,
    has_all,
    to_judgement,
    to_prediction,
    to_task,
    variables_of,
)
from curate.corpus.judgements import to_deletion
from curate.errors import InvalidInput
from curate.labels import FIELD_TYPES, LabelSchema, Taxonomy, Turn, parse_layout, to_context
from tests.annotation.annotation_builders import make_item, make_labels, make_prelabel

LABELS = make_labels()
ITEM = to_context(make_item())
LAYOUT = parse_layout('<View><Text name="Words" value="$text"/><Fields toName="Words"/></View>')
ORIGIN = Origin("local-1", 7, {3: "ann@example.com"})


def make_result(name: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "abc", "type": "choices", "from_name": name, "to_name": "Words", "value": value, **more}


def make_annotation(result: Any, **changed: Any) -> dict[str, Any]:
    return {
        "id": 11,
        "completed_by": 3,
        "was_cancelled": False,
        "created_at": "2026-01-02T03:04:05.000006Z",
        "updated_at": "2026-01-02T03:04:05.000007Z",
        "lead_time": 4.5,
        "result": result,
        **changed,
    }


def make_task(**changed: Any) -> dict[str, Any]:
    return {"id": 5, "data": {"item_id": "item"}, "predictions": [], **changed}


EARLIER = {"action": "created", "annotation_id": "0", "acted_at": datetime(2026, 1, 1, tzinfo=UTC)}
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def read(
    annotation: dict[str, Any],
    task: dict[str, Any],
    item: Any,
    labels: LabelSchema,
    origin: Origin,
    *,
    earlier: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    newest: Any = type("Newest", (), {"get": lambda self, key: earlier})()
    row = to_judgement(annotation, task, item, labels, origin, newest, now=NOW).to_row(labels)
    return row, row["misfits"]


def as_submitted(prediction: dict[str, Any], **origins: str) -> list[dict[str, Any]]:
    """What the form sends for a prediction that was left as it was."""
    return [{**result, "origin": origins.get(result["from_name"], "prediction")} for result in prediction["result"]]


def test_prelabel_comes_back_as_it_went() -> None:
    prelabel = make_prelabel(make_item(), description="A raised voice.")
    prediction = to_prediction(prelabel, LABELS, LAYOUT, ITEM, "offline")
    assert prediction["model_version"] == "offline"
    assert prediction["score"] == pytest.approx(0.8)
    row, problems = read(make_annotation(as_submitted(prediction)), make_task(), ITEM, LABELS, ORIGIN)
    assert problems == []
    assert {name: row[name] for name in LABELS.fields} == {name: prelabel[name] for name in LABELS.fields}
    assert row["prelabel_id"] == prelabel["prelabel_id"]
    assert {each["origin"] for each in row["origins"]} == {"prediction"}


def test_row_tells_who_when_where_and_how() -> None:
    result = [make_result("emotion", {"choices": ["fear"]})]
    row, _ = read(make_annotation(result), make_task(), ITEM, LABELS, ORIGIN)
    assert row["annotator"] == "ann@example.com"
    assert row["acted_at"] == datetime(2026, 1, 2, 3, 4, 5, 7, UTC)
    assert (row["server"], row["project_id"], row["task_id"], row["server_annotation_id"]) == ("local-1", 7, 5, 11)
    assert (row["action"], row["lead_time_s"], row["item_id"]) == ("created", 4.5, "item")
    assert row["origins"] == [{"field": "emotion", "origin": "manual"}]
    assert row["prelabel_id"] is None
    assert json.loads(row["raw"]) == result


@pytest.mark.parametrize(
    ("changed", "earlier", "action"),
    [({}, None, "created"), ({}, EARLIER, "updated"), ({"was_cancelled": True}, EARLIER, "skipped")],
)
def test_action(changed: dict[str, Any], earlier: dict[str, Any] | None, action: str) -> None:
    row, _ = read(make_annotation([], **changed), make_task(), ITEM, LABELS, ORIGIN, earlier=earlier)
    assert row["action"] == action


def test_ids_follow_the_judgement_and_its_changes() -> None:
    one, _ = read(make_annotation([]), make_task(), ITEM, LABELS, ORIGIN)
    same, _ = read(make_annotation([]), make_task(), ITEM, LABELS, ORIGIN, earlier=EARLIER)
    later, _ = read(
        make_annotation([], updated_at="2026-01-03T00:00:00Z"), make_task(), ITEM, LABELS, ORIGIN, earlier=EARLIER
    )
    elsewhere, _ = read(make_annotation([]), make_task(), ITEM, LABELS, ORIGIN._replace(server="x"))
    gone = to_deletion(later, LABELS, datetime(2026, 2, 1, tzinfo=UTC))
    assert one["annotation_id"] == same["annotation_id"]
    assert len({row["annotation_id"] for row in (one, later, elsewhere, gone)}) == 4
    assert one["judgement_id"] == later["judgement_id"] == gone["judgement_id"] != elsewhere["judgement_id"]
    assert (gone["action"], gone["emotion"], gone["raw"]) == ("deleted", None, None)


@pytest.mark.parametrize(
    ("results", "field", "told"),
    [
        ([make_result("emotion", {"choices": ["rage"]})], "emotion", "'rage'"),
        ([make_result("emotion", {"labels": ["fear"]})], "emotion", "choices"),
        ([make_result("emotion", "fear")], "emotion", "choices"),  # type: ignore[arg-type]
        ([make_result("intensity", {"rating": 9})], "intensity", "not within"),
        ([make_result("intensity", {"rating": 2}), make_result("intensity", {"rating": 3})], "intensity", "2 numbers"),
        ([make_result("mood", {"choices": ["fine"]})], None, "mood is not a field"),
    ],
)
def test_what_does_not_fit_is_told_and_kept_raw(results: list[Any], field: str | None, told: str) -> None:
    row, problems = read(make_annotation(results), make_task(), ITEM, LABELS, ORIGIN)
    assert len(problems) == 1
    assert told in problems[0]
    assert field is None or row[field] is None
    assert json.loads(row["raw"]) == results


def test_an_item_that_cannot_be_judged_has_a_reason_and_no_values() -> None:
    reason = make_result("cannot_judge", {"choices": ["distressing"]})
    results = [make_result("emotion", {"choices": ["fear"]}), make_result("intensity", {"rating": 9}), reason]
    row, problems = read(make_annotation(results), make_task(), ITEM, LABELS, ORIGIN)
    assert (row["action"], row["cannot_judge"], problems) == ("cannot_judge", "distressing", [])
    assert all(row[name] is None for name in LABELS.fields)
    skipped, _ = read(make_annotation([reason], was_cancelled=True), make_task(), ITEM, LABELS, ORIGIN)
    assert (skipped["action"], skipped["cannot_judge"]) == ("skipped", None)
    odd = make_result("cannot_judge", {"choices": ["bored"]})
    row, problems = read(make_annotation([results[0], odd]), make_task(), ITEM, LABELS, ORIGIN)
    assert (row["action"], row["emotion"]) == ("created", ["fear"])
    assert "'bored'" in problems[0]


def test_an_act_names_the_instructions_that_its_annotator_had() -> None:
    shown = [(datetime(2026, 1, 1, tzinfo=UTC), "first"), (datetime(2026, 1, 5, tzinfo=UTC), "second")]
    origin = ORIGIN._replace(guidelines=shown)
    for day, expected in (("2026-01-03", "first"), ("2026-01-06", "second"), ("2025-12-30", None)):
        times = {"created_at": f"{day}T00:00:00Z", "updated_at": f"{day}T00:00:00Z"}
        row, _ = read(make_annotation([], **times), make_task(), ITEM, LABELS, origin)
        assert row["guideline_sha256"] == expected


@pytest.mark.parametrize("result", [None, [], [None], ["text"]])
def test_empty_and_broken_results(result: Any) -> None:
    row, problems = read(make_annotation(result), make_task(), ITEM, LABELS, ORIGIN)
    assert problems == []
    assert all(row[name] is None for name in LABELS.fields)


def test_form_that_was_cleared_still_tells_what_had_filled_it() -> None:
    prelabel = make_prelabel(make_item())
    shown = {**to_prediction(prelabel, LABELS, LAYOUT, ITEM, "offline"), "created_at": "2026-01-01T00:00:00Z"}
    result = [make_result("emotion", {"choices": ["fear"]}, origin="manual")]
    row, _ = read(make_annotation(result), make_task(predictions=[shown]), ITEM, LABELS, ORIGIN)
    assert row["prelabel_id"] == prelabel["prelabel_id"]
    later = {**shown, "created_at": "2026-01-05T00:00:00Z"}
    row, _ = read(make_annotation(result), make_task(predictions=[later]), ITEM, LABELS, ORIGIN)
    assert row["prelabel_id"] is None


def test_annotators_without_an_address() -> None:
    for user, name in ((99, "user 99"), ({"id": 3}, "ann@example.com")):
        row, _ = read(make_annotation([], completed_by=user), make_task(), ITEM, LABELS, ORIGIN)
        assert row["annotator"] == name


def test_judgements_without_a_user_have_raters_of_their_own() -> None:
    annotations = [make_annotation([], completed_by=None, id=n) for n in (1, 1, 2)]
    rows = [read(annotation, make_task(), ITEM, LABELS, ORIGIN)[0] for annotation in annotations]
    assert rows[0]["annotator"] == rows[1]["annotator"] != rows[2]["annotator"]


def test_judgement_seen_again_after_its_deletion_is_restored() -> None:
    created, _ = read(make_annotation([]), make_task(), ITEM, LABELS, ORIGIN)
    gone = to_deletion(created, LABELS, datetime(2026, 2, 1, tzinfo=UTC))
    back, _ = read(make_annotation([]), make_task(), ITEM, LABELS, ORIGIN, earlier=gone)
    assert (back["action"], back["acted_at"], back["judgement_id"]) == ("restored", NOW, created["judgement_id"])
    assert len({row["annotation_id"] for row in (created, gone, back)}) == 3


def test_task_has_what_its_layout_shows() -> None:
    item = make_item(layout="video", video="aa/x.mp4", face="bb/y.jpg", speaker=None, text=None)
    shown = variables_of('<View><Video value="$video" frameRate="$fps"/><Header value="$span: $statement"/></View>')
    assert shown == {"video", "fps", "span", "statement"}
    assert not has_all(item, shown)
    task = to_task({**item, "statement": "He lies."}, shown, {"aa/x.mp4": "/media/x"}, None)
    assert task == {
        "data": {
            "item_id": item["item_id"],
            "text": "",
            "speaker": "",
            "shown": "video+text",
            "blind": False,
            "video": "/media/x",
            "fps": "25",
            "span": "0.00 s to 3.00 s",
            "statement": "He lies.",
        },
        "predictions": [],
    }
    silent = to_task({**item, "statement": None}, shown, {"aa/x.mp4": "/media/x"}, None, is_blind=True)
    assert (silent["data"]["shown"], silent["data"]["blind"]) == ("video", True)


@pytest.mark.parametrize(
    ("shown", "result", "predictions", "arm"),
    [
        ("audio+text", {}, [], "audio+text blind"),
        ("audio+text", {"id": "p1.abc", "origin": "prediction"}, [], "audio+text pre-filled"),
        ("audio", {"id": "abc", "origin": "prediction-changed"}, [], "audio pre-filled"),
        ("text", {}, [{"id": "p1.abc"}], "text pre-filled"),
        (None, {}, [], None),
        (7, {}, [], None),
        ("<b>", {}, [], None),
        ("text\n", {}, [], None),
        ("x" * 61, {}, [], None),
    ],
)
def test_arm_is_what_the_task_showed_and_whether_a_proposal(
    shown: Any, result: dict[str, Any], predictions: list[dict[str, Any]], arm: str | None
) -> None:
    made = [{"created_at": "2026-01-02T03:00:00Z", "result": predictions}] if predictions else []
    task = make_task(data={"item_id": "item", "shown": shown, "blind": True}, predictions=made)
    annotation = make_annotation([make_result("emotion", {"choices": ["fear"]}, **result)])
    row, _ = read(annotation, task, ITEM, LABELS, ORIGIN)
    assert row["arm"] == arm
    assert to_deletion(row, LABELS, NOW)["arm"] == arm


def test_own_turn_is_marked_and_its_text_left_as_it_is() -> None:
    turns = [{"turn": 4, "speaker": "Ann", "text": "Hi"}, {"turn": 5, "speaker": None, "text": "Go away!"}]
    task = to_task(make_item(dialogue=turns, turn=5), {"dialogue"}, {}, None)
    assert task["data"]["dialogue"] == [{"speaker": "Ann", "text": "Hi"}, {"speaker": "▶", "text": "Go away!"}]
    whole = to_task(make_item(dialogue=turns), {"dialogue"}, {}, None)
    assert [turn["speaker"] for turn in whole["data"]["dialogue"]] == ["Ann", ""]


def test_layout_that_shows_what_no_item_has() -> None:
    with pytest.raises(InvalidInput, match="shows \\$vdeo, which no item has"):
        variables_of('<Video value="$vdeo"/>')


def test_task_and_context_tell_what_the_item_does() -> None:
    turns = [{"speaker": "Ann", "text": "Hi 😀"}, {"speaker": None, "text": "Hello"}]
    item = make_item(layout="video", video="aa/x.mp4", dialogue=turns, frame_rate_hz=12.5, width_px=640, height_px=480)
    data = to_task(item, {"dialogue", "fps"}, {}, None)["data"]
    assert (data["fps"], data["dialogue"][1]) == ("12.5", {"speaker": "", "text": "Hello"})
    context = to_context(item)
    assert (context.fps, context.duration_s, context.width_px) == (12.5, 3.0, 640)
    assert context.dialogue == (Turn("Ann", "Hi 😀"), Turn(None, "Hello"))
    assert to_context(make_item(layout="video", video="aa/x.mp4")).fps == 25
    assert to_context(make_item(layout="audio")).fps is None


def test_spans_and_their_relations_find_their_field_and_what_was_not_asked_is_told() -> None:
    taxonomy = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": ["joy", "other"]})
    about = {"taxonomy": taxonomy}
    raw: dict[str, dict[str, Any]] = {
        "emotion": {"type": "category", **about},
        "note": {"type": "text", "when": {"emotion": "other"}},
        "causes": {"type": "spans", "over": "utterance", "relations": ["because"], **about},
    }
    fields = {name: FIELD_TYPES[each["type"]].model_validate({"name": name, **each}) for name, each in raw.items()}
    labels = LabelSchema.model_validate({"name": "l.v1", "unit": "post", "fields": fields})
    words = ITEM.text or ""
    spans = [
        {"id": "a", "turn": None, "start": 0, "end": 5, "text": words[:5], "label": "joy"},
        {"id": "b", "turn": None, "start": 6, "end": 9, "text": words[6:9], "label": "other"},
    ]
    causes = {"spans": spans, "relations": [{"from": "b", "to": "a", "label": "because"}]}
    prelabel = {"prelabel_id": "p1", "scores": [], "emotion": "joy", "note": None, "causes": causes}
    prediction = to_prediction(prelabel, labels, LAYOUT, ITEM, "offline")
    assert all(result["id"].startswith("p1.") for result in prediction["result"])
    results = [
        {k: v for k, v in result.items() if k != "id"} if result["type"] == "relation" else result
        for result in as_submitted_regions(prediction)
    ]
    row, problems = read(make_annotation(results), make_task(), ITEM, labels, ORIGIN)
    assert problems == []
    assert row["causes"] == labels.fields["causes"].check(causes)
    assert {each["field"]: each["origin"] for each in row["origins"]} == {
        "emotion": "prediction",
        "causes": "prediction",
    }

    more = [make_result("note", {"text": ["hm"]}), {"type": "relation", "from_id": "x", "to_id": "y"}]
    row, problems = read(make_annotation([*results, *more]), make_task(), ITEM, labels, ORIGIN)
    assert problems == [
        "a relation starts at a region that does not exist",
        "note: was answered although it was not asked",
    ]
    assert row["note"] is None
    assert row["causes"] is not None


def as_submitted_regions(prediction: dict[str, Any]) -> list[dict[str, Any]]:
    """What the form sends: it tells an origin for everything but relations."""
    return [
        result if result["type"] == "relation" else {**result, "origin": "prediction"}
        for result in prediction["result"]
    ]


def test_value_outside_the_schema_names_its_field() -> None:
    with pytest.raises(ValueError, match="valence: 7 is not within"):
        to_prediction(make_prelabel(make_item(), valence=7.0), LABELS, LAYOUT, ITEM, "offline")
