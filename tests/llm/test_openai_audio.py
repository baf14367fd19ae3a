"""Speech to text over a real local server that speaks the protocol."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from curate.errors import InvalidRow, MissingDependency, ServiceRefused, ServiceUnavailable
from curate.llm.transport import client as openai_client
from curate.llm.transport.audio import transcribe

HEARD = {
    "text": "Oh no.",
    "language": "en",
    "duration": 1.2,
    "words": [{"word": "Oh", "start": 0.1, "end": 0.4}, {"word": "no", "start": 0.5, "end": 0.9}],
}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = []
        self.requests = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append((self.path, self.headers["authorization"], body))
        status, answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123")
    openai_client._sync_client.cache_clear()
    yield server
    openai_client._sync_client.cache_clear()
    server.shutdown()


def test_the_sound_is_sent_and_the_words_come_back(server):
    server.answers = [(200, HEARD)]
    found = transcribe(b"fLaC-sound", model="whisper-1", language="en")
    assert found == ("Oh no.", (("Oh", 0.1, 0.4), ("no", 0.5, 0.9)), "en")
    path, key, body = server.requests[0]
    assert (path, key) == ("/v1/audio/transcriptions", "Bearer sk-secret-0123")
    for part in (b"fLaC-sound", b"whisper-1", b"verbose_json", b'name="language"\r\n\r\nen', b"word"):
        assert part in body


def test_what_was_heard_once_is_not_paid_for_again(server, tmp_path):
    answers = tmp_path / "answers.sqlite"
    server.answers = [(200, {**HEARD, "echo": "sk-secret-0123"})]
    found = [transcribe(b"x", model="whisper-1", language="en", answers=answers) for _ in range(2)]
    assert (found[0], len(server.requests)) == (found[1], 1)
    assert found[0].text == "Oh no."
    for asked in ({"flac": b"y"}, {"model": "whisper-2"}, {"language": None}):
        given = {"flac": b"x", "model": "whisper-1", "language": "en", **asked}
        transcribe(given.pop("flac"), answers=answers, **given)
    assert len(server.requests) == 4
    assert transcribe(b"z", model="whisper-1", language="en", answers=tmp_path / "elsewhere" / "answers.sqlite")
    assert b"sk-secret-0123" not in answers.read_bytes()
    server.answers = [(200, {"texts": []}), (200, HEARD)]
    with pytest.raises(ServiceUnavailable):
        transcribe(b"new", model="whisper-1", language="en", answers=answers)
    assert transcribe(b"new", model="whisper-1", language="en", answers=answers).text == "Oh no."


def test_a_model_that_gives_text_only(server):
    server.answers = [(200, {"text": "Oh no."})]
    assert transcribe(b"x", model="gpt-transcribe", language=None) == ("Oh no.", (), None)
    assert b"verbose_json" not in server.requests[0][2]
    assert b'name="language"' not in server.requests[0][2]


def test_a_busy_server_is_asked_again(server):
    server.answers = [(503, {}), (429, {}), (200, HEARD)]
    assert transcribe(b"x", model="whisper-1", language=None).text == "Oh no."
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (401, {"error": {"message": "wrong key"}}, ServiceRefused),
        (404, {"error": {"message": "no such model"}}, ServiceRefused),
        (400, {"error": {"message": "too short"}}, InvalidRow),
        (500, b"<html>", ServiceUnavailable),
        (200, b"<html>", ServiceUnavailable),
        (200, {"texts": []}, ServiceUnavailable),
        (200, {"text": None}, ServiceUnavailable),
    ],
)
def test_what_may_go_wrong(server, status, answer, error):
    server.answers = [(status, answer)]
    with pytest.raises(error) as caught:
        transcribe(b"x", model="whisper-1", language=None)
    assert "whisper-1" in caught.value.message
    assert "sk-secret-0123" not in caught.value.message


@pytest.mark.parametrize("words", [[{"word": 3, "start": 0, "end": 1}], [{"word": "a", "start": "x", "end": 1}], [{}]])
def test_words_that_are_none_are_left_out(server, words):
    server.answers = [(200, {**HEARD, "words": words})]
    assert transcribe(b"x", model="whisper-1", language=None).words == ()


def test_no_server_and_no_key(monkeypatch):
    openai_client._sync_client.cache_clear()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(ServiceUnavailable):
        transcribe(b"x", model="whisper-1", language=None)
    openai_client._sync_client.cache_clear()
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingDependency) as caught:
        transcribe(b"x", model="whisper-1", language=None)
    assert "OPENAI_API_KEY" in caught.value.hint
    openai_client._sync_client.cache_clear()
