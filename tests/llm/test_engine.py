"""Asking through the engine, over a real local server: stored, shared, mended, limited, and never paid twice."""

import asyncio
import itertools
import sqlite3
import threading
import time

import pytest

from curate.errors import (
    Interrupted,
    InvalidInput,
    MissingDependency,
    ServiceRefused,
    ServiceUnavailable,
    StorageFailed,
    WorkspaceUnusable,
)
from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from curate.llm.request import MediaPart, Message, Request
from curate.llm.stream import stream
from curate.storage.blobs import Blobs
from tests.llm.engine_builders import ask_all, make_request, make_settings, read_emotion
from tests.support.asking import KEY
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import (
    Fault,
    content_filter,
    drop,
    error_200,
    error_body,
    expired_key,
    filtered_400,
    flagged,
    half_json,
    hang,
    length,
    quota,
    raw,
    refusal,
    says,
    status,
    too_long,
    unknown_model,
)

JOY = '{"emotion": "joy"}'


@pytest.fixture
def answers(tmp_path):
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        yield answers


def test_replies_are_checked_stored_and_never_asked_for_again(double, answers):
    requests = [make_request(f"item {n % 5}") for n in range(20)]
    replies, spent = ask_all(answers, make_settings(double), requests)
    assert all(reply.outcome == "ok" and reply.value in ("joy", "anger") for reply in replies)
    assert [reply.value for reply in replies[:5]] * 4 == [reply.value for reply in replies]
    assert double.requests == 5
    assert (spent.requests, spent.from_cache, spent.outcomes) == (5, 15, {"ok": 20})
    first = replies[0]
    assert first.model == "gpt-5-mini-2026-08-07"
    assert first.request_id.startswith("req_")
    assert first.tokens_in > 0
    assert first.usd == pytest.approx((first.tokens_in * 0.25 + first.tokens_out * 2) / 1e6)
    assert first.paid_usd == first.usd
    again, spent = ask_all(answers, make_settings(double), requests)
    assert double.requests == 5
    assert [(r.value, r.key, r.usd, r.created_at) for r in again] == [
        (r.value, r.key, r.usd, r.created_at) for r in replies
    ]
    assert all(reply.from_cache and reply.paid_usd == 0 and reply.tries == 0 for reply in again)
    assert (spent.requests, spent.usd) == (0, 0.0)


def test_a_second_file_serves_what_the_first_run_stored(double, tmp_path):
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        ask_all(answers, make_settings(double), [make_request()])
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        (reply,), _ = ask_all(answers, make_settings(double), [make_request()])
    assert (reply.from_cache, double.requests) == (True, 1)


def test_an_unusable_answer_is_shown_to_the_model_once(double, answers):
    double.then(says('{"emotion": "hunger"}'))
    double.answer = lambda body: JOY
    (reply,), spent = ask_all(answers, make_settings(double), [make_request()])
    assert (reply.outcome, reply.value, spent.requests) == ("ok", "joy", 2)
    *_, shown, told = double.calls[-1].body["messages"]
    assert shown == {"role": "assistant", "content": '{"emotion": "hunger"}'}
    assert "'hunger' is not one of its 2 labels" in told["content"]
    assert reply.tokens_in > answers.find(reply.key).tokens_in
    (reply,), spent = ask_all(answers, make_settings(double), [make_request()])
    assert (reply.value, double.requests) == ("joy", 2)


def test_an_answer_that_stays_unusable_is_invalid(double, answers):
    double.answer = lambda body: '{"emotion": "hunger"}'
    (reply,), _ = ask_all(answers, make_settings(double), [make_request()])
    assert (reply.outcome, reply.value, double.requests) == ("invalid", None, 2)
    assert "hunger" in reply.detail
    ask_all(answers, make_settings(double), [make_request()])
    assert double.requests == 2


def test_a_cut_off_answer_gets_twice_the_room_once(double, answers):
    double.on('"max_completion_tokens":100', length())
    double.answer = lambda body: JOY
    (reply,), _ = ask_all(answers, make_settings(double), [make_request()])
    assert (reply.outcome, double.calls[-1].body["max_completion_tokens"]) == ("ok", 200)
    double.on("item 2", length(), length())
    (reply,), _ = ask_all(answers, make_settings(double), [make_request("item 2")])
    assert (reply.outcome, reply.value) == ("truncated", None)


