"""A Label Studio that is broken or hostile: what can be read arrives, and the rest is named."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from curate.annotation.fake import KEY, FakeLabelStudio, Response
from curate.annotation.local_server.connection import Connection
from curate.errors import CurateError, InvalidInput, ServiceUnavailable
from curate.stages.annotate import pull
from tests.annotation.test_fake import Round, choice

Change = Callable[[str, dict[str, Any] | list[Any]], Any]


class HostileLabelStudio(FakeLabelStudio):
    """Changes its answers on the way out; fails for a batch with a task of ``broken``."""

    change: Change = staticmethod(lambda path, body: body)
    broken: frozenset[int] | set[int] = frozenset()

    def handle(self, method: str, target: str, headers: Any, body: bytes) -> Response:
        response = super().handle(method, target, headers, body)
        if method != "GET" or response.status != 200 or isinstance(response.body, bytes):
            return response
        copy = json.loads(json.dumps(response.body))
        if "query=" in target and {task["id"] for task in copy["tasks"]} & self.broken:
            return Response(500, {"detail": "surrogates not allowed"})
        return Response(200, self.change(target, copy))


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Round]:
    fake = HostileLabelStudio()
    with fake.serve() as url:
        yield Round(tmp_path / "workspace", url, fake)


def judged(loop: Round, count: int) -> list[int]:
    """Push and judge; returns the annotations."""
    loop.push(count)
    return [loop.fake.judge(task_id, choice("fear")) for task_id in loop.fake.tasks]


def arrived(loop: Round) -> set[int]:
    return {act["server_annotation_id"] for act in loop.acts()}


def test_one_task_that_the_server_cannot_send_costs_only_itself(loop: Round) -> None:
    annotations = judged(loop, 9)
    loop.fake.broken = {list(loop.fake.tasks)[4]}
    for _ in range(2):
        with pytest.raises(InvalidInput) as told:
            loop.pull()
        assert len(told.value.problems) == 1
        assert f"task={min(loop.fake.broken)} cannot be read" in told.value.problems[0]
        assert arrived(loop) == set(annotations) - {annotations[4]}
    loop.fake.broken = set()
    assert loop.pull().created == 1
    assert all(act["action"] == "created" for act in loop.acts())


@pytest.mark.parametrize(
    "values",
    [
        {"updated_at": "0001-01-01T00:00:00Z"},
        {"updated_at": "9999-12-31T23:59:59Z"},
        {"created_at": "x"},
        {"created_at": None},
        {"updated_at": 12},
        {"id": None},
        {"id": "7"},
        {"result": "x"},
        {"result": [{"value": {"text": ["half \ud83d"]}, "from_name": "emotion"}]},
    ],
)
def test_an_annotation_that_cannot_be_is_set_aside_and_the_rest_arrives(loop: Round, values: dict[str, Any]) -> None:
    annotations = judged(loop, 3)

    def change(path: str, body: Any) -> Any:
        for task in body["tasks"] if "query=" in path else ():
            for annotation in task["annotations"]:
                if annotation["id"] == annotations[1]:
                    annotation.update(values)
        return body

    loop.fake.change = change
    with pytest.raises(InvalidInput) as told:
        loop.pull()
    assert "one of its annotations cannot be read" in told.value.problems[0]
    assert arrived(loop) == {annotations[0], annotations[2]}
    loop.fake.change = lambda path, body: body
    assert loop.pull().created == 1
    assert not any(act["action"] == "deleted" for act in loop.acts())


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "x", None, 5])
def test_absurd_times_of_tasks_poison_nothing(loop: Round, time: Any) -> None:
    (annotation, *_) = judged(loop, 2)

    def change(path: str, body: Any) -> Any:
        for task in body["tasks"] if "/tasks" in path else ():
            task["updated_at"] = time
        return body

    loop.fake.change = change
    assert loop.pull().created == 2
    loop.fake.change = lambda path, body: body
    loop.fake.revise(annotation, result=choice("disgust"))
    assert loop.pull().updated == 1


WRONG = [None, 0, "x", [], {}, [None], [[]], {"results": None}, {"results": [None, 1, {"id": None}]}]
WRONG += [{"tasks": 3, "total": 1}, {"tasks": [None, {}], "total": "9"}, {"tasks": [{"id": "x"}], "total": 10**12}]


@pytest.mark.parametrize("where", ["/api/projects", "/api/tasks", "/api/users", "query=", "whoami"])
def test_answers_of_another_type_are_one_sentence(loop: Round, where: str) -> None:
    annotations = judged(loop, 2)
    loop.pull()
    loop.fake.revise(annotations[0], result=choice("disgust"))
    for wrong in WRONG:
        loop.fake.change = lambda path, body, wrong=wrong: wrong if where in path else body
        with suppress(CurateError):
            loop.pull()
    loop.fake.change = lambda path, body: body
    loop.pull()
    assert not any(act["action"] == "deleted" for act in loop.acts())
    assert [act["action"] for act in loop.acts()].count("updated") == 1


def test_a_list_without_end_ends(loop: Round) -> None:
    judged(loop, 2)

    def change(path: str, body: Any) -> Any:
        return body | ({"next": "/api/projects/?page=2"} if "/projects" in path else {"total": 10**12})

    loop.fake.change = lambda path, body: change(path, body) if isinstance(body, dict) else body
    assert loop.pull().created == 2


def test_a_copied_mark_in_the_project_of_an_annotator_changes_nothing(loop: Round) -> None:
    judged(loop, 2)
    (own,) = loop.fake.projects.values()
    loop.fake.projects[999] = {**own, "id": 999, "created_by": {"id": 7}}
    assert loop.pull().created == 2
    assert loop.push(3) == 1
    assert not [task for task in loop.fake.tasks.values() if task["project"] == 999]


def test_an_edit_by_another_person_is_the_act_of_that_person(loop: Round) -> None:
    loop.push(2)
    author, editor = loop.fake.sign_up("author@example.org"), loop.fake.sign_up("editor@example.org")
    edited, kept = (loop.fake.judge(i, choice("fear"), user_id=author) for i in loop.fake.tasks)
    loop.pull()
    loop.fake._clock += timedelta(minutes=1)  # what is changed within milliseconds is no edit
    loop.fake.revise(edited, result=choice("disgust"), updated_by=editor)
    assert loop.pull().updated == 1
    people = [(act["server_annotation_id"], act["action"], act["annotator"]) for act in loop.acts()]
    assert (edited, "updated", "editor@example.org") in people
    assert (edited, "created", "author@example.org") in people
    assert (kept, "created", "author@example.org") in people


def test_a_server_that_fails_for_every_task_is_said_once(loop: Round) -> None:
    judged(loop, 60)
    loop.fake.broken = set(loop.fake.tasks)
    with pytest.raises(ServiceUnavailable, match="failed"):
        loop.pull()
    assert loop.acts() == []


def test_a_server_that_is_none(tmp_path: Path, loop: Round) -> None:
    loop.push(1)
    with loop.corpus.workspace.lock(), pytest.raises(CurateError):
        pull(loop.corpus, Connection(loop.connection.url + "/elsewhere", KEY, local=False, name="fake"))
