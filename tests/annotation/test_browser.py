"""What annotators see and do in a browser, and what comes back of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.annotation.label_studio.client import LabelStudioServer
from curate.annotation.label_studio.projects import find_projects
from curate.corpus.view import Corpus
from curate.stages.annotate import Annotate, pull, push, status
from curate.storage.blobs import Blobs
from tests.annotation.annotation_builders import make_clip, make_corpus, make_item, make_prelabel, make_tools

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

READY = """() => {
  const h = window.Htx
  return !!h && !h.isLoading && h.task && h.annotationStore.selected && h.annotationStore.predictions.length >= 1
}"""
PLAYABLE = "() => { const v = document.querySelector('video'); return v && v.readyState >= 2 }"
LAYOUTS = {"utterance_video", "utterance_audio", "image", "text"}


@pytest.fixture(scope="module")
def corpus(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """One item of each layout in the workspace of the local server, pushed."""
    blobs = Blobs(served.root / "blobs")
    items = [
        make_item(1, layout="video", video=blobs.put(make_clip("mp4"), "mp4")),
        make_item(2, layout="audio", audio=blobs.put(make_clip("flac"), "flac")),
        make_item(3, layout="image", image=blobs.put(make_clip("jpg"), "jpg")),
        make_item(4, layout="text"),
    ]
    corpus = make_corpus(served.root, items, [make_prelabel(item) for item in items], recipe="seen")
    tools = make_tools(corpus, tmp_path_factory.mktemp("recipe"))
    pushed = push(corpus, tools, Annotate(instructions="Judge what you see and hear."), served.connection)
    assert (pushed.added, pushed.waiting) == (4, 4)
    return corpus


@pytest.fixture(scope="module")
def ann(served: Any) -> Any:
    return served.sign_up("ann@example.com")


def find_project(served: Any, corpus: Corpus, layout: str) -> int:
    found = find_projects(LabelStudioServer(served.connection), "seen", corpus.labels.name)
    return next(project.project_id for key, project in found.items() if key.layout == layout)


def open_form(page: Any, served: Any, corpus: Corpus, layout: str) -> Any:
    """The pre-filled form of the layout's project, with what is judged playing or shown."""
    page.goto(f"{served.connection.url}/projects/{find_project(served, corpus, layout)}/data?labeling=1")
    page.wait_for_function(READY, timeout=60_000)
    page.wait_for_function(PLAYABLE, timeout=30_000)
    page.get_by_text("Judge what you see and hear.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Judge what you see and hear.").wait_for(state="hidden")
    return page.locator(".lsf-main-view__annotation")


def test_annotator_changes_one_emotion_and_pull_returns_exactly_that(
    corpus: Corpus, ann: Any, open_page: Any, served: Any, keep_picture: Any
) -> None:
    page = open_page(ann)
    form = open_form(page, served, corpus, "utterance_video")
    page.evaluate("() => { const v = document.querySelector('video'); v.muted = true; return v.play() }")
    page.wait_for_function("() => document.querySelector('video').currentTime > 0.3", timeout=30_000)
    form.locator("input[name=sadness]").uncheck(force=True)
    form.locator("textarea[name=description]").fill("A raised voice.")
    keep_picture(page, "changed")
    with page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST") as answered:
        page.get_by_test_id("bottombar-submit-button").click()
    assert answered.value.status == 201

    before = {row["item_id"]: row for row in corpus.read("prelabels").to_pylist()}
    counts = pull(corpus, served.connection)
    assert counts[:4] == (1, 0, 0, 0)
    (row,) = corpus.read("annotations").to_pylist()
    assert (row["action"], row["annotator"]) == ("created", "ann@example.com")
    assert row["emotion"] == ["anger"]
    assert (row["intensity"], row["valence"], row["description"]) == (4.0, -0.6, "A raised voice.")
    assert {each["field"]: each["origin"] for each in row["origins"]} == {
        "emotion": "prediction-changed",
        "intensity": "prediction",
        "valence": "prediction",
        "description": "manual",
    }
    assert row["prelabel_id"] == before[row["item_id"]]["prelabel_id"]
    assert row["lead_time_s"] > 0
    assert row["server_annotation_id"] == answered.value.json()["id"]
    answered_fields = {result["from_name"].partition("-")[0] for result in json.loads(row["raw"])}
    assert answered_fields == set(corpus.labels.fields)
    assert pull(corpus, served.connection).new == 0

    shown = {each.layout: each for each in status(corpus, served.connection)}
    assert set(shown) == LAYOUTS
    assert (shown["utterance_video"].tasks, shown["utterance_video"].annotated) == (1, 1)
    assert shown["utterance_video"].annotators == {"ann@example.com": 1}
    assert shown["text"].annotated == 0


def test_media_is_shown_to_members_only(corpus: Corpus, served: Any, tmp_path: Path) -> None:
    with served.http() as admin:
        (task,) = admin.get("/api/tasks/", params={"project": find_project(served, corpus, "utterance_video")}).json()[
            "tasks"
        ]
        video = task["data"]["video"]
        assert admin.get(video).content == make_clip("mp4")
        outside = admin.get("/data/local-files/?d=curate.yaml")
        assert outside.status_code == 404
        login = admin.get("/data/local-files/?d=label_studio/credentials.json")
        assert login.status_code == 404
    with served.http(key="0" * 40) as stranger:
        assert stranger.get(video).status_code in (401, 403)
