"""An item of a form finished by keyboard alone: what its keys do in a real browser."""

from pathlib import Path
from typing import Any

import pytest

from curate.annotation.label_studio.client import LabelStudioServer
from curate.annotation.label_studio.projects import find_projects
from curate.labels import load_labels
from curate.stages.annotate import Annotate, pull, push
from curate.storage.workspace import Workspace
from tests.annotation.annotation_builders import make_corpus, make_tools
from tests.annotation.screen_items import make_shown

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

READY = """() => {
  const htx = window.Htx
  const videos = [...document.querySelectorAll('video')]
  return htx && !htx.isLoading && htx.task && htx.annotationStore.selected && videos.length === 1
    && videos.every(each => each.readyState >= 2)
}"""
ANSWERS = "() => window.Htx.annotationStore.selected.serializeAnnotation().map(each => each.from_name)"
VIDEO = "() => { const v = document.querySelector('video'); return [v.paused, v.currentTime] }"


def test_an_item_is_watched_judged_and_submitted_by_keys_alone(served: Any, open_page: Any, tmp_path: Path) -> None:
    labels = load_labels("utterance_affect.v1")
    root = tmp_path / "workspace"
    item = make_shown("utterance", "video", Workspace(root).blobs, recipe="keys")
    corpus = make_corpus(root, [item], recipe="keys", labels=labels)
    reach = served.connection._replace(local=False, name="https://keys.example.org")
    push(corpus, make_tools(corpus, tmp_path), Annotate(), reach)
    (project,) = find_projects(LabelStudioServer(reach), "keys", labels.name).values()
    page = open_page(served.sign_up("keys@example.com"), 1280, 800)
    page.goto(f"{reach.url}/projects/{project.project_id}/data?labeling=1")
    page.wait_for_function(READY, timeout=60_000)
    guideline = page.locator(".lsf-modal-ls_visible")
    guideline.wait_for()
    for key in ("7", "1", "w", "Space", "Control+Enter"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.evaluate(ANSWERS) == [], "keys pass through the guideline to the form"
    assert page.evaluate(VIDEO)[0], "space plays what the guideline covers"
    page.keyboard.press("Escape")
    guideline.wait_for(state="hidden")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('video').currentTime > 3", timeout=15_000)
    page.wait_for_function("() => document.querySelector('video').currentTime < 2", timeout=15_000)
    page.keyboard.press("Space")
    page.wait_for_timeout(300)
    assert page.evaluate(VIDEO)[0], "space pauses what space has started"
    # neutral goes when anger comes; 0 is an answer on all three scales
    for key in ("7", "1", "w", "g", "Shift+5", "Shift+t"):
        page.keyboard.press(key)
        page.wait_for_timeout(100)
    with page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST") as answered:
        page.keyboard.press("Control+Enter")
    assert answered.value.status == 201
    assert pull(corpus, reach)[:4] == (1, 0, 0, 0)
    (row,) = corpus.read("annotations").to_pylist()
    assert (row["emotion"], row["intensity"]) == (["anger"], 2.0)
    assert (row["valence"], row["arousal"], row["dominance"]) == (0.0, 0.0, 0.0)
    assert row["guideline_sha256"]
