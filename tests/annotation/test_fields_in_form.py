"""Each field type in a real form: filled in, left as it is, submitted, and read back as it was."""

import json
from typing import Any

import pytest

from curate.annotation.label_studio.client import LabelStudioServer
from curate.labels import FIELD_TYPES, ItemContext, LabelSchema, Taxonomy, Turn, compile_config, parse_layout
from curate.storage.blobs import Blobs
from tests.annotation.annotation_builders import make_clip

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

FILLED = """n => {
  const h = window.Htx
  const s = h && !h.isLoading && h.task && h.annotationStore.selected
  return !!s && s.serializeAnnotation().length >= n
}"""
TEXT = "🤦🏽‍♀️ Oh no, 😀 I lost & found <it> again.\nReally!"
TURNS = (Turn("Ann", "Hi 😀 there, how are you?"), Turn("Ben", "🤦🏽‍♀️ I am so angry, you broke it!"))
HOSTILE = ['A & B <x> "y"', "怒り", "${text}", "Jealousy, Envy", "😀"]


def make_taxonomy(*labels: Any) -> Taxonomy:
    return Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": list(labels)})


def make_layout(objects: str, default: str) -> str:
    return f'<View>{objects}<Fields toName="{default}"/></View>'


def span(turn: int | None, words: str, label: str, **more: Any) -> dict[str, Any]:
    whole = TEXT if turn is None else TURNS[turn].text
    start = whole.index(words)
    return {"turn": turn, "start": start, "end": start + len(words), "text": words, "label": label, **more}


WORDS = make_layout('<Text name="Words" value="$text"/>', "Words")
TALK = make_layout(
    '<Paragraphs name="Talk" value="$dialogue" layout="dialogue" nameKey="speaker" textKey="text"/>', "Talk"
)
FILM = make_layout('<Video name="Film" value="$video" frameRate="$fps"/>', "Film")
SOUND = make_layout('<Audio name="Sound" value="$audio"/>', "Sound")
PICTURE = make_layout('<Image name="Picture" value="$image"/>', "Picture")
MEDIA = {FILM: ("video", "mp4"), SOUND: ("audio", "flac"), PICTURE: ("image", "jpg")}
PAIR = make_layout('<Text name="A" value="$text"/><Text name="B" value="$text"/>', "A")
FLAT = make_taxonomy(*HOSTILE)
TREE = make_taxonomy("joy", {"name": "pride & co", "parent": "joy"}, {"name": "${x}", "parent": "pride & co"}, "fear")
BOX = {"x": 0.123456, "y": 0.2, "width": 0.3, "height": 0.4}
KEYFRAMES = [{"time_s": 0.04, **BOX, "visible": True}, {"time_s": 1.2, **BOX, "x": 0.5, "visible": False}]

CASES: dict[str, tuple[str, str, dict[str, Any], Any]] = {
    "flat": ("post", WORDS, {"type": "category", "taxonomy": FLAT, "multiple": True}, HOSTILE),
    "graded": (
        "post",
        WORDS,
        {"type": "category", "taxonomy": FLAT, "multiple": True, "intensity": list("ABCDE")},
        [{"label": "${text}", "intensity": "B"}, {"label": "Jealousy, Envy", "intensity": "E"}],
    ),
    "tree": ("post", WORDS, {"type": "category", "taxonomy": TREE, "multiple": True}, ["joy", "${x}", "fear"]),
    "tree_graded": (
        "post",
        WORDS,
        {"type": "category", "taxonomy": TREE, "multiple": True, "intensity": {"minimum": 0, "maximum": 2}},
        [{"label": "${x}", "intensity": 1.25}],
    ),
    "words": ("post", WORDS, {"type": "open_set"}, ["wistful 😀", "über-glücklich"]),
    "slider": ("post", WORDS, {"type": "scale", "minimum": -1, "maximum": 1, "required": True}, -0.37),
    "text": ("post", WORDS, {"type": "text"}, "Two\nlines & <b> $text 😀"),
    "spans": (
        "post",
        WORDS,
        {"type": "spans", "over": "utterance", "taxonomy": FLAT, "relations": ["caused_by", "A & B"]},
        {
            "spans": [span(None, "Oh no", "怒り", id="a"), span(None, "<it> again.\nReally", "${text}", id="b")],
            "relations": [{"from": "b", "to": "a", "label": "A & B"}],
        },
    ),
    "dialogue": (
        "dialogue",
        TALK,
        {"type": "spans", "over": "dialogue", "taxonomy": FLAT, "relations": ["caused_by"]},
        {
            "spans": [span(0, "there", "怒り", id="a"), span(1, "so angry, you", "Jealousy, Envy", id="b")],
            "relations": [{"from": "b", "to": "a", "label": "caused_by"}],
        },
    ),
    "film_ranges": (
        "clip",
        FILM,
        {"type": "timeline", "taxonomy": FLAT},
        [{"start_s": 0.2, "end_s": 1.0, "label": "怒り"}, {"start_s": 0.6, "end_s": 2.4, "label": "😀"}],
    ),
    "sound_ranges": (
        "clip",
        SOUND,
        {"type": "timeline", "taxonomy": FLAT},
        [{"start_s": 0.217, "end_s": 1.033, "label": "怒り"}, {"start_s": 0.6, "end_s": 2.4, "label": "${text}"}],
    ),
    "trace": (
        "clip",
        SOUND,
        {"type": "trace", "minimum": -1, "maximum": 1, "step_s": 0.2, "question": "How pleasant is $text?"},
        {"step_s": 0.2, "values": [None, 0.5, 0.5, -0.25, None, 1.0]},
    ),
    "picture_boxes": ("image", PICTURE, {"type": "boxes", "taxonomy": FLAT}, [{**BOX, "label": "怒り"}]),
    "film_boxes": (
        "clip",
        FILM,
        {"type": "boxes", "over": "video", "taxonomy": FLAT},
        [{"label": "${text}", "keyframes": KEYFRAMES}],
    ),
    "grades": ("pair", PAIR, {"type": "preference", "reason": True}, {"grade": -2, "reason": "Because 😀"}),
    "pair": ("pair", PAIR, {"type": "preference", "grades": 1, "tie": False}, {"grade": 1, "reason": None}),
}


