"""Every answer that push, pull and status read from a Label Studio, replaced by every wrong kind of answer."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from curate.annotation.fake import ADMINISTRATOR, KEY, FakeLabelStudio
from curate.annotation.label_studio.client import LabelStudioServer
from curate.annotation.label_studio.http import LabelStudioHttp
from curate.annotation.local_server.connection import Connection
from curate.errors import CurateError, InvalidInput
from curate.retries import RetryPolicy
from curate.stages.annotate import Annotate, pull, push, status
from tests.annotation.annotation_builders import make_corpus, make_item, make_prelabel, make_tools
from tests.annotation.test_fake import choice

URL = "http://labels.example.org"
ENDPOINTS = {
    "user": ("GET", r"/api/current-user/whoami"),
    "projects": ("GET", r"/api/projects/\?.*"),
    "project": ("GET", r"/api/projects/\d+/"),
    "create": ("POST", r"/api/projects/"),
    "change": ("PATCH", r"/api/projects/\d+/"),
    "users": ("GET", r"/api/users/"),
    "scan": ("GET", r"/api/tasks/\?(?!.*query=).*"),
    "fetch": ("GET", r"/api/tasks/\?.*query=.*"),
    "import": ("POST", r"/api/projects/\d+/import"),
    "upload": ("POST", r"/api/projects/\d+/import\?.*"),
    "uploads": ("GET", r"/api/projects/\d+/file-uploads\?.*"),
    "predictions": ("POST", r"/api/projects/\d+/import/predictions"),
    "action": ("POST", r"/api/dm/actions/\?.*"),
    "storages": ("GET", r"/api/storages/localfiles\?.*"),
    "storage": ("POST", r"/api/storages/localfiles"),
    "invite": ("GET", r"/api/invite"),
}


def endpoint_of(request: httpx.Request) -> str:
    target = request.url.raw_path.decode()
    (name,) = (
        name
        for name, (method, pattern) in ENDPOINTS.items()
        if method == request.method and re.fullmatch(pattern, target)
    )
    return name


class Broken(httpx.SyncByteStream):
    """A body that ends before it is whole."""

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"results": ['
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


Answer = Callable[[Any], httpx.Response]


def _page(status_code: int, **headers: str) -> Answer:
    text = "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
    return lambda body: httpx.Response(status_code, html=text, headers=headers)


def _bytes(content: bytes, status_code: int = 200, **headers: str) -> Answer:
    headers = {"Content-Type": "application/json", **headers}
    return lambda body: httpx.Response(status_code, content=content, headers=headers)


def _data(status_code: int, value: Any, **headers: str) -> Answer:
    return _bytes(json.dumps(value).encode(), status_code, **headers)


def _lost(error: Exception) -> Answer:
    def fail(body: Any) -> httpx.Response:
        raise error

    return fail


def _encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


VALUES = (None, True, -1, 10**30, "x", "half \ud83d", [], {}, [None], {"id": None}, "9999-12-31T23:59:59Z")
MORE_VALUES = (0, 1e308, "", [[]], [{}], {"detail": "x"}, {"results": None, "tasks": None}, "0001-01-01T00:00:00Z")

ANSWERS: dict[str, Answer] = {
    **{f"{json.dumps(value)} instead": _data(200, value) for value in (*VALUES, *MORE_VALUES)},
    "no JSON": _bytes(b"not json"),
    "a number of 5,000 digits": _bytes(b"1" * 5000),
    "NaN": _bytes(b'{"total": NaN, "tasks": [NaN], "results": [Infinity]}'),
    "nested 100,000 deep": _bytes(b"[" * 100_000),
    "not UTF-8": _bytes(b'{"results": ["\xff\xfe\xfa"]}'),
    "UTF-16": lambda body: httpx.Response(
        200, content=json.dumps(body).encode("utf-16"), headers={"Content-Type": "application/json"}
    ),
    "an unknown charset": _bytes(b"\xff", **{"Content-Type": "application/json; charset=no-such"}),
    "cut JSON": lambda body: _bytes(_encoded(body)[: len(_encoded(body)) // 2])(body),
    "a cut body": lambda body: httpx.Response(200, stream=Broken(), headers={"Content-Type": "application/json"}),
    "no gzip": lambda body: httpx.Response(
        200,
        stream=httpx.ByteStream(b"\x1f\x8bgarbage"),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ),
    "10 MB of text": _bytes(b'"' + b"x" * 10_000_000 + b'"'),
    "a million nulls": _bytes(b"[" + b"null," * 1_000_000 + b"null]"),
    "a page": _page(200),
    "no content type": lambda body: httpx.Response(200, content=b"{}"),
    "empty": _bytes(b""),
    "204": lambda body: httpx.Response(204),
    "206": _data(206, {}),
    "304": lambda body: httpx.Response(304),
    **{f"{code} elsewhere": _page(code, Location="http://evil.example.org/") for code in (301, 302, 307, 308)},
    "303 to itself": _data(303, {}, Location=""),
    **{f"{code} in JSON": _data(code, {"detail": "no"}) for code in (400, 401, 403, 404, 405, 409, 413, 500, 503)},
    **{f"{code} as a page": _page(code) for code in (400, 401, 403, 404, 500, 502, 503, 504)},
    "400 with odd errors": _data(400, {"detail": {"x": [None]}, "validation_errors": [[{}]]}),
    "400 with a list": _data(400, [[None]]),
    "500 with half a character": _data(500, {"detail": "\ud83d \x1b[2J"}),
    "500 without JSON": _bytes(b"\xff{", 500),
    "500 empty": _bytes(b"", 500),
    "429": _data(429, {"detail": "slow down"}, **{"Retry-After": "7"}),
    "429 for years": _data(429, {}, **{"Retry-After": "9" * 40}),
    "503 until a day that is none": _data(503, {}, **{"Retry-After": "Fri, 31 Feb 99999 25:00:00 GMT"}),
    "status 999": lambda body: httpx.Response(999, json={}),
    "refused": _lost(httpx.ConnectError("connection refused")),
    "too late": _lost(httpx.ReadTimeout("timed out")),
    "hung up": _lost(httpx.RemoteProtocolError("server disconnected without sending a response")),
    "a redirect too many": _lost(httpx.TooManyRedirects("too many")),
}


class HostileTransport(httpx.BaseTransport):
    """Reaches ``fake``; the answers of the endpoint ``wrong`` are replaced. ``seen`` are the endpoints that were asked.

    A write is done before its answer is replaced, as by a proxy that loses answers; with ``is_undone`` it is not.
    """

    def __init__(self, fake: FakeLabelStudio) -> None:
        self.fake, self.wrong, self.is_undone = fake, "", False
        self.answer: Answer = lambda body: httpx.Response(200, json=body)
        self.seen: dict[str, Any] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "labels.example.org", "the key was sent elsewhere"
        name = endpoint_of(request)
        body: Any = None
        if name != self.wrong or not self.is_undone:
            target, headers = request.url.raw_path.decode(), request.headers
            response = self.fake.handle(request.method, target, headers, request.read())  # type: ignore[arg-type]
            body = json.loads(json.dumps(response.body)) if not isinstance(response.body, bytes) else None
            self.seen[name] = body
            if name != self.wrong:
                return httpx.Response(response.status, json=body)
        return self.answer(body)


OLD, NEW = Annotate(raters_per_item=2), Annotate(raters_per_item=3)


class World:
    """A corpus, and a server with its tasks: all but the last are judged, and all but one judgement are pulled."""

    def __init__(self, root: Path, fake: FakeLabelStudio, count: int) -> None:
        self.root, self.fake = root, fake
        self.connection = Connection(URL, KEY, local=False, name="fake")
        self.items = [make_item(n) for n in range(count)]
        self.corpus = make_corpus(root, self.items, map(make_prelabel, self.items))
        push(self.corpus, make_tools(self.corpus, root), OLD, self.connection)
        self.tasks, (self.project_id,) = list(fake.tasks), fake.projects
        self.expected: dict[int, str] = {}
        for task_id in self.tasks[:-2]:
            self.judge(task_id)
        self.pull()
        self.judge(self.tasks[-2])

    def judge(self, task_id: int) -> None:
        self.expected[self.fake.judge(task_id, choice("fear"))] = "fear"

    def revise(self) -> None:
        """Every judgement is changed, so that there is something to pull."""
        for annotation in self.expected:
            self.expected[annotation] = "disgust" if self.expected[annotation] == "fear" else "fear"
            self.fake.revise(annotation, result=choice(self.expected[annotation]))

    def pull(self) -> None:
        with self.corpus.workspace.lock():
            pull(self.corpus, self.connection)

    def push(self) -> None:
        push(self.corpus, make_tools(self.corpus, self.root), NEW, self.connection)

    def newest(self) -> dict[int, dict[str, Any]]:
        """The newest act upon each annotation."""
        rows = self.corpus.table("annotations").read().to_pylist()
        return {row["server_annotation_id"]: row for row in sorted(rows, key=lambda row: row["acted_at"])}

    def check(self, *, is_spoiled: bool = False) -> int:
        """The server is as it should be: every judgement is there, though some were read while they were spoiled.

        Returns how many of them are skips.
        """
        with suppress(*[InvalidInput] * is_spoiled):
            self.pull()
        newest = self.newest()
        for annotation, emotion in self.expected.items():
            act = newest[annotation]
            assert act["action"] in ("created", "updated", *["skipped"] * is_spoiled)
            assert act["emotion"] == [emotion] or (is_spoiled and (act["misfits"] or "[]" in act["raw"]))
            assert act["annotator"] == ADMINISTRATOR or is_spoiled
        return sum(newest[annotation]["action"] == "skipped" for annotation in self.expected)


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> HostileTransport:
    """All that is sent to Label Studio goes there, and no wait takes time."""
    transport = HostileTransport(FakeLabelStudio())

    def reach(server: LabelStudioServer) -> LabelStudioHttp:
        policy = RetryPolicy(sleep=lambda _: None)
        return LabelStudioHttp(URL, KEY, trust_env=False, policy=policy, transport=transport)

    monkeypatch.setattr(LabelStudioServer, "_http", property(reach))
    return transport


@pytest.fixture
def make_world(tmp_path: Path, transport: HostileTransport) -> Callable[[int], World]:
    return lambda count: World(tmp_path / "workspace", transport.fake, count)


class Tries:
    """Counts cases, and keeps what ended in anything but a sentence."""

    def __init__(self) -> None:
        self.count, self.crashes, self.refused = 0, [], 0

    def __call__(self, case: str, act: Callable[[], Any]) -> None:
        self.count += 1
        try:
            act()
        except CurateError as error:
            self.refused += bool(error.message)
        except Exception as error:
            self.crashes.append(f"{case}: {type(error).__name__}: {error}"[:300])


@pytest.fixture
def attempt() -> Iterator[Tries]:
    tries = Tries()
    yield tries
    print(f"{tries.count} cases, {tries.refused} refused")
    assert not tries.crashes, "\n".join(tries.crashes)


BLOBS = ["ab/abc.flac"]
CALLS: dict[str, Callable[[LabelStudioServer, World], Any]] = {
    "user": lambda server, world: server.projects(),
    "projects": lambda server, world: server.projects(),
    "project": lambda server, world: server.has_project(world.project_id),
    "create": lambda server, world: server.create_project({"title": "x"}),
    "change": lambda server, world: server.change_project(world.project_id, {"title": "x"}),
    "users": lambda server, world: server.users(),
    "scan": lambda server, world: server.scan(world.project_id),
    "fetch": lambda server, world: server.fetch(world.tasks, world.project_id),
    "import": lambda server, world: server.import_tasks(world.project_id, []),
    "uploads": lambda server, world: server._uploaded(world.project_id),
    "predictions": lambda server, world: server.replace_predictions(
        world.project_id, {world.tasks[-1]: {"result": []}}
    ),
    "action": lambda server, world: server.delete_tasks(world.project_id, [0]),
    "storages": lambda server, world: server._expose(world.project_id, world.root),
    "storage": lambda server, world: server._expose(world.project_id, world.root),
    "invite": lambda server, world: server.invitation(),
}


def test_every_answer_of_every_kind_is_read_or_refused(
    make_world: Callable[[int], World], transport: HostileTransport, attempt: Tries
) -> None:
    """Also asks for what is there, so that no kind of answer is refused for another reason."""
    world = make_world(3)
    for transport.wrong, call in CALLS.items():
        transport.answer = lambda body: _data(200, body)(None)
        call(LabelStudioServer(world.connection), world)
        for kind, transport.answer in ANSWERS.items():
            attempt(f"{transport.wrong}, {kind}", lambda call=call: call(LabelStudioServer(world.connection), world))
    assert set(CALLS) | {"upload"} == set(ENDPOINTS)
    assert attempt.refused > attempt.count // 2


@pytest.mark.parametrize("endpoint", ["user", "projects", "users", "scan", "fetch"])
def test_no_answer_to_a_pull_loses_a_judgement(
    make_world: Callable[[int], World], transport: HostileTransport, attempt: Tries, endpoint: str
) -> None:
    world = make_world(4)
    for kind, answer in ANSWERS.items():
        world.revise()
        transport.wrong, transport.answer = endpoint, answer
        attempt(f"pull, {kind}", world.pull)
        if endpoint != "fetch":
            attempt(f"status, {kind}", lambda: status(world.corpus, world.connection))
        transport.wrong = ""
        assert {act["action"] for act in world.newest().values()} <= {"created", "updated"}, kind
    world.check()


PUSHED = ("user", "projects", "create", "change", "scan", "import", "upload", "uploads", "predictions", "action")
LOST = ("null instead", "502 as a page", "too late")


@pytest.mark.parametrize("is_undone", [False, True])
def test_no_answer_to_a_push_loses_or_doubles_a_task(
    make_world: Callable[[int], World], transport: HostileTransport, attempt: Tries, is_undone: bool
) -> None:
    """A new text and a new sound, other pre-labels, and another number of raters."""
    world = make_world(3)
    clip = world.corpus.workspace.blobs.put(b"fLaC", "flac")
    items = [*world.items, make_item(9), make_item(8, layout="audio", audio=clip)]
    prelabels = {item["item_id"]: make_prelabel(item, emotion=["fear"]) for item in items}
    world.corpus = make_corpus(world.root, items, prelabels.values())
    before, notes, kept = world.fake.snapshot(), world.root / "label_studio", world.root / "notes"
    notes.rename(kept)
    transport.seen.clear()
    transport.is_undone = is_undone
    for endpoint in PUSHED:
        for kind in LOST:
            world.fake.restore(before)
            shutil.rmtree(notes, ignore_errors=True)
            shutil.copytree(kept, notes)
            transport.wrong, transport.answer = endpoint, ANSWERS[kind]
            attempt(f"{endpoint}, {kind}", world.push)
            transport.wrong = ""
            world.push()
            tasks = world.fake.tasks.values()
            assert sorted(task["data"]["item_id"] for task in tasks) == sorted(prelabels), (endpoint, kind)
            for task in tasks:
                *_, prediction = task["predictions"]
                is_new = prediction["result"][0]["id"].startswith(prelabels[task["data"]["item_id"]]["prelabel_id"])
                assert (is_new, len(task["predictions"])) == (not task["annotations"], 1), (endpoint, kind)
            settings = [project.get("maximum_annotations") for project in world.fake.projects.values()]
            assert sorted(settings, key=str) == [3, 3, None], (endpoint, kind)
            assert [data for files in world.fake.uploads.values() for data in files.values()] == [b"fLaC"]
    assert set(transport.seen) == set(PUSHED)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value in a JSON value; of lists, that of the first entry."""
    if place:
        yield place
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from places(entry, (*place, name))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*place, 0))