@pytest.mark.parametrize(
    ("fault", "outcome", "detail"),
    [
        (refusal(), "refused", "can't help"),
        (content_filter(), "filtered", "filtered"),
        (filtered_400(), "filtered", "content management"),
        (flagged(reasons=["violence"]), "filtered", "status 403: Your input was flagged"),
    ],
)
def test_refusals_and_filters_are_final_and_stored(double, answers, fault, outcome, detail):
    double.then(fault)
    for _ in range(2):
        (reply,), _ = ask_all(answers, make_settings(double), [make_request()])
        assert (reply.outcome, reply.value, double.requests) == (outcome, None, 1)
        assert detail in reply.detail


def test_a_request_that_cannot_be_answered_harms_no_other(double, answers):
    double.on("item 1", too_long())
    replies, _ = ask_all(answers, make_settings(double), [make_request("item 1"), make_request("item 2")])
    assert [reply.outcome for reply in replies] == ["invalid", "ok"]
    assert "maximum context length" in replies[0].detail
    assert answers.find(replies[0].key) is None


def test_faults_on_the_way_are_tried_again(double, answers):
    double.on("item 1", status(500), half_json(), status(429, retry_after="0"), drop())
    (reply,), spent = ask_all(answers, make_settings(double), [make_request()])
    assert (reply.outcome, reply.tries, spent.retries) == ("ok", 5, 4)


def test_the_word_of_a_gateway_with_status_200_is_kept_and_not_paid_for(double, answers):
    double.on("item 1", *[error_200("the model {key} is down", code=502)] * 2)
    double.on("item 2", Fault(200, b'{"error": {"code": 429}}', {"retry-after": "0"}))
    replies, spent = ask_all(answers, make_settings(double, tries=2), [make_request(f"item {n}") for n in (1, 2)])
    assert [reply.outcome for reply in replies] == ["error", "ok"]
    assert replies[0].detail == "the reply is an error: the model *** is down"
    assert spent.usd == replies[1].usd


def test_what_stays_away_is_an_error_and_asked_for_by_the_next_run(double, answers):
    double.on("item 1", *[status(500)] * 3)
    (reply,), _ = ask_all(answers, make_settings(double, tries=3), [make_request()])
    assert (reply.outcome, reply.tries) == ("error", 3)
    assert "status 500" in reply.detail
    (reply,), _ = ask_all(answers, make_settings(double, tries=3), [make_request()])
    assert reply.outcome == "ok"


def test_a_service_that_hangs_is_given_up_in_time(double, answers):
    double.on("item 1", hang())
    began = time.monotonic()
    (reply,), spent = ask_all(answers, make_settings(double, request_timeout_s=0.3), [make_request()])
    assert (reply.outcome, reply.tries) == ("ok", 2)
    assert time.monotonic() - began < 4
    # The service may have charged for what it never sent.
    assert spent.usd > reply.usd
    assert reply.paid_usd == pytest.approx(spent.usd)


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (expired_key(), ServiceRefused, "refuses the key"),
        (unknown_model(), ServiceRefused, "gpt-9"),
        (quota(), ServiceRefused, "no credit left"),
        (Fault(402, error_body("Payment required")), ServiceRefused, "no credit left"),
        (Fault(403, b"<html>no</html>"), ServiceRefused, "refuses the key"),
    ],
)
def test_what_nothing_can_be_done_about_ends_the_stage(double, answers, fault, error, said):
    double.on("item 3", fault)
    got = []
    engine = open_engine(make_settings(double, in_flight=1), answers, bytes)
    replies = stream(iter(range(50)), asker(engine), window=1, finish=engine.close)
    with pytest.raises(error, match=said) as caught:
        got.extend(reply.outcome for reply in replies)
    assert got == ["ok"] * 3
    assert double.requests == 4
    assert KEY not in caught.value.message + (caught.value.hint or "")


def asker(engine):
    async def work(number):
        return await engine.ask(make_request(f"item {number}"), read_emotion, labeller="one")

    return work


def test_a_service_that_is_gone_ends_the_stage_with_one_message(answers):
    with pytest.raises(ServiceUnavailable, match=r"10 requests in a row: cannot connect") as caught:
        ask_all(answers, make_settings(None), [make_request(f"item {n}") for n in range(40)])
    assert "run the same command again" in caught.value.hint


