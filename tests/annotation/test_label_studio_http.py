"""Requests to a Label Studio: keys, access tokens, what is repeated, and life without its SDK."""

import base64
import json
import subprocess
import sys
import time

import httpx
import pytest

from curate.annotation.label_studio.client import LabelStudioServer
from curate.annotation.label_studio.http import LabelStudioHttp, token_claims
from curate.annotation.local_server.connection import Connection
from curate.errors import InvalidInput, ServiceRefused, ServiceUnavailable
from curate.retries import RetryPolicy

URL = "https://labels.example.org/prefix"


def make_token(**claims: object) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims))
    return ".".join([*parts, "signature"])


PERSONAL = make_token(token_type="refresh", exp=4e9)


class LabelStudioDouble:
    """Answers with each of ``answers`` in turn, then with an empty page; checks access tokens as the server does."""

    def __init__(self, *answers: httpx.Response | Exception, key: str = "legacy", lifetime_s: float = 300) -> None:
        self.answers, self.lifetime_s = list(answers), lifetime_s
        self.requests: list[httpx.Request] = []
        self.waits_s: list[float] = []
        self.valid: str | None = None
        self.refreshes = 0
        self.server = LabelStudioServer(Connection(URL, key, local=False, name=URL))
        self.server._http = LabelStudioHttp(
            URL,
            key,
            trust_env=False,
            policy=RetryPolicy(sleep=self.waits_s.append),
            transport=httpx.MockTransport(self.answer),
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/api/token/refresh/"):
            assert request.url.path == "/prefix/api/token/refresh/"
            if json.loads(request.content) != {"refresh": PERSONAL}:
                return httpx.Response(401, json={"detail": "Token is blacklisted"})
            self.refreshes += 1
            now = 1000.0  # The server's clock may be far from ours.
            self.valid = make_token(iat=now, exp=now + self.lifetime_s, number=self.refreshes)
            return httpx.Response(200, json={"access": self.valid})
        self.requests.append(request)
        if self.valid and request.headers["Authorization"] != f"Bearer {self.valid}":
            return httpx.Response(401, json={"detail": "Given token not valid"})
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return httpx.Response(200, json={"results": [], "next": None})


def test_a_legacy_key_is_sent_as_it_is():
    double = LabelStudioDouble(key="0123abcd")
    assert double.server.projects() == []
    (request,) = double.requests
    assert request.headers["Authorization"] == "Token 0123abcd"
    assert (request.url.path, request.headers["Connection"]) == ("/prefix/api/projects/", "close")
    assert double.refreshes == 0


def test_a_personal_key_is_exchanged_once_for_many_requests():
    double = LabelStudioDouble(key=PERSONAL)
    for _ in range(3):
        double.server.projects()
    assert (double.refreshes, len(double.requests)) == (1, 3)
    assert PERSONAL not in str([request.headers for request in double.requests])


def test_an_access_token_near_its_end_is_renewed_before_it_is_used(monkeypatch):
    double = LabelStudioDouble(key=PERSONAL)
    double.server.projects()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 280)
    double.server.projects()
    assert double.refreshes == 2
    assert len(double.requests) == 2


def test_an_access_token_that_the_server_no_longer_takes_is_renewed_and_the_write_arrives_once():
    double = LabelStudioDouble(key=PERSONAL)
    double.server.projects()
    double.valid = "revoked"
    double.server.import_tasks(3, [{"data": {"text": "Hello"}}])
    assert double.refreshes == 2
    assert json.loads(double.requests[-1].content) == [{"data": {"text": "Hello"}}]
    assert [request.method for request in double.requests] == ["GET", "POST", "POST"]


def test_a_personal_key_that_is_refused():
    double = LabelStudioDouble(key=make_token(token_type="refresh", exp=4e9, other=1))
    with pytest.raises(ServiceRefused, match="refuses the key: Token is blacklisted") as failed:
        double.server.projects()
    assert "LABEL_STUDIO_API_KEY" in failed.value.hint
    assert not double.requests


def test_reads_are_repeated_and_wait_as_the_server_asks():
    double = LabelStudioDouble(
        httpx.ConnectError("refused"), httpx.Response(429, headers={"Retry-After": "5"}, json={})
    )
    assert double.server.projects() == []
    assert len(double.requests) == 3
    assert double.waits_s[1] == 5


@pytest.mark.parametrize("failure", [httpx.Response(503, json={"detail": "busy"}), httpx.ReadTimeout("slow")])
def test_a_write_that_may_have_happened_is_not_repeated(failure):
    double = LabelStudioDouble(failure)
    with pytest.raises(ServiceUnavailable):
        double.server.import_tasks(3, [{}])
    assert len(double.requests) == 1


@pytest.mark.parametrize("failure", [httpx.Response(429, json={}), httpx.ConnectError("refused")])
def test_a_write_that_did_not_happen_is_repeated(failure):
    double = LabelStudioDouble(failure)
    double.server.import_tasks(3, [{}])
    assert len(double.requests) == 2


def test_failures_that_stay_are_told_with_the_answer():
    double = LabelStudioDouble(*[httpx.Response(502, json={"detail": "no upstream"}) for _ in range(3)])
    with pytest.raises(ServiceUnavailable, match=r"failed \(502\): no upstream"):
        double.server.projects()
    with pytest.raises(InvalidInput, match=r"does not accept this \(400\): bad"):
        LabelStudioDouble(httpx.Response(400, json={"detail": "bad"})).server.change_project(1, {"title": "a"})
    with pytest.raises(ServiceUnavailable, match="a page instead of data"):
        LabelStudioDouble(httpx.Response(302, headers={"Location": "https://other.example/"})).server.projects()


def test_an_uploaded_file_survives_a_renewal():
    double = LabelStudioDouble(key=PERSONAL)
    double.server.projects()
    double.valid = "revoked"
    double.server._call("POST", "api/projects/3/import", files={"file": ("a.jpg", b"pixels")})
    assert b"pixels" in double.requests[-1].content


@pytest.mark.parametrize("key", ["", "abc", "a.b", "a.b.c", "a.é.c", "a.W10.c", "0" * 40])
def test_keys_that_are_no_web_tokens(key):
    assert token_claims(key) is None
    assert token_claims(PERSONAL) == {"token_type": "refresh", "exp": 4e9}


def test_without_the_sdk_predictions_are_sent_unchecked():
    code = (
        "import sys; sys.modules['label_studio_sdk'] = None; import importlib.util\n"
        "importlib.util.find_spec = lambda name: None\n"
        "import curate.cli.app, curate.recipe, curate.annotation.label_studio.http\n"
        "from curate.annotation.label_studio.client import LabelStudioServer\n"
        "print(LabelStudioServer(None).check_predictions('<View/>', [{}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