def change(value: Any, place: tuple[Any, ...], *new: Any) -> None:
    """Put another value at a place; without one, nothing is there."""
    *parents, last = place
    for name in parents:
        value = value[name]
    if new:
        value[last] = new[0]
    else:
        del value[last]


@pytest.mark.parametrize(
    ("endpoint", "part"), [("scan", slice(None)), *(("fetch", slice(n, None, 4)) for n in range(4))]
)
def test_no_value_in_a_task_loses_the_judgement_of_another(
    make_world: Callable[[int], World], transport: HostileTransport, attempt: Tries, endpoint: str, part: slice
) -> None:
    """All tasks but the last ones have another wrong value at the same place."""
    world = make_world(len(VALUES) + 4)

    def spoil(body: Any) -> httpx.Response:
        for task, values in zip(body["tasks"], [(), *((value,) for value in VALUES)], strict=False):
            with suppress(LookupError, TypeError):
                change(task, place, *values)
        return _data(200, body)(None)

    read = list(places(transport.seen[endpoint]["tasks"][0]))
    for place in [place for place in read if endpoint == "fetch" or len(place) == 1][part]:
        world.revise()
        transport.wrong, transport.answer = endpoint, spoil
        attempt(f"{place}", world.pull)
        transport.wrong = ""
        newest, last = world.newest(), max(world.expected)
        assert newest[last]["emotion"] == [world.expected[last]], place
        assert {newest[i]["action"] for i in world.expected if i in newest} <= {"created", "updated", "skipped"}, place
        skipped = world.check(is_spoiled=place[0] == "annotations")
        assert skipped == (place[-1] == "was_cancelled"), "true is the only value that skips a task"


@pytest.mark.parametrize("endpoint", ["user", "users", "projects"])
def test_no_value_in_a_listing_loses_a_judgement(
    make_world: Callable[[int], World], transport: HostileTransport, attempt: Tries, endpoint: str
) -> None:
    world = make_world(4)
    read = ("results", "next", "id", "description", "label_config", "created_by", 0)
    for place in [place for place in places(transport.seen[endpoint]) if set(place) <= set(read)]:
        world.revise()
        for values in [(), *((value,) for value in VALUES)]:

            def spoil(body: Any, place: Any = place, values: Any = values) -> httpx.Response:
                change(body, place, *values)
                return _data(200, body)(None)

            transport.wrong, transport.answer = endpoint, spoil
            attempt(f"{place} {values}", world.pull)
            transport.wrong = ""
        world.check(is_spoiled=endpoint == "users")