def test_a_service_that_refuses_everything_ends_the_stage(double, answers):
    requests = [make_request(f"item {n}", colour="red") for n in range(40)]
    with pytest.raises(ServiceRefused, match=r"20 in a row: status 400: Unrecognized request argument.*colour"):
        ask_all(answers, make_settings(double, in_flight=4), requests)
    assert double.requests < 30


def test_no_key_and_no_address(answers, monkeypatch):
    with pytest.raises(InvalidInput, match="http"):
        open_engine(make_settings(None, base_url="ftp://example.org"), answers, bytes)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingDependency) as caught:
        open_engine(make_settings(None), answers, bytes)
    assert "OPENAI_API_KEY" in caught.value.hint


def test_duplicates_in_flight_share_one_request(answers):
    with ChatDouble(latency_s=0.2) as double:
        replies, spent = ask_all(answers, make_settings(double), [make_request()] * 30)
    assert len({reply.value for reply in replies}) == 1
    assert (double.requests, spent.requests, spent.from_cache) == (1, 1, 29)
    assert sum(reply.paid_usd for reply in replies) == pytest.approx(spent.usd)


def test_as_many_are_in_flight_as_is_allowed(answers):
    with ChatDouble(latency_s=0.2) as double:
        ask_all(answers, make_settings(double, in_flight=20), [make_request(f"item {n}") for n in range(60)], window=60)
    assert double.most_in_flight == 20


def test_models_together_are_in_flight_as_many_as_is_allowed(answers):
    with ChatDouble(latency_s=0.1) as double:
        requests = [make_request(f"item {n}", model=model) for n in range(20) for model in ("gpt-5-mini", "gpt-5")]
        ask_all(answers, make_settings(double, in_flight=8), requests, window=40)
    assert double.most_in_flight == 8
    assert double.done == 40


def test_limits_of_one_model_hold_up_no_other(double, answers):
    limits = {"x-ratelimit-limit-requests": "1", "x-ratelimit-remaining-requests": "0"}
    double.on('"gpt-5-nano"', Fault(headers={**limits, "x-ratelimit-reset-requests": "60s"}))

    async def everything():
        engine = open_engine(make_settings(double), answers, lambda blob: b"")
        await engine.ask(make_request("first", model="gpt-5-nano"), str, labeller="one")
        held = asyncio.create_task(engine.ask(make_request("second", model="gpt-5-nano"), str, labeller="one"))
        await asyncio.sleep(0.01)
        asks = (engine.ask(make_request(f"item {n}"), str, labeller="one") for n in range(10))
        replies = await asyncio.wait_for(asyncio.gather(*asks), 5)
        await engine.close()
        await asyncio.gather(held, return_exceptions=True)
        return replies

    assert {reply.outcome for reply in asyncio.run(everything())} == {"ok"}
    assert double.requests == 11


@pytest.mark.parametrize(
    "fault",
    [status(429, retry_after="0"), status(500), hang(), drop(), error_200("slow down", code=429)],
    ids=["429", "500", "timeout", "cut", "429 within 200"],
)
def test_tokens_of_a_try_without_a_reply_are_given_back(double, answers, fault):
    double.then(fault)

    async def everything():
        settings = make_settings(double, tokens_per_minute=60, request_timeout_s=0.3)
        engine = open_engine(settings, answers, lambda blob: b"")
        try:
            return await asyncio.wait_for(engine.ask(make_request(), str, labeller="one"), 5)
        finally:
            await engine.close()

    reply = asyncio.run(everything())
    assert (reply.outcome, reply.tries) == ("ok", 2)


def test_samples_are_requests_of_their_own(double, answers):
    requests = [make_request(sample=sample, seed=7) for sample in range(3)]
    ask_all(answers, make_settings(double), requests)
    assert sorted(call.body["seed"] for call in double.calls) == [7, 8, 9]


