"""Exports that a real Label Studio made of a project with a config of somebody else's, as its users answered."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.corpus.judgements import current_judgements
from curate.corpus.view import Corpus
from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.stages.tables.importing import import_table
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.label_files import write_asset
from tests.support.runs import run_quietly

TEXTS = ["I lost my 🔑 keys and cried", "What a day."]
CONFIG = """
<View>
  <Text name="post" value="$body"/>
  <Choices name="feeling" toName="post" choice="multiple"><Choice value="Sad"/><Choice value="Afraid"/></Choices>
  <Taxonomy name="kind" toName="post">
    <Choice value="Negative"><Choice value="Loss"/></Choice><Choice value="Positive"/>
  </Taxonomy>
  <Rating name="strength" toName="post" maxRating="5"/>
  <Number name="pleasure" toName="post"/>
  <TextArea name="comment" toName="post" maxSubmissions="3"/>
  <Labels name="spots" toName="post"><Label value="Sad"/><Label value="Afraid"/></Labels>
  <Choices name="cause" toName="post" perRegion="true"><Choice value="Sad"/></Choices>
  <Relations><Relation value="Because"/></Relations>
</View>
"""
LABELS = """
name: stranger.v1
unit: post
fields:
  mood: {type: category, taxonomy: ekman7.v1, multiple: true}
  intensity: {type: scale, minimum: 1, maximum: 5, level: ordinal}
  valence: {type: scale, minimum: -1, maximum: 1, level: interval}
  remark: {type: text}
  words: {type: spans, over: utterance, taxonomy: ekman7.v1, relations: [because]}
"""
MAPPING = """
item_id: {column: COLUMN}
rater: {column: <rater>, map: {FIRST: ann, SECOND: ben}}
long:
  mood: {column: feeling, map: {Sad: sadness, Afraid: fear}}
  intensity: strength
  valence: pleasure
  remark: comment
  words: {column: spots, map: {Sad: sadness, Afraid: fear}}
"""


def result(control: str, kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"from_name": control, "to_name": "post", "type": kind, "value": value, **more}


LOST = {"start": 2, "end": 6, "text": "lost"}
CRIED = {"start": 21, "end": 26, "text": "cried"}
ANSWERS = [
    result("feeling", "choices", {"choices": ["Sad", "Afraid"]}, id="a", origin="prediction-changed"),
    result("kind", "taxonomy", {"taxonomy": [["Negative", "Loss"]]}, id="b"),
    result("strength", "rating", {"rating": 4}, id="c"),
    result("pleasure", "number", {"number": -0.5}, id="d"),
    result("comment", "textarea", {"text": ["first", "second"]}, id="e"),
    result("spots", "labels", {**LOST, "labels": ["Sad"]}, id="s1"),
    result("spots", "labels", {**CRIED, "labels": ["Afraid"]}, id="s2"),
    result("cause", "choices", {**CRIED, "choices": ["Sad"]}, id="s2"),
    {"type": "relation", "from_id": "s2", "to_id": "s1", "direction": "right", "labels": ["Because"]},
]
SPANS = [(2, 6, "lost", "sadness"), (21, 26, "cried", "fear")]


@pytest.fixture(scope="module")
def exports(served: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The exports of a project by format, and the users who answered."""
    folder = tmp_path_factory.mktemp("exports")
    first, second = (served.sign_up(f"{name}@strangers.example") for name in ("one", "two"))
    with served.http() as admin:
        project = admin.post("/api/projects", json={"title": "Of a stranger", "label_config": CONFIG}).json()["id"]
        prediction = {"model_version": "m", "result": [result("strength", "rating", {"rating": 2}, id="p")]}
        tasks = [{"data": {"body": text, "clip": f"c{number}"}} for number, text in enumerate(TEXTS)]
        tasks[0]["predictions"] = [prediction]
        admin.post(f"/api/projects/{project}/import?return_task_ids=true", json=tasks).raise_for_status()
        listed = admin.get("/api/tasks", params={"project": project, "fields": "all"}).json()["tasks"]
        ids = {task["data"]["body"]: task["id"] for task in listed}

        def answer(user: Any, text: str, results: list[dict[str, Any]], **more: Any) -> None:
            url = f"/api/tasks/{ids[text]}/annotations/"
            body = {"result": results, "completed_by": user.user_id, "lead_time": 2.5, **more}
            admin.post(url, json=body).raise_for_status()

        answer(first, TEXTS[0], ANSWERS)
        answer(second, TEXTS[0], [ANSWERS[2]])
        answer(second, TEXTS[1], [], was_cancelled=True)
        draft = {"result": [ANSWERS[2]], "lead_time": 1.0}
        admin.post(f"/api/tasks/{ids[TEXTS[1]]}/drafts", json=draft).raise_for_status()
        paths = {}
        for kind, suffix in (("JSON", "json"), ("JSON_MIN", "json"), ("CSV", "csv")):
            options = {"exportType": kind, "download_all_tasks": "true"}
            content = admin.get(f"/api/projects/{project}/export", params=options).raise_for_status().content
            paths[kind] = folder / f"{kind.lower()}.{suffix}"
            paths[kind].write_bytes(content)
    return {"paths": paths, "users": (first, second)}


