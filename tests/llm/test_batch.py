"""Batches against a server: merged by key, found again after any death, within the budget, paid once."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from curate.llm.transport.batch.lines import read_lines, write_lines
from tests.support.asking import account, always_good, ask_items, make_request, make_settings, rows, stored
from tests.support.chat_double import BatchPlan
from tests.support.chat_faults import Fault, cut, drop, error_body, expired_key, html, raw, refusal, says, status

TEXTS = [f"item {at} of 12" for at in range(12)]


@pytest.fixture
def double(double):
    return always_good(double)


def batch_settings(double, **options):
    return make_settings(double, mode="batch", **options)


def outcomes(seen):
    assert seen.error is None, seen.error
    return [reply.outcome for reply in seen.replies.values()]


def test_a_batch_fills_the_same_cache_as_single_requests_at_half_the_price(double, tmp_path):
    seen = ask_items(tmp_path, batch_settings(double), TEXTS)
    assert outcomes(seen) == ["ok"] * 12
    assert len(double.batches) == 1
    assert {row["state"] for row in rows(tmp_path, "batches")} == {"done"}
    again = ask_items(tmp_path, make_settings(double), TEXTS)
    assert outcomes(again) == ["ok"] * 12
    assert all(reply.from_cache for reply in again.replies.values())
    assert double.done == 12
    other = tmp_path / "online"
    other.mkdir()
    single = ask_items(other, make_settings(double), TEXTS)
    assert seen.usd == pytest.approx(single.usd / 2)
    assert [r.tokens_in for r in seen.replies.values()] == [r.tokens_in for r in single.replies.values()]
    assert seen.replies[3].request_id


def test_replay_finds_what_a_batch_brought(double, tmp_path):
    ask_items(tmp_path, batch_settings(double), TEXTS)
    again = ask_items(tmp_path, make_settings(double, mode="replay"), TEXTS, model="")
    assert outcomes(again) == ["ok"] * 12


def test_doubled_and_shuffled_lines_count_once(double, tmp_path):
    double.plan(BatchPlan(doubled=True))
    seen = ask_items(tmp_path, batch_settings(double), TEXTS)
    assert outcomes(seen) == ["ok"] * 12
    assert seen.charged == 12


@pytest.mark.parametrize("state", ["expired", "cancelled", "failed", "completed"])
def test_what_a_batch_left_goes_into_the_next(double, tmp_path, state):
    double.plan(BatchPlan(state=state, share=0.0 if state == "failed" else 0.6))
    seen = ask_items(tmp_path, batch_settings(double), TEXTS)
    assert outcomes(seen) == ["ok"] * 12
    assert double.done == 12
    assert seen.charged == 12
    assert sum(reply.tries for reply in seen.replies.values()) > 12
    assert not [row for row in rows(tmp_path, "spend") if row["state"] == "reserved"]


def test_a_service_that_never_answers_its_batches_is_given_up(double, tmp_path):
    double.plan(*[BatchPlan(state="expired", share=0.5)] * 40)
    double.on("item 3 of 12", *[status(500)] * 40)
    seen = ask_items(tmp_path, batch_settings(double, tries=3), TEXTS)
    assert seen.error is None
    assert seen.replies[3].outcome == "error"
    assert seen.replies[3].tries == 3
    assert set(outcomes(seen)) <= {"ok", "error"}


def test_an_error_line_is_judged_like_a_reply_over_http(double, tmp_path):
    double.on("item 1 of", status(500))
    double.on("item 2 of", Fault(400, error_body("maximum context length", "context_length_exceeded")))
    double.on("item 3 of", Fault(400, error_body("content management policy", "content_filter")))
    double.on("item 4 of", refusal())
    double.on("item 5 of", says("no json"))
    double.on("item 6 of", html())
    seen = ask_items(tmp_path, batch_settings(double), TEXTS[:8])
    assert outcomes(seen) == ["ok", "ok", "invalid", "filtered", "refused", "ok", "ok", "ok"]


@pytest.mark.parametrize("reply", [drop(), cut(), status(500), html(), status(429, retry_after="0")])
def test_a_submission_whose_reply_was_lost_is_not_made_twice(double, tmp_path, reply):
    double.plan(BatchPlan(reply=reply))
    seen = ask_items(tmp_path, batch_settings(double), TEXTS)
    assert outcomes(seen) == ["ok"] * 12
    assert len(double.batches) == 1
    assert double.done == 12


def test_everything_about_a_batch_may_fail_once(double, tmp_path):
    for path in ("POST /v1/files", "POST /v1/batches", "GET /v1/batches"):
        double.on_path(path, status(503), drop())
    seen = ask_items(tmp_path, batch_settings(double), TEXTS)
    assert outcomes(seen) == ["ok"] * 12
    assert len(double.batches) == 1


LATE = {
    "no batch": ("GET /v1/batches/*", Fault(404, error_body("No such batch", "not_found"))),
    "no file": ("GET /v1/files/*/content", Fault(404, error_body("No such file", "not_found"))),
    "empty file": ("GET /v1/files/*/content", Fault(200, b"")),
    "no file named": ("GET /v1/batches/*", raw({"id": "b", "status": "completed", "output_file_id": None})),
    "replies counted, no file named": (
        "GET /v1/batches/*",
        raw({"id": "b", "status": "expired", "request_counts": {"completed": 3}, "error_file_id": "f"}),
    ),
    "a file id that is none": ("GET /v1/batches/*", raw({"id": "b", "status": "completed", "output_file_id": [1]})),
}


def billed(double):
    return double.tokens["in"] + double.tokens["out"]


def booked(folder):
    return sum(row["tokens_in"] + row["tokens_out"] for row in rows(folder, "spend"))


@pytest.mark.parametrize("name", LATE)
def test_what_a_service_shows_late_is_waited_for(double, tmp_path, name):
    path, fault = LATE[name]
    double.on_path(path, fault, fault)
    for _ in range(3):
        assert outcomes(ask_items(tmp_path, batch_settings(double), TEXTS)) == ["ok"] * 12
    assert (len(double.batches), double.done) == (1, 12)
    assert booked(tmp_path) == billed(double)


@pytest.mark.parametrize("name", LATE)
def test_what_a_service_does_not_show_is_left_to_the_next_run_and_never_sent_again(double, tmp_path, name):
    path, fault = LATE[name]
    double.on_path(path, *[fault] * 6)
    settings = batch_settings(double, tries=2)
    for _ in range(2):
        seen = ask_items(tmp_path, settings, [*TEXTS, TEXTS[0]])
        assert outcomes(seen) == ["error"] * 13
        assert "the next run looks again" in seen.replies[0].detail
    assert outcomes(ask_items(tmp_path, settings, TEXTS)) == ["ok"] * 12
    assert (len(double.batches), double.done) == (1, 12)
    assert booked(tmp_path) == billed(double)


def test_a_batch_that_is_gone_for_days_is_counted_as_paid_and_sent_again(double, tmp_path):
    double.on_path("GET /v1/batches/*", *[Fault(404, error_body("No such batch", "not_found"))] * 6)
    settings = batch_settings(double, tries=2)
    assert outcomes(ask_items(tmp_path, settings, TEXTS)) == ["error"] * 12
    with sqlite3.connect(tmp_path / "answers.sqlite") as connection:
        connection.execute("UPDATE batches SET submitted_at = '2020-01-01T00:00:00.000+00:00'")
    assert outcomes(ask_items(tmp_path, settings, TEXTS)) == ["error"] * 12
    seen = ask_items(tmp_path, settings, TEXTS)
    assert outcomes(seen) == ["ok"] * 12
    assert seen.charged == 24


def test_a_refused_key_ends_the_stage(double, tmp_path):
    double.on_path("POST /v1/files", expired_key())
    seen = ask_items(tmp_path, batch_settings(double), TEXTS)
    assert type(seen.error).__name__ == "ServiceRefused"
    assert seen.charged == 0


def test_a_model_that_a_batch_does_not_know_ends_the_stage(double, tmp_path):
    seen = ask_items(tmp_path, batch_settings(double), TEXTS, model="gpt-9")
    assert type(seen.error).__name__ == "ServiceRefused"
    assert "gpt-9" in seen.error.message


def test_a_service_without_batches_says_so(double, tmp_path):
    double.on_path("POST /v1/batches", Fault(404, error_body("Unknown request URL", "unknown_url")))
    seen = ask_items(tmp_path, batch_settings(double), TEXTS)
    assert type(seen.error).__name__ == "ServiceRefused"
    assert "batches" in seen.error.message


def test_models_and_labellers_have_batches_of_their_own(double, tmp_path):
    ask_items(tmp_path, batch_settings(double), TEXTS, model="gpt-5-nano", labeller="nano")
    ask_items(tmp_path, batch_settings(double), TEXTS, labeller="mini")
    assert {(row["model"], row["labeller"]) for row in rows(tmp_path, "batches")} == {
        ("gpt-5-nano", "nano"),
        ("gpt-5-mini", "mini"),
    }


def test_a_budget_holds_in_batches_and_what_fits_is_answered(double, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = ask_items(tmp_path / "a", batch_settings(double), TEXTS)
    budget = whole.usd / 2
    seen = ask_items(tmp_path / "b", batch_settings(double, budget_usd=budget), TEXTS)
    assert type(seen.error).__name__ == "Interrupted"
    assert 0 < seen.usd <= budget
    done = len(stored(tmp_path / "b"))
    assert 0 < done < 12
    # Nothing more is begun by another run, not even online.
    online = ask_items(tmp_path / "b", make_settings(double, budget_usd=budget), TEXTS)
    assert type(online.error).__name__ == "Interrupted"
    assert account(tmp_path / "b")[1] <= budget
    richer = ask_items(tmp_path / "b", batch_settings(double, budget_usd=1.0), TEXTS)
    assert outcomes(richer) == ["ok"] * 12
    assert sum(reply.from_cache for reply in richer.replies.values()) >= done


def test_lines_fill_a_file_up_to_its_limit():
    requests = [make_request(f"text {at}") for at in range(10)]
    size = len(write_lines(requests[:1], lambda blob: b"").data)
    written = write_lines(requests, lambda blob: b"", max_bytes=3 * size + 20)
    assert written.included == 3
    assert [json.loads(line)["custom_id"] for line in written.data.splitlines()] == [one.key for one in requests[:3]]
    assert write_lines(requests, lambda blob: b"", max_bytes=5).included == 1


def test_lines_of_nonsense_are_passed_over():
    bad = [
        b"",
        b"{",
        b"[]",
        b'{"custom_id": 7}',
        b'{"custom_id": "a", "response": {"status_code": "200"}}',
        b"[" * 10**5,
    ]
    good = b'{"custom_id": "b", "response": {"status_code": 200, "body": {"x": 1}, "request_id": 9}}'
    found = list(read_lines(b"\n".join([*bad, good])))
    assert [(line.key, line.status, line.unsent is None) for line in found] == [("a", 0, False), ("b", 200, True)]
    assert found[1].body == b'{"x":1}'


def test_lines_hold_nothing_that_cannot_be_stored_or_read():
    lines = [
        b'{"custom_id": "a", "response": {"status_code": 200, "request_id": "r\\ud800\\n1", "body": "\\ud800"}}',
        b'{"custom_id": "b", "response": {"status_code": %d}}' % 10**30,
        b'{"custom_id": "c", "response": {"status_code": -1, "body": {}}}',
        b'{"custom_id": "d", "response": {"status_code": 200, "request_id": "%s"}}' % (b"x" * 10**5),
    ]
    found = {line.key: line for line in read_lines(b"\n".join(lines))}
    assert (found["a"].request_id, found["a"].body) == ("r1", b'"?"')
    assert [(found[key].status, found[key].unsent is None) for key in "bc"] == [(0, False)] * 2
    assert len(found["d"].request_id) == 200


@pytest.mark.parametrize("state", [["completed"], {"a": 1}, 7, None])
def test_a_state_that_is_none_is_asked_for_again(double, tmp_path, state):
    double.on_path("GET /v1/batches/*", raw({"id": "batch_1", "status": state}))
    assert outcomes(ask_items(tmp_path, batch_settings(double), TEXTS[:2])) == ["ok"] * 2


def test_a_list_of_batches_without_an_end_is_left(double, tmp_path):
    double.on_path("POST /v1/batches", *[status(503)] * 20)
    endless = raw({"data": [{"id": "batch_0", "metadata": {}}], "has_more": True})
    double.on_path("GET /v1/batches", *[endless] * 20)
    seen = ask_items(tmp_path, batch_settings(double, tries=2), TEXTS[:2])
    assert type(seen.error).__name__ == "ServiceUnavailable"
    assert sum(call.path == "/v1/batches" for call in double.calls) <= 8


@pytest.mark.parametrize("function", ["results.read_completion", "transport.write_lines"])
def test_whatever_goes_wrong_within_reaches_all_who_wait(double, tmp_path, monkeypatch, function):
    def broken(*_):
        raise OverflowError("int too large to convert to float")

    monkeypatch.setattr(f"curate.llm.transport.batch.{function}", broken)

    async def everything(answers):
        engine = open_engine(batch_settings(double), answers, lambda blob: b"")
        asks = [engine.ask(make_request(text), str, labeller="mini") for text in TEXTS]
        found = await asyncio.wait_for(asyncio.gather(*asks, return_exceptions=True), 20)
        await engine.close()
        return found

    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        found = asyncio.run(everything(answers))
    assert [type(one) for one in found] == [OverflowError] * 12


CHILD = """
import sys
from pathlib import Path
from tests.support.asking import ask_items, make_settings
class Double: url = sys.argv[1]
seen = ask_items(Path(sys.argv[2]), make_settings(Double, mode="batch"), [f"item {at} of 12" for at in range(12)])
assert seen.error is None, seen.error
print([reply.outcome for reply in seen.replies.values()])
"""


def start(double, folder):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen([sys.executable, "-c", CHILD, double.url, str(folder)], env=environment, cwd=root)


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("call", ["POST /v1/files", "POST /v1/batches", "GET /v1/batches/*", "GET /v1/files/*/content"])
def test_a_killed_run_finds_its_batch_again(double, tmp_path, call, made):
    """Kill -9 while a call hangs, before or after the service has done it; the next run pays nothing twice."""
    double.on_path(call, Fault(hang=True, charged=made))
    run = start(double, tmp_path)
    deadline = time.monotonic() + 60
    while not double.held and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert double.held == 1
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    seen = ask_items(tmp_path, batch_settings(double), TEXTS)
    assert outcomes(seen) == ["ok"] * 12
    assert len(double.batches) == 1
    assert double.done == 12
    assert seen.charged == 12
    assert {row["state"] for row in rows(tmp_path, "batches")} <= {"done", "failed"}
    assert not [row for row in rows(tmp_path, "spend") if row["state"] == "reserved"]
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        assert answers.open_batches(double.url) == []