def make_case(name: str) -> tuple[LabelSchema, str, ItemContext, Any]:
    unit, layout, settings, value = CASES[name]
    field = FIELD_TYPES[settings["type"]].model_validate({"name": "judged", **settings})
    schema = LabelSchema.model_validate({"name": f"{name}.v1", "unit": unit, "fields": {"judged": field}})
    fps = 25.0 if layout is FILM else None
    item = ItemContext(text=TEXT, dialogue=TURNS, duration_s=3.0, fps=fps, width_px=640, height_px=480)
    return schema, layout, item, field.check(value, item)


def make_data(served: Any, project_id: int, layout: str) -> dict[str, Any]:
    data: dict[str, Any] = {"text": TEXT, "fps": "25"}
    data["dialogue"] = [{"speaker": turn.speaker, "text": turn.text} for turn in TURNS]
    if layout in MEDIA:
        key, kind = MEDIA[layout]
        blobs = Blobs(served.root / "blobs")
        name = blobs.put(make_clip(kind), kind)
        server = LabelStudioServer(served.connection)
        data[key] = server.share_media(project_id, blobs, [name], lambda _: None)[name]
    return data


def make_project(served: Any, name: str, *, filled: bool = True) -> int:
    """A project with one task."""
    schema, layout, item, value = make_case(name)
    results = schema.fields["judged"].to_prediction(value, parse_layout(layout), item)
    with served.http() as admin:
        project = {
            "title": f"field {name}",
            "label_config": compile_config(schema, layout),
            "show_collab_predictions": True,
        }
        made = admin.post("/api/projects", json=project)
        assert made.status_code == 201, made.text
        project_id = made.json()["id"]
        prediction = [{"model_version": "m", "result": results}] if filled else []
        task = {"data": make_data(served, project_id, layout), "predictions": prediction}
        done = admin.post(f"/api/projects/{project_id}/import", json=[task])
        assert done.status_code == 201, done.text
        return project_id


@pytest.fixture(scope="module")
def ann(served: Any) -> Any:
    return served.sign_up("fields@example.com")


def submit(page: Any, served: Any) -> list[dict[str, Any]]:
    with page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST") as answered:
        page.get_by_test_id("bottombar-submit-button").click()
    assert answered.value.status == 201
    with served.http() as admin:
        return admin.get(f"/api/annotations/{answered.value.json()['id']}/").json()["result"]


@pytest.mark.parametrize("name", CASES)
def test_prediction_left_as_it_is_comes_back(
    name: str, served: Any, ann: Any, open_page: Any, keep_picture: Any
) -> None:
    schema, layout, item, value = make_case(name)
    field = schema.fields["judged"]
    project_id = make_project(served, name)
    wanted = len(field.to_prediction(value, parse_layout(layout), item))
    page = open_page(ann)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(f"{served.connection.url}/projects/{project_id}/data?labeling=1")
    page.wait_for_function(FILLED, arg=wanted, timeout=60_000)
    page.wait_for_timeout(2500)
    keep_picture(page, f"field-{name}")
    assert failures == []
    assert page.get_by_text("There was an issue").count() == 0
    results = submit(page, served)
    assert field.from_result(results, item) == value, json.dumps(results, ensure_ascii=False)


@pytest.mark.parametrize(("name", "words"), [("spans", "found"), ("dialogue", "broke")])
def test_span_drawn_by_mouse_behind_emoji(name: str, words: str, served: Any, ann: Any, open_page: Any) -> None:
    schema, _, item, _ = make_case(name)
    project_id = make_project(served, name, filled=False)
    page = open_page(ann)
    page.goto(f"{served.connection.url}/projects/{project_id}/data?labeling=1")
    page.wait_for_function(FILLED, arg=0, timeout=60_000)
    page.wait_for_timeout(1000)
    page.keyboard.press("2")
    box = page.evaluate(
        """words => {
          const shown = document.querySelector('.lsf-main-view__annotation')
          const walk = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT)
          while (walk.nextNode()) {
            const at = walk.currentNode.data.indexOf(words)
            if (at < 0) continue
            const range = document.createRange()
            range.setStart(walk.currentNode, at)
            range.setEnd(walk.currentNode, at + words.length)
            const r = range.getBoundingClientRect()
            return [r.x + r.width / 2, r.y + r.height / 2]
          }
        }""",
        words,
    )
    page.mouse.dblclick(*box)
    page.wait_for_function(FILLED, arg=1, timeout=10_000)
    value = schema.fields["judged"].from_result(submit(page, served), item)
    assert [(each["text"], each["label"]) for each in value["spans"]] == [(words, "怒り")]