@pytest.mark.parametrize(
    "payload",
    [
        {"choices": []},
        {"choices": "none"},
        {"choices": [{"message": "hi"}]},
        {"choices": [{"message": {"content": 3}}]},
        {"choices": [None]},
        [],
        "text",
        None,
        b"",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
)
def test_hostile_replies_are_errors_and_no_tracebacks(double, answers, payload):
    double.then(*[raw(payload)] * 2)
    (reply,), spent = ask_all(answers, make_settings(double, tries=2), [make_request()])
    assert (reply.outcome, reply.tries) == ("error", 2)
    assert reply.detail.startswith("the reply")
    assert spent.usd > 0


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "much",
        {"prompt_tokens": float("nan"), "completion_tokens": 3},
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": 1e308, "completion_tokens": 3},
        {"prompt_tokens": True, "completion_tokens": []},
    ],
)
def test_usage_that_is_none_is_estimated_and_marked(double, answers, usage):
    double.then(Fault(answer={"usage": usage, "model": ["x"], "id": 7}, message={"content": JOY}))
    (reply,), _ = ask_all(answers, make_settings(double), [make_request()])
    stored = answers.find(reply.key)
    assert (reply.outcome, reply.model, stored.estimated) == ("ok", None, True)
    assert 10 < stored.tokens_in < 200
    assert 0 < stored.tokens_out < 20


def test_an_answer_in_parts_and_strange_headers(double, answers):
    parts = [{"type": "text", "text": '{"emotion": '}, {"type": "text", "text": '"joy"}'}, {"type": "image"}]
    strange = {
        "x-ratelimit-limit-requests": "many",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1e999",
        "x-ratelimit-limit-tokens": "-1",
        "x-request-id": "r" * 5000,
    }
    double.then(Fault(message={"content": parts}, headers=strange))
    (reply,), _ = ask_all(answers, make_settings(double), [make_request()])
    assert (reply.value, len(reply.request_id)) == ("joy", 200)


def test_ten_megabytes_are_not_read_to_the_end(double, answers):
    double.then(says("x" * 10_000_000))
    (reply,), _ = ask_all(answers, make_settings(double), [make_request()])
    assert (reply.outcome, double.requests) == ("invalid", 1)
    assert "larger than 8 MB" in reply.detail


def test_the_key_is_in_no_message_and_no_file(double, answers, tmp_path):
    echo = '{"emotion": "joy", "key": "{key}"}'
    double.then(Fault(message={"content": echo}, headers={"x-request-id": KEY}))
    (reply,), _ = ask_all(answers, make_settings(double), [make_request()])
    assert (reply.outcome, reply.request_id) == ("ok", "***")
    assert KEY not in repr(reply)
    double.then(Fault(400, error_body("your key {key} is odd")))
    (reply,), _ = ask_all(answers, make_settings(double), [make_request("item 2")])
    assert reply.detail == "status 400: your key *** is odd"
    answers.close()
    for path in tmp_path.iterdir():
        assert KEY.encode() not in path.read_bytes()


def test_pictures_and_sounds_are_read_in_threads_and_sent_whole(double, answers):
    blob, seen = "ab/" + "ab" * 32, set()

    def read(name):
        seen.add(threading.current_thread().name)
        return b"bytes of " + name[-3:].encode()

    media = (MediaPart(f"{blob}.png", "image", detail="low"), MediaPart(f"{blob}.wav", "audio", seconds=2.0))
    request = Request("gpt-5-mini", (Message("user", ("look", *media)),))
    (reply,), _ = ask_all(answers, make_settings(double), [request], check=str, read=read)
    assert reply.outcome == "ok"
    text, picture, sound = double.calls[-1].body["messages"][0]["content"]
    assert text == {"type": "text", "text": "look"}
    assert picture["image_url"] == {"url": "data:image/png;base64,Ynl0ZXMgb2YgcG5n", "detail": "low"}
    assert sound["input_audio"] == {"data": "Ynl0ZXMgb2Ygd2F2", "format": "wav"}
    assert not {"asking", "MainThread"} & seen


def test_a_blob_that_is_gone_costs_only_its_own_item(double, answers, tmp_path):
    blobs = Blobs(tmp_path / "blobs")
    names = [blobs.put(b"sound %d" % at, "wav") for at in range(4)]
    requests = [Request("gpt-5-mini", (Message("user", ("hear", MediaPart(name, "audio"))),)) for name in names]
    blobs.remove(names[1])
    replies, _ = ask_all(answers, make_settings(double), requests[:3], check=str, read=blobs.read)
    assert [reply.outcome for reply in replies] == ["ok", "error", "ok"]
    assert replies[1].detail == f"blob {names[1]} cannot be read: No such file or directory"
    blobs.put(b"sound 1", "wav")
    (restored,), _ = ask_all(answers, make_settings(double), requests[1:2], check=str, read=blobs.read)
    assert restored.outcome == "ok"
    blobs.root.rename(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed, match=names[3]):
        ask_all(answers, make_settings(double), requests[3:], check=str, read=blobs.read)


