"""What was forgotten leaves the annotation server, at once or as soon as it can be reached."""

from datetime import date

import pytest

from curate.annotation.fake import KEY, FakeLabelStudio
from curate.annotation.label_studio.client import LabelStudioServer
from curate.annotation.local_server.connection import connection
from curate.pipeline.forget import Scope, forget, plan_forgetting, resume
from curate.stages.annotate import Annotate, pull, push
from tests.annotation.annotation_builders import make_corpus, make_item, make_prelabel, make_tools

TODAY = date(2027, 3, 1)
RESULT = [{"id": "x", "type": "choices", "from_name": "emotion", "to_name": "Words", "value": {"choices": ["fear"]}}]


@pytest.fixture
def loop(tmp_path, monkeypatch):
    """Three items on a server, one with media, judged by two raters; gives the server, the corpus and its ids."""
    fake = FakeLabelStudio()
    corpus = make_corpus(tmp_path / "w", [])
    image = corpus.workspace.blobs.put(b"a picture", "jpg")
    items = [make_item(0), make_item(1), make_item(2, layout="image", image=image)]
    corpus = make_corpus(tmp_path / "w", items, [make_prelabel(item) for item in items])
    with fake.serve() as url:
        monkeypatch.setenv("LABEL_STUDIO_URL", url)
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", KEY)
        push(corpus, make_tools(corpus, tmp_path), Annotate(raters_per_item=2), connection(tmp_path))
        raters = [fake.sign_up(email) for email in ("ada@example.org", "ben@example.org")]
        for task_id in fake.tasks:
            for rater in raters:
                fake.judge(task_id, RESULT, user_id=rater)
        pull(corpus, connection(tmp_path))
        yield fake, corpus, [item["item_id"] for item in items]


def tasks(fake: FakeLabelStudio) -> set[str]:
    return {task["data"]["item_id"] for task in fake.tasks.values()}


def test_tasks_media_and_judgements_leave_the_server_and_do_not_come_back(loop, tmp_path):
    fake, corpus, ids = loop
    assert sum(len(files) for files in fake.uploads.values()) == 1
    plan = plan_forgetting(corpus.workspace, Scope("item", ids[2]), "asked", today=TODAY)
    assert plan.server.startswith("1 task and 0 other judgements")
    assert tasks(fake) == set(ids), "a plan removes nothing"
    assert not forget(corpus.workspace, plan).server_waits
    assert tasks(fake) == set(ids[:2])
    assert sum(len(files) for files in fake.uploads.values()) == 0
    plan = plan_forgetting(corpus.workspace, Scope("annotator", "ada@example.org"), "asked", today=TODAY)
    assert plan.server.startswith("0 tasks and 2 other judgements")
    forget(corpus.workspace, plan)
    people = [act["completed_by"] for task in fake.tasks.values() for act in task["annotations"]]
    assert {fake.users[user] for user in people} == {"ben@example.org"}
    fake.judge(next(iter(fake.tasks)), RESULT, user_id=next(i for i, name in fake.users.items() if "ada" in name))
    assert pull(corpus, connection(tmp_path)).new == 0
    assert set(corpus.table("annotations").read()["annotator"].to_pylist()) == {"ben@example.org"}


def test_media_of_another_workspace_on_the_same_server_stay(loop, tmp_path):
    fake, corpus, ids = loop
    other = make_corpus(tmp_path / "other", [], recipe="other")
    image = other.workspace.blobs.put(b"another picture", "jpg")
    shared = other.workspace.blobs.put(b"a picture", "jpg")
    items = [make_item(number, layout="image", image=blob) for number, blob in enumerate((image, shared))]
    other = make_corpus(tmp_path / "other", items, recipe="other")
    push(other, make_tools(other, tmp_path), Annotate(), connection(tmp_path))
    alone = corpus.workspace.blobs.put(b"shown by nobody", "jpg")
    LabelStudioServer(connection(tmp_path)).share_media(0, corpus.workspace.blobs, [alone], print)
    assert sum(len(files) for files in fake.uploads.values()) == 3
    forget(corpus.workspace, plan_forgetting(corpus.workspace, Scope("item", ids[2]), "asked", today=TODAY))
    assert ids[2] not in tasks(fake)
    names = {path.rpartition("-")[2] for files in fake.uploads.values() for path in files}
    assert names == {blob.partition("/")[2] for blob in (image, shared)}


def test_a_server_out_of_reach_is_asked_later(loop, monkeypatch):
    fake, corpus, ids = loop
    address = connection(corpus.workspace.local).url
    monkeypatch.delenv("LABEL_STUDIO_URL")
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    plan = plan_forgetting(corpus.workspace, Scope("item", ids[0]), "asked", today=TODAY)
    assert "out of reach" in plan.server
    said: list[str] = []
    assert forget(corpus.workspace, plan, say=said.append).server_waits
    assert any("curate annotate push" in line for line in said)
    assert ids[0] in tasks(fake)
    monkeypatch.setenv("LABEL_STUDIO_URL", address)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", KEY)
    assert not resume(corpus.workspace).server_waits
    assert tasks(fake) == set(ids[1:])
