"""Push and pull against a real Label Studio, as often and as interrupted as one likes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from curate.annotation.label_studio import push as pushing
from curate.annotation.label_studio.client import LabelStudioServer
from curate.annotation.label_studio.projects import Notes, ProjectKey, find_projects
from curate.annotation.label_studio.pull import PullCounts
from curate.annotation.local_server import server as local_server
from curate.annotation.local_server.connection import Connection, connection
from curate.corpus.view import Corpus
from curate.errors import InvalidInput, ServiceConflict, ServiceRefused, ServiceUnavailable
from curate.stages.annotate import Annotate, pull, push, status
from curate.storage.workspace import Workspace
from tests.annotation.annotation_builders import make_clip, make_corpus, make_item, make_prelabel, make_tools

pytestmark = pytest.mark.label_studio

STAGE = Annotate(raters_per_item=3)


class Loop:
    """A corpus of its own, and one round of work on the shared server."""

    def __init__(self, served: Any, root: Path, recipe: str) -> None:
        self.served, self.root, self.recipe = served, root, recipe
        self.connection: Connection = served.connection
        self.corpus: Corpus
        self.http = served.http()

    def fill(self, items: list[Any], prelabels: list[Any] | None = None) -> None:
        self.items = items
        self.prelabels = [make_prelabel(item) for item in items] if prelabels is None else prelabels
        self.corpus = make_corpus(self.root, items, self.prelabels, recipe=self.recipe)

    def push(self, stage: Annotate = STAGE) -> pushing.PushCounts:
        return push(self.corpus, make_tools(self.corpus, self.root), stage, self.connection)

    def pull(self) -> PullCounts:
        with self.corpus.workspace.lock():
            return pull(self.corpus, self.connection)

    def project(self, layout: str = "text") -> int:
        found = find_projects(LabelStudioServer(self.connection), self.recipe, self.corpus.labels.name)
        return next(p.project_id for key, p in found.items() if key.layout == layout)

    def tasks(self, layout: str = "text") -> list[dict[str, Any]]:
        params = {"project": self.project(layout), "fields": "all", "page_size": 1000}
        return sorted(self.http.get("/api/tasks/", params=params).json()["tasks"], key=lambda task: task["id"])

    def judge(self, task_id: int, emotion: str = "fear", **more: Any) -> int:
        value = {"choices": [emotion]}
        result = [{"id": "x", "type": "choices", "from_name": "emotion", "to_name": "Words", "value": value}]
        answer = self.http.post(f"/api/tasks/{task_id}/annotations/", json={"result": result, "lead_time": 2.5, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def rows(self) -> list[dict[str, Any]]:
        found = self.corpus.table("annotations").read().to_pylist()
        return sorted(found, key=lambda row: row["acted_at"])


@pytest.fixture
def loop(served: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Loop]:
    made = Loop(served, tmp_path / "workspace", request.node.name.removeprefix("test_")[:40])
    yield made
    made.http.close()


def test_push_is_repeatable(loop: Loop) -> None:
    items = [make_item(n) for n in range(5)]
    loop.fill(items[:3])
    assert loop.push() == pushing.PushCounts(3, 0, 3, 0)
    assert loop.push() == pushing.PushCounts(0, 0, 3, 0)
    loop.fill(items)
    assert loop.push() == pushing.PushCounts(2, 0, 5, 0)
    tasks = loop.tasks()
    assert sorted(task["data"]["item_id"] for task in tasks) == sorted(item["item_id"] for item in items)
    assert [len(task["predictions"]) for task in tasks] == [1] * 5
    assert {task["predictions"][0]["model_version"] for task in tasks} == {"offline"}
    project = loop.http.get(f"/api/projects/{loop.project()}/").json()
    assert project["maximum_annotations"] == 3
    assert project["model_version"] == "offline"
    assert project["show_collab_predictions"]
    assert not project["enable_empty_annotation"]
    loop.fill([*items, make_item(5)])
    blind = Annotate(raters_per_item=3, blind_share=1.0)
    assert loop.push(blind) == loop.push()._replace(added=1) == pushing.PushCounts(1, 0, 6, 0, blind=1)
    assert [len(task["predictions"]) for task in loop.tasks()] == [1] * 5 + [0]
    assert [project.blind for project in status(loop.corpus, loop.connection)] == [1]


def test_settings_follow_the_recipe(loop: Loop) -> None:
    loop.fill([make_item()])
    loop.push()
    before = loop.http.get(f"/api/projects/{loop.project()}/").json()
    assert not before["show_instruction"], "the meanings of the labels alone do not stand in the way"
    loop.push(Annotate(raters_per_item=2, instructions="Look twice."))
    project = loop.http.get(f"/api/projects/{loop.project()}/").json()
    assert (project["maximum_annotations"], project["show_instruction"]) == (2, True)
    assert project["expert_instruction"] == "<p>Look twice.</p>\n" + before["expert_instruction"]
    assert "No emotion is shown." in project["expert_instruction"]


def test_items_without_a_prelabel_come_with_an_empty_form(loop: Loop) -> None:
    items = [make_item(n) for n in range(3)]
    loop.fill(items, [make_prelabel(items[0]), make_prelabel(items[1], outcome="refused", emotion=None)])
    assert loop.push() == pushing.PushCounts(3, 0, 3, 0)
    by_item = {task["data"]["item_id"]: task["predictions"] for task in loop.tasks()}
    assert [len(by_item[item["item_id"]]) for item in items] == [1, 0, 0]


def test_changed_prelabels_replace_those_that_nobody_has_answered(loop: Loop) -> None:
    items = [make_item(n) for n in range(3)]
    loop.fill(items)
    loop.push()
    judged = next(task for task in loop.tasks() if task["data"]["item_id"] == items[0]["item_id"])
    loop.judge(judged["id"])
    loop.fill(items, [make_prelabel(item, emotion=["surprise"], labeller="other") for item in items[:2]])
    assert loop.push() == pushing.PushCounts(0, 2, 2, 1)
    assert loop.push() == pushing.PushCounts(0, 0, 2, 1)
    by_item = {task["data"]["item_id"]: task["predictions"] for task in loop.tasks()}
    found = [[p["result"][0]["value"]["choices"] for p in by_item[item["item_id"]]] for item in items]
    assert found == [[["anger", "sadness"]], [["surprise"]], []]


def test_push_that_was_killed_goes_on(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "BATCH", 2)
    loop.fill([make_item(n) for n in range(7)])
    sent = LabelStudioServer.import_tasks
    calls = iter(range(100))

    def killed(self: Any, project_id: int, tasks: Any) -> None:
        at = next(calls)
        if at < 3:
            sent(self, project_id, tasks)
        if at >= 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(LabelStudioServer, "import_tasks", killed)
    with pytest.raises(KeyboardInterrupt):
        loop.push()
    monkeypatch.setattr(LabelStudioServer, "import_tasks", sent)
    assert loop.push() == pushing.PushCounts(1, 0, 7, 0)
    assert len(loop.tasks()) == 7


def test_a_batch_that_arrives_after_all_leaves_no_copies(loop: Loop) -> None:
    loop.fill([make_item(n) for n in range(3)])
    loop.push()
    again = [{"data": task["data"]} for task in loop.tasks()]
    loop.http.post(f"/api/projects/{loop.project()}/import", json=again)
    copies = loop.tasks()
    assert len(copies) == 6
    loop.judge(copies[4]["id"])
    assert loop.push().added == 0
    left = loop.tasks()
    assert len(left) == 3
    assert copies[4]["id"] in {task["id"] for task in left}
    assert loop.pull().created == 1


def test_prelabels_that_do_not_fit_are_listed_and_nothing_is_sent(loop: Loop) -> None:
    items = [make_item(n) for n in range(3)]
    wrong = [make_prelabel(items[0], emotion=["rage"]), make_prelabel(items[1], valence=7.0), make_prelabel(items[2])]
    loop.fill(items, wrong)
    with pytest.raises(InvalidInput) as failed:
        loop.push()
    assert len(failed.value.problems) == 2
    assert any("rage" in problem and items[0]["item_id"] in problem for problem in failed.value.problems)
    assert find_projects(LabelStudioServer(loop.connection), loop.recipe, loop.corpus.labels.name) == {}


def test_every_act_comes_back_once(loop: Loop) -> None:
    loop.fill([make_item(n) for n in range(4)])
    loop.push()
    first, second, third, _ = (task["id"] for task in loop.tasks())
    one, two, three = loop.judge(first), loop.judge(second, "neutral"), loop.judge(third, was_cancelled=True)
    assert loop.pull()[:4] == (2, 0, 1, 0)
    assert loop.pull()[:4] == (0, 0, 0, 0)

    changed = [
        {"id": "x", "type": "choices", "from_name": "emotion", "to_name": "Words", "value": {"choices": ["disgust"]}}
    ]
    assert loop.http.patch(f"/api/annotations/{one}/", json={"result": changed}).status_code == 200
    assert loop.http.delete(f"/api/annotations/{two}/").status_code == 204
    late = loop.judge(second, "surprise")
    assert loop.pull()[:4] == (1, 1, 0, 1)
    assert loop.pull().new == 0

    rows = loop.rows()
    acts = {(row["server_annotation_id"], row["action"]): row for row in rows}
    assert set(acts) == {
        (one, "created"), (one, "updated"), (two, "created"), (two, "deleted"), (three, "skipped"), (late, "created")
    }  # fmt: skip
    assert acts[one, "created"]["emotion"] == ["fear"]
    assert acts[one, "updated"]["emotion"] == ["disgust"]
    assert acts[one, "created"]["judgement_id"] == acts[one, "updated"]["judgement_id"]
    assert acts[two, "deleted"]["emotion"] is None
    assert acts[two, "deleted"]["judgement_id"] == acts[two, "created"]["judgement_id"]
    assert acts[three, "skipped"]["emotion"] == ["fear"]
    assert len({row["annotation_id"] for row in rows}) == len(rows)
    assert {row["annotator"] for row in rows} == {local_server.ADMINISTRATOR}
    assert {row["server"] for row in rows} == {loop.connection.name}
    assert acts[one, "created"]["lead_time_s"] == 2.5


def test_pull_without_its_notes_finds_nothing_new(loop: Loop) -> None:
    loop.fill([make_item(n) for n in range(3)])
    loop.push()
    for task in loop.tasks():
        loop.judge(task["id"])
    assert loop.pull().created == 3
    notes = Notes(loop.corpus.workspace.local, loop.connection.name)
    notes.path(ProjectKey(loop.recipe, loop.corpus.labels.name, "text")).unlink()
    assert loop.pull().new == 0


def test_several_raters_judge_one_item(loop: Loop, served: Any) -> None:
    loop.fill([make_item()])
    loop.push()
    (task,) = loop.tasks()
    for n, emotion in enumerate(["fear", "anger"]):
        who = served.sign_up(f"rater{n}@example.com")
        loop.judge(task["id"], emotion, completed_by=who.user_id)
    assert loop.pull().created == 2
    assert {(row["annotator"], *row["emotion"]) for row in loop.rows()} == {
        ("rater0@example.com", "fear"),
        ("rater1@example.com", "anger"),
    }
    (shown,) = status(loop.corpus, loop.connection)
    assert (shown.tasks, shown.annotated) == (1, 1)
    assert shown.annotators == {"rater0@example.com": 1, "rater1@example.com": 1}


def test_deleted_task_takes_its_judgements_back_and_is_sent_again(loop: Loop) -> None:
    loop.fill([make_item(n) for n in range(2)])
    loop.push()
    first, _ = loop.tasks()
    loop.judge(first["id"])
    loop.pull()
    assert loop.http.delete(f"/api/tasks/{first['id']}/").status_code == 204
    assert loop.pull()[:4] == (0, 0, 0, 1)
    assert loop.pull().new == 0
    assert loop.push().added == 1


def test_answers_outside_the_schema_are_stored_and_listed(loop: Loop) -> None:
    loop.fill([make_item(n) for n in range(2)])
    loop.push()
    first, second = loop.tasks()
    odd = [
        {"id": "a", "type": "choices", "from_name": "emotion", "to_name": "Words", "value": {"choices": ["rage"]}},
        {"id": "b", "type": "rating", "from_name": "intensity", "to_name": "Words", "value": {"rating": 2}},
        {"id": "c", "type": "number", "from_name": "valence", "to_name": "Words", "value": {"text": "?"}},
        {"id": "d", "type": "choices", "from_name": "mood", "to_name": "Words", "value": {"choices": ["fine"]}},
    ]
    loop.http.post(f"/api/tasks/{first['id']}/annotations/", json={"result": odd}).raise_for_status()
    loop.judge(second["id"])
    with pytest.raises(InvalidInput) as failed:
        loop.pull()
    assert len(failed.value.problems) == 3
    assert all(f"task={first['id']}" in problem for problem in failed.value.problems)
    assert any("rage" in problem for problem in failed.value.problems)
    stored = {row["task_id"]: row for row in loop.rows()}
    assert len(stored) == 2
    assert stored[first["id"]]["emotion"] is None
    assert stored[first["id"]]["intensity"] == 2.0
    assert json.loads(stored[first["id"]]["raw"])[0]["value"] == {"choices": ["rage"]}
    with pytest.raises(InvalidInput, match="3 answers do not fit"):
        loop.pull()
    assert len(loop.rows()) == 2


def test_tasks_made_by_hand_are_left_alone(loop: Loop) -> None:
    loop.fill([make_item()])
    loop.push()
    loop.http.post(f"/api/projects/{loop.project()}/import", json=[{"data": {"text": "mine", "speaker": ""}}])
    mine = next(task for task in loop.tasks() if "item_id" not in task["data"])
    loop.judge(mine["id"])
    assert loop.push() == pushing.PushCounts(0, 0, 1, 0)
    assert loop.pull().new == 0
    assert len(loop.tasks()) == 2


def test_labeling_interface_changed_by_hand(loop: Loop) -> None:
    loop.fill([make_item()])
    loop.push()
    project = f"/api/projects/{loop.project()}/"
    config = loop.http.get(project).json()["label_config"]
    loop.http.patch(project, json={"label_config": config.replace('value="neutral"', 'value="calm"')})
    with pytest.raises(ServiceConflict, match="changed by hand") as failed:
        loop.push()
    kept = next(word for word in str(failed.value.hint).split() if word.endswith(".xml"))
    loop.http.patch(project, json={"label_config": Path(kept).read_text()})
    assert loop.push() == pushing.PushCounts(0, 0, 1, 0)


def test_layout_changed_by_the_user_is_taken_over(loop: Loop) -> None:
    loop.fill([make_item()])
    loop.push()
    shipped = Path(__file__).parents[2] / "annotation_ui_configs" / "text.xml"
    header = '<Header value="$speaker" size="{}"'
    own = shipped.read_text().replace(header.format(6), header.format(4))
    assert own != shipped.read_text()
    (loop.root / "text.xml").write_text(own)
    assert loop.push() == pushing.PushCounts(0, 1, 1, 0), "the new form is filled in anew"
    assert header.format(4) in loop.http.get(f"/api/projects/{loop.project()}/").json()["label_config"]
    assert loop.push() == pushing.PushCounts(0, 0, 1, 0)


def test_project_that_lost_its_mark_or_was_deleted(loop: Loop) -> None:
    loop.fill([make_item()])
    loop.push()
    project = f"/api/projects/{loop.project()}/"
    loop.http.patch(project, json={"description": "my notes"})
    with pytest.raises(ServiceConflict, match="lost its mark") as failed:
        loop.push()
    mark = str(failed.value.hint).split("`")[1]
    loop.http.patch(project, json={"description": f"my notes {mark}"})
    assert loop.push() == pushing.PushCounts(0, 0, 1, 0)
    assert loop.http.get(project).json()["description"].startswith("my notes curate:")
    loop.http.delete(project)
    with pytest.raises(ServiceConflict, match="was deleted") as failed:
        loop.push()
    Path(str(failed.value.hint).split("delete ")[1]).unlink()
    assert loop.push() == pushing.PushCounts(1, 0, 1, 0)


def test_two_projects_with_one_mark(loop: Loop) -> None:
    loop.fill([make_item()])
    loop.push()
    found = loop.http.get(f"/api/projects/{loop.project()}/").json()
    copy = {"title": "copy", "description": found["description"], "label_config": found["label_config"]}
    loop.http.post("/api/projects/", json=copy).raise_for_status()
    with pytest.raises(ServiceConflict, match="two projects"):
        loop.push()


def test_wrong_key(loop: Loop) -> None:
    loop.fill([make_item()])
    loop.connection = loop.connection._replace(api_key="0" * 40)
    for act in (loop.push, loop.pull):
        with pytest.raises(ServiceRefused, match="refuses the key"):
            act()
    loop.connection = loop.connection._replace(local=False)
    with pytest.raises(ServiceRefused) as failed:
        loop.push()
    assert "LABEL_STUDIO_API_KEY" in str(failed.value.hint)


def test_personal_access_token_works(loop: Loop, served: Any) -> None:
    loop.fill([make_item()])
    loop.connection = loop.connection._replace(api_key=served.sign_up("pat@example.com").key)
    assert loop.push() == pushing.PushCounts(1, 0, 1, 0)


def test_server_that_is_down_or_no_label_studio(loop: Loop) -> None:
    loop.fill([make_item()])
    served_at = loop.connection.url
    loop.connection = loop.connection._replace(url="http://127.0.0.1:9")
    with pytest.raises(ServiceUnavailable, match="does not answer") as failed:
        loop.push()
    assert "curate annotate up" in str(failed.value.hint)
    loop.connection = loop.connection._replace(url=f"{served_at}/nowhere", local=False)
    with pytest.raises(ServiceUnavailable, match="a page instead of data") as failed:
        loop.pull()
    assert "LABEL_STUDIO_URL" in str(failed.value.hint)


def test_media_goes_to_an_external_server_once(loop: Loop) -> None:
    loop.fill([])
    blobs = loop.corpus.workspace.blobs
    clip = blobs.put(make_clip("mp4"), "mp4")
    tone = blobs.put(make_clip("flac"), "flac")
    loop.connection = loop.connection._replace(local=False, name="https://labels.example.org")
    items = [make_item(1, layout="video", video=clip), make_item(2, layout="video", video=clip)]
    loop.fill([*items, make_item(3, layout="audio", audio=tone)])
    assert loop.push().added == 3
    first, second = loop.tasks("utterance_video")
    assert first["data"]["video"] == second["data"]["video"]
    assert loop.http.get(first["data"]["video"]).content == make_clip("mp4")
    assert loop.http.get(loop.tasks("utterance_audio")[0]["data"]["audio"]).content == make_clip("flac")
    loop.fill([*items, make_item(3, layout="audio", audio=tone), make_item(4, layout="video", video=clip)])
    assert loop.push().added == 1
    store = next(p for p in LabelStudioServer(loop.connection).projects() if "curate-media:" in p.description)
    files = loop.http.get(f"/api/projects/{store.project_id}/file-uploads", params={"all": "true"}).json()
    kept = [file["file"].rpartition("-")[2] for file in files]
    assert [kept.count(name.partition("/")[2]) for name in (clip, tone)] == [1, 1]
    assert len(loop.tasks("utterance_video")) == 3


def test_local_media_is_shown_when_the_workspace_is_reached_by_a_link(
    make_root: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = make_root()
    Workspace(tmp_path / "new").local.joinpath("curate.yaml").rename(real / "curate.yaml")
    link = tmp_path / "link"
    link.symlink_to(real)
    monkeypatch.chdir(tmp_path)
    root = Path("new") / ".." / "link"
    item = make_item(1, layout="video", video=Workspace(root).blobs.put(make_clip("mp4"), "mp4"))
    corpus = make_corpus(root, [item])
    local_server.up(root)
    found = connection(root)
    assert found == connection(real)
    assert push(corpus, make_tools(corpus, tmp_path), STAGE, found).added == 1
    with httpx.Client(base_url=found.url, headers={"Authorization": f"Token {found.api_key}"}) as http:
        (project,) = http.get("/api/projects/").json()["results"]
        (task,) = http.get("/api/tasks/", params={"project": project["id"]}).json()["tasks"]
        assert http.get(task["data"]["video"]).content == make_clip("mp4")


def test_an_annotator_reaches_the_shared_media_and_nothing_else(make_root: Any, tmp_path: Path) -> None:
    root = make_root()
    Workspace(tmp_path / "new").local.joinpath("curate.yaml").rename(root / "curate.yaml")
    blobs = Workspace(root).blobs
    shown, hidden = blobs.put(make_clip("mp4"), "mp4"), blobs.put(b"of nobody's task", "mp4")
    corpus = make_corpus(root, [make_item(1, layout="video", video=shown)])
    local_server.up(root)
    found = connection(root)
    assert push(corpus, make_tools(corpus, tmp_path), STAGE, found).added == 1
    with httpx.Client(base_url=found.url, headers={"Authorization": f"Token {found.api_key}"}, timeout=60) as http:
        (project,) = http.get("/api/projects/").json()["results"]
        (task,) = http.get("/api/tasks/", params={"project": project["id"], "fields": "all"}).json()["tasks"]
        assert http.get(task["data"]["video"]).content == make_clip("mp4")
        for folder in (root, root / "label_studio", root / "tables", root / "blobs", root / "label_studio" / "media"):
            settings = {"project": project["id"], "title": "mine", "path": str(folder), "use_blob_urls": True}
            assert http.post("/api/storages/localfiles", json=settings).status_code == 400, folder
        for path in ("label_studio/credentials.json", "../credentials.json", "curate.yaml", f"blobs/{hidden}"):
            # Label Studio answers 500 where a path leads out of its root.
            assert http.get("/data/local-files/", params={"d": path}).status_code >= 400, path


def test_stage_waits_for_people_and_says_what_changed(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.fill([make_item(n) for n in range(2)])
    tools = make_tools(loop.corpus, loop.root)
    waiting = STAGE.perform(loop.corpus, tools)
    assert not waiting.changed
    assert "2 items wait for people" in waiting.message
    assert "curate annotate up" in waiting.message
    monkeypatch.setenv("LABEL_STUDIO_URL", loop.connection.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", loop.connection.api_key)
    assert STAGE.perform(loop.corpus, tools).changed
    assert not STAGE.perform(loop.corpus, tools).changed
    loop.judge(loop.tasks()[0]["id"])
    done = STAGE.perform(loop.corpus, tools)
    assert done.changed
    assert done.counts["acts"] == 1
    assert done.counts["waiting"] == 1