def test_media_are_read_for_requests_whose_turn_is_near(double, answers):
    lead: list[int] = []
    read_so_far = itertools.count(1)

    def read(name):
        lead.append(next(read_so_far) - double.requests)
        return b"sound"

    double.latency_s = 0.02
    sounds = [MediaPart(f"ab/{at:064x}.wav", "audio", seconds=1.0) for at in range(60)]
    requests = [Request("gpt-5-mini", (Message("user", ("listen", sound)),)) for sound in sounds]
    replies, _ = ask_all(answers, make_settings(double, in_flight=2), requests, check=str, read=read, window=60)
    assert {reply.outcome for reply in replies} == {"ok"}
    assert 2 < max(lead) <= 2 + 8


def test_what_waits_its_turn_does_not_hold_up_the_end(double, answers):
    async def everything():
        engine = open_engine(make_settings(double, requests_per_minute=1), answers, lambda blob: b"")
        asks = [asyncio.create_task(engine.ask(make_request(text), str, labeller="one")) for text in ("a", "b")]
        await asyncio.wait(asks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait_for(engine.close(), 5)  # far less than it waits for what is on its way
        return await asyncio.gather(*asks, return_exceptions=True)

    done = asyncio.run(everything())
    assert sorted(getattr(one, "outcome", type(one).__name__) for one in done) == ["CancelledError", "ok"]
    assert double.requests == 1
    answers.commit_now([])  # after what was handed in
    assert answers.total("prelabel").tokens == done[0].tokens_in + done[0].tokens_out


def test_replay_asks_nobody(double, answers):
    (asked,), _ = ask_all(answers, make_settings(double), [make_request()])
    requests = [
        make_request(model="replay"),
        make_request(),
        make_request("item 2", model="replay"),
        make_request(model="gpt-5"),
    ]
    for settings in (make_settings(double, mode="replay"), make_settings(double, replayed=frozenset({"one"}))):
        found, spent = ask_all(answers, settings, requests)
        for reply, request in zip(found[:2], requests, strict=False):
            assert (reply.outcome, reply.value, reply.model) == ("ok", asked.value, asked.model)
            assert (reply.key, reply.from_cache) == (request.key, True)
        for missing in found[2:]:
            assert (missing.outcome, double.requests) == ("error", 1)
            assert "replay sends none" in missing.detail
        assert (spent.requests, spent.from_cache) == (0, 2)


def test_a_deadline_ends_the_run_and_keeps_what_is_done(answers):
    with ChatDouble(latency_s=0.1) as double:
        requests = [make_request(f"item {n}") for n in range(500)]
        with pytest.raises(Interrupted, match=r"deadline of 0\.5 s"):
            ask_all(answers, make_settings(double, in_flight=4, deadline_s=0.5), requests)
        done = double.done
        assert 0 < done < 100
        ask_all(answers, make_settings(double, in_flight=64), requests[:done])
        assert double.done <= done + 4


def test_what_cannot_be_stored_is_not_used(double, answers, tmp_path):
    blocker = sqlite3.connect(tmp_path / "answers.sqlite")
    blocker.execute("DROP TABLE answers")
    blocker.commit()
    blocker.close()
    with pytest.raises(WorkspaceUnusable, match=r"answers\.sqlite cannot be used: no such table"):
        ask_all(answers, make_settings(double), [make_request(f"item {n}") for n in range(100)])


def test_stopping_lets_what_is_on_its_way_arrive(answers):
    with ChatDouble(latency_s=0.3) as double:
        engine = open_engine(make_settings(double, in_flight=4), answers, bytes)
        stopping = threading.Event()
        threading.Timer(0.1, stopping.set).start()
        got = list(stream(iter(range(100)), asker(engine), window=8, stop=stopping.is_set, finish=engine.close))
        assert got == []
        assert double.done == 4
        replies, _ = ask_all(answers, make_settings(double), [make_request(f"item {n}") for n in range(4)])
        assert all(reply.from_cache for reply in replies)
