"""The budget over restarts, faults and both modes, and the key in no file, log or message."""

import asyncio
import json
import logging
import random

import pytest

from curate.llm.money.prices import load_prices
from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from curate.llm.stream import stream
from tests.support.asking import KEY, always_good, ask_items, make_request, make_settings, rows
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import Fault, cut, expired_key, half_json, hang, quota, refusal, status

TEXTS = [f"item {at} of 40" for at in range(40)]


@pytest.fixture
def double(double):
    return always_good(double)


def price_of(double):
    """What the service charges for everything it has done, at the price of single requests."""
    price = load_prices(None).of("gpt-5-mini")
    return (double.tokens["in"] * price.input + double.tokens["out"] * price.output) / 1e6


def test_a_budget_is_kept_over_restarts_and_modes_whatever_fails(double, tmp_path):
    chance = random.Random(3)
    budget = 0.006
    modes = ["online", "batch", "online", "batch", "online"]
    texts = [f"{text}: {'words ' * 100}" for text in TEXTS]
    fates = [cut(), half_json(), status(500), refusal(), hang()]
    for at, mode in enumerate(modes):
        double.then(*chance.choices(fates, k=4))
        settings = make_settings(double, mode=mode, in_flight=8, budget_usd=budget, request_timeout_s=0.5, breaker=99)
        seen = ask_items(tmp_path, settings, [f"run {at}: {text}" for text in texts])
        assert seen.usd <= budget
        assert price_of(double) <= budget * 2  # batches are charged by half
    assert type(seen.error).__name__ == "Interrupted"
    assert "$" in seen.error.message
    assert not [row for row in rows(tmp_path, "spend") if row["state"] == "reserved"]
    asked = double.requests + len(double.batches)
    assert type(ask_items(tmp_path, settings, ["one more"]).error).__name__ == "Interrupted"
    assert double.requests + len(double.batches) == asked


def test_what_is_stored_costs_nothing_even_with_the_budget_spent(double, tmp_path):
    ask_items(tmp_path, make_settings(double, budget_tokens=100_000), TEXTS)
    again = ask_items(tmp_path, make_settings(double, budget_tokens=1), TEXTS)
    assert again.error is None
    assert all(reply.from_cache and reply.paid_usd == 0 for reply in again.replies.values())


def test_a_budget_in_tokens_needs_no_price(tmp_path):
    with ChatDouble(models=["local-model"]) as double:
        always_good(double)
        seen = ask_items(tmp_path, make_settings(double, budget_tokens=1500), TEXTS, model="local-model")
        assert type(seen.error).__name__ == "Interrupted"
        assert 0 < double.done < 40
        assert double.tokens["in"] + double.tokens["out"] <= 1500
        assert all(row["usd"] is None for row in rows(tmp_path, "answers"))


@pytest.mark.parametrize("end", [expired_key(), status(403), quota()])
def test_after_a_fatal_reply_nothing_more_is_sent(tmp_path, end):
    with ChatDouble(latency_s=0.1) as double:
        always_good(double)
        double.on("item 0 of", end)
        # Five under way at once: the others wait at the gate, and must not get through it any more.
        seen = ask_items(tmp_path, make_settings(double, in_flight=5), TEXTS)
    assert type(seen.error).__name__ == "ServiceRefused"
    assert double.requests <= 10
    assert double.done == sum(reply is not None for reply in seen.replies.values())


def test_a_stop_keeps_what_is_under_way_and_sends_nothing_new(tmp_path):
    """Ctrl-C: the requests under way are stored, those waiting for a turn are not sent."""
    stopped = []
    with ChatDouble(latency_s=0.3) as double, ReplyStore(tmp_path / "answers.sqlite") as answers:
        always_good(double)
        engine = open_engine(make_settings(double, in_flight=4), answers, lambda blob: b"")

        async def work(at):
            return await engine.ask(make_request(f"item {at}"), json.loads, labeller="mini")

        for _ in stream(iter(range(200)), work, window=32, stop=lambda: bool(stopped), finish=engine.close):
            stopped.append(True)
        sent = double.requests
    assert sent <= 12
    assert len(rows(tmp_path, "answers")) == double.done == sent


def test_what_is_given_up_at_the_end_counts_for_the_run_as_in_the_account(double, tmp_path):
    double.on("item 0 of", hang())

    async def everything(answers):
        engine = open_engine(make_settings(double, in_flight=1, grace_s=0.0), answers, lambda blob: b"")
        asks = [asyncio.create_task(engine.ask(make_request(text), json.loads, labeller="mini")) for text in TEXTS[:5]]
        while not double.requests:
            await asyncio.sleep(0.01)
        await engine.close()
        await asyncio.gather(*asks, return_exceptions=True)
        return engine.usage()["mini"]

    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        spent = asyncio.run(everything(answers))
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        paid = answers.total("prelabel")
    assert [row["state"] for row in rows(tmp_path, "spend")] == ["lost"]
    assert (spent.usd, spent.tokens_in + spent.tokens_out) == (pytest.approx(paid.usd), paid.tokens)
    assert paid.usd > 0


@pytest.mark.parametrize("mode", ["online", "batch"])
def test_the_key_is_in_no_file_log_or_message(double, tmp_path, caplog, mode):
    caplog.set_level(logging.INFO)
    double.key = KEY
    double.headers = {"x-request-id": f"req-{KEY}", "openai-model": "m", "set-cookie": f"k={KEY}", "authorization": KEY}
    echo = f'{{"error": {{"message": "you sent {KEY} (Bearer {KEY})", "code": "server_error"}}}}'.encode()
    double.on("item 1 of", Fault(500, echo), Fault(500, echo), Fault(500, echo), Fault(500, echo))
    double.on("item 2 of", Fault(400, echo))
    double.on("item 3 of", Fault(200, echo), Fault(200, echo))
    double.on("item 4 of", Fault(message={"content": None, "refusal": f"no, {KEY}"}))
    double.on("item 5 of", Fault(message={"content": f"the key is {KEY}"}), Fault(message={"content": f"still {KEY}"}))
    seen = ask_items(tmp_path, make_settings(double, mode=mode, tries=2, breaker=99), TEXTS[:8])
    double.key = "another"
    double.on("item 9 of", expired_key())
    ended = ask_items(tmp_path, make_settings(double, mode=mode), ["item 9 of 40"])
    assert type(ended.error).__name__ == "ServiceRefused"
    said = [ended.error.message, str(ended.error.hint), caplog.text]
    said += [f"{reply.detail} {reply.request_id}" for reply in seen.replies.values()]
    assert not [one for one in said if KEY in one]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
