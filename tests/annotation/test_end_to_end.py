"""From raw clips to a corrected, released label, with the commands that a user types and a browser."""

import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from tests.annotation.conftest import Served, copy_golden

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

READY = """() => {
  const h = window.Htx
  const v = document.querySelector('video')
  const filled = h && !h.isLoading && h.annotationStore.selected && h.annotationStore.predictions.length
  return filled && v && v.readyState >= 2
}"""


@pytest.fixture
def workspace(run_curate: Any, golden: Path, tmp_path: Path) -> Any:
    """The demo has been run, and the workspace's own server is up."""
    assert run_curate("demo").returncode == 0
    root = tmp_path / "curate-workspace"
    copy_golden(golden, root)
    started = run_curate("annotate", "up", "--json")
    assert started.returncode == 0, started.stderr
    yield root
    assert run_curate("annotate", "down").returncode == 0


def test_a_corrected_label_is_released_with_all_that_led_to_it(
    workspace: Path, run_curate: Any, browser: Any, keep_picture: Any
) -> None:
    pushed = json.loads(run_curate("annotate", "push", "--json").stdout)
    assert (pushed["added"], pushed["waiting"]) == (12, 12)
    assert json.loads(run_curate("annotate", "push", "--json").stdout)["added"] == 0, "pushing twice adds nothing"
    before = {row["item_id"]: row for row in parquet.read_table(workspace / "releases" / "1.0.0" / "data").to_pylist()}

    served = Served(workspace)
    who = served.sign_up("rater@example.com")
    status = json.loads(run_curate("annotate", "status", "--json").stdout)
    address = next(project["url"] for project in status["projects"] if project["layout"] == "utterance_video")
    page = browser.new_context(viewport={"width": 1600, "height": 1050}, service_workers="block").new_page()
    page.goto(f"{served.connection.url}/user/login/")
    page.fill("#email", who.email)
    page.fill("#password", who.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)
    page.goto(f"{address.split('/data')[0]}/data?labeling=1")
    page.wait_for_function(READY, timeout=60_000)
    item_id = page.evaluate("() => JSON.parse(window.Htx.task.data).item_id")
    form = page.locator(".lsf-main-view__annotation")
    names = before[item_id]["prelabel"]["emotion"]
    labels = [form.locator("input[type=checkbox]").nth(i) for i in range(form.locator("input[type=checkbox]").count())]
    filled = [i for i, box in enumerate(labels) if box.is_checked()]
    assert filled == names, "the pre-label is in the form"
    page.evaluate("() => { const v = document.querySelector('video'); v.muted = true; return v.play() }")
    page.wait_for_function("() => document.querySelector('video').currentTime > 0.3", timeout=30_000)
    added = next(i for i in range(len(labels)) if i not in filled)
    labels[added].check(force=True)
    for i in filled:
        labels[i].uncheck(force=True)
    form.locator("input[type=radio][name=other]").check(force=True)
    form.locator("input[name=valence-other]").fill("-0.35")
    keep_picture(page, "end-to-end")
    with page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST") as answered:
        page.get_by_test_id("bottombar-submit-button").click()
    assert answered.value.status == 201

    pulled = json.loads(run_curate("annotate", "pull", "--json").stdout)
    assert (pulled["new"], pulled["created"]) == (1, 1)
    assert json.loads(run_curate("annotate", "pull", "--json").stdout)["new"] == 0, "pulling twice brings nothing"
    done = run_curate("run", "quickstart")
    assert done.returncode == 0, done.stderr
    assert "releases/1.0.1" in done.stdout

    released = {
        row["item_id"]: row for row in parquet.read_table(workspace / "releases" / "1.0.1" / "data").to_pylist()
    }
    assert released.keys() == before.keys()
    row = released[item_id]
    assert (row["emotion"], row["valence"]) == ([added], -0.35), "the corrected label"
    assert (row["label_source"], row["reviewed"], row["raters"]) == ("human", True, 1)
    assert row["emotion_soft"][added] == 1.0
    (judgement,) = row["judgements"]
    assert judgement["emotion"] == [added], "the raw judgement"
    assert {o["field"]: o["origin"] for o in judgement["origins"]}["emotion"] == "prediction-changed"
    assert row["prelabel"] == before[item_id]["prelabel"], "the pre-label"
    assert row["prelabel"]["emotion"] == filled
    assert "rater@example.com" not in json.dumps(row, default=str), "raters are pseudonyms"
    others = [other for key, other in released.items() if key != item_id]
    assert all(other["label_source"] == "model" and not other["reviewed"] for other in others)

    import polars as pl

    acts = pl.read_delta(str(workspace / "tables" / "annotations" / "utterance_emotion.v1"))
    assert acts["judgement_id"].to_list() == [judgement["judgement_id"]]
    assert acts["annotator"].to_list() == ["rater@example.com"]
    assert acts["server_annotation_id"].to_list() == [answered.value.json()["id"]]
    labels_table = pl.read_delta(str(workspace / "tables" / "labels" / "utterance_emotion.v1"))
    evidence = labels_table.filter(pl.col("item_id") == item_id)["evidence"].to_list()
    assert evidence == [acts["annotation_id"].to_list()], "each label names the judgements it rests on"
    assert "Nothing to do" in run_curate("run", "quickstart").stdout