def make_posts(folder: Path) -> Corpus:
    write_asset(folder, "labels", "stranger.v1", LABELS)
    (folder / "posts.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    stages = ({"stage": "ingest", "files": "posts.jsonl"}, {"stage": "preprocess"})
    recipe = make_recipe(folder, *stages, labels="stranger.v1")
    run_quietly(recipe, folder / "w")
    return open_corpus(load_recipe(recipe), Workspace(folder / "w"))


@pytest.mark.label_studio
@pytest.mark.parametrize("kind", ["JSON", "JSON_MIN", "CSV"])
def test_every_answer_of_a_real_project_arrives(tmp_path: Path, exports: dict[str, Any], kind: str) -> None:
    corpus = make_posts(tmp_path)
    first, second = exports["users"]
    names = [str(user.user_id) for user in (first, second)]
    column = "data.body" if kind == "JSON" else "body"
    mapping = MAPPING.replace("COLUMN", column).replace("FIRST", names[0]).replace("SECOND", names[1])
    (tmp_path / "map.yaml").write_text(mapping)
    done = import_table(corpus, exports["paths"][kind], tmp_path / "map.yaml", tool="label-studio")
    assert done.problems == ()
    texts = {row["item_id"]: row["text"] for row in corpus.read("items").to_pylist()}
    acts = current_judgements(corpus.read("annotations"), with_skipped=True).to_pylist()
    by_rater = {(act["annotator"], texts[act["item_id"]]): act for act in acts}
    # Only the whole export knows who skipped a task.
    skipped = {("ben", TEXTS[1])} if kind == "JSON" else set()
    assert set(by_rater) == {("ann", TEXTS[0]), ("ben", TEXTS[0]), *skipped}
    ann, ben = by_rater["ann", TEXTS[0]], by_rater["ben", TEXTS[0]]
    answers = {name: ann[name] for name in ("mood", "intensity", "valence", "remark")}
    assert answers == {"mood": ["fear", "sadness"], "intensity": 4, "valence": -0.5, "remark": "first\nsecond"}
    assert [(s["start"], s["end"], s["text"], s["label"]) for s in ann["words"]["spans"]] == SPANS
    assert (ann["lead_time_s"], ann["acted_at"].year >= 2026) == (2.5, True)
    assert (ben["mood"], ben["intensity"], ben["words"], ben["action"]) == (None, 4, None, "created")
    if kind == "JSON":
        assert ann["words"]["relations"] == [{"from": "s2", "to": "s1", "label": "because"}]
        assert {"field": "mood", "origin": "prediction-changed"} in ann["origins"]
        assert by_rater["ben", TEXTS[1]]["action"] == "skipped"
        counted = {"answers in kind, which is not mapped": 1, "answers in cause, which is not mapped": 1}
        assert counted.items() <= done.left_out.items()
        assert done.left_out.get("predictions") == 1
    else:
        assert {"answers in kind, which is not mapped", "answers in cause, which is not mapped"} <= set(done.left_out)
    again = import_table(corpus, exports["paths"][kind], tmp_path / "map.yaml", tool="label-studio")
    assert (again.created, again.updated, again.deleted) == (0, 0, 0)
