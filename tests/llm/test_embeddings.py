"""Texts as vectors: asked for once, many at a time, paid from the same pot, and nothing odd is taken for a vector."""

import asyncio
import base64
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.errors import Interrupted, InvalidInput, ServiceRefused, ServiceUnavailable
from curate.llm.engine import Engine
from curate.llm.money.account import UsageTotals
from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from curate.llm.settings import EngineSettings
from curate.llm.transport.embeddings import Embedding, embedded_text, read_embeddings, share_tokens
from tests.support.asking import make_request, make_settings, rows, stored
from tests.support.chat_double import ChatDouble, vector_of
from tests.support.chat_faults import Fault, drop, error_body, expired_key, half_json, hang, html, raw, status
from tests.support.chat_rules import Refused

MODEL = "text-embedding-3-small"
PATH = "POST /v1/embeddings"


def embed(
    folder: Path, settings: EngineSettings, texts: Sequence[str], *, model: str = MODEL
) -> tuple[list[Embedding], UsageTotals]:
    """The embeddings of all texts, asked for at once by one engine."""

    async def everything(answers: ReplyStore) -> tuple[list[Embedding], UsageTotals]:
        engine = open_engine(settings, answers, lambda blob: b"", models=(model,))
        try:
            return await engine.embed(texts, model=model, labeller="vectors"), engine.usage()["vectors"]
        finally:
            await engine.close()

    with ReplyStore(folder / "answers.sqlite") as answers:
        return asyncio.run(everything(answers))


def sent(double: ChatDouble) -> list[list[str]]:
    """The texts of each request."""
    return [call.body["input"] for call in double.calls if call.path == "/v1/embeddings"]


def is_right(found: Sequence[Embedding], texts: Sequence[str]) -> bool:
    return all(
        one.vector is not None and np.allclose(one.vector, vector_of(text), atol=1e-6)
        for one, text in zip(found, texts, strict=True)
    )


@pytest.mark.parametrize("mode", ["online", "batch"])
def test_each_text_is_asked_for_once_ever_and_many_in_a_request(double, tmp_path, mode):
    texts = [f"text {at} of many" for at in range(150)]
    found, spent = embed(tmp_path, make_settings(double, mode=mode), [*texts, *texts[:20]])
    assert is_right(found, [*texts, *texts[:20]])
    assert sorted(map(len, sent(double))) == [22, 64, 64]
    assert sorted(text for one in sent(double) for text in one) == sorted(texts)
    assert (spent.requests, spent.from_cache, spent.outcomes) == (3, 20, {"ok": 150})
    again, spent = embed(tmp_path, make_settings(double, mode=mode), [f" {texts[3]}\n", *texts, "a new one"])
    assert is_right(again, [texts[3], *texts, "a new one"])
    assert sent(double)[3:] == [["a new one"]]
    assert (spent.requests, spent.from_cache) == (1, 151)
    other, _ = embed(tmp_path, make_settings(double), texts[:1], model="gpt-5")
    assert is_right(other, texts[:1])
    assert sent(double)[4:] == [[texts[0]]]


def test_the_account_holds_what_they_cost(double, tmp_path):
    texts = ["short", "a text that is a good deal longer than the first " * 3, "of middle length, more or less"]
    _, spent = embed(tmp_path, make_settings(double), texts)
    (entry,) = rows(tmp_path, "spend")
    answers = rows(tmp_path, "answers")
    assert (entry["labeller"], entry["state"], entry["tokens_out"]) == ("vectors", "settled", 0)
    assert entry["tokens_in"] == double.tokens["in"] == spent.tokens_in == sum(one["tokens_in"] for one in answers)
    assert entry["usd"] == pytest.approx(spent.tokens_in * 0.02 / 1e6)
    assert sum(one["usd"] for one in answers) == pytest.approx(entry["usd"])
    assert {(one["model"], one["estimated"]) for one in answers} == {(MODEL, 0)}
    by_length = sorted(answers, key=lambda one: one["tokens_in"])
    assert [one["tokens_in"] for one in by_length] == sorted(share_tokens(texts, entry["tokens_in"]))


@pytest.mark.parametrize("mode", ["online", "batch"])
@pytest.mark.parametrize("budget", [{"budget_tokens": 60}, {"budget_usd": 60 * 0.02 / 1e6}])
def test_they_draw_on_the_budget_over_all_runs(double, tmp_path, mode, budget):
    settings = make_settings(double, mode=mode, **budget)
    first = ["A text of some twenty words " * 4]
    found, _ = embed(tmp_path, settings, first)
    assert is_right(found, [text.strip() for text in first])
    with pytest.raises(Interrupted, match="the budget is spent"):
        embed(tmp_path, settings, ["Another text of some twenty words, which is one too many " * 2])
    assert len(sent(double)) == 1
    assert is_right(embed(tmp_path, settings, first)[0], first)


def test_a_budget_in_dollars_needs_their_price(double, tmp_path):
    with pytest.raises(InvalidInput, match="needs a price for some-embedder"):
        embed(tmp_path, make_settings(double, budget_usd=1.0), ["text"], model="some-embedder")


def reply(*vectors: Any, order: Sequence[int] | None = None) -> dict[str, Any]:
    places = range(len(vectors)) if order is None else order
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in zip(places, vectors, strict=True)]
    return {"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": 9, "total_tokens": 9}}


@pytest.mark.parametrize(
    "fault",
    [
        *(status(429, retry_after="0"), status(500), drop(), html(), half_json(), raw(reply([1.0]))),
        *(raw(reply([1.0], [1.0], [1.0])), raw(reply([1.0], [1.0], order=[0, 0])), raw({"data": 3}), raw([1])),
        *(raw(reply([1.0], [1.0], order=[1, 2])), raw({"data": [{"embedding": [1.0]}] * 2}), raw({"data": [4, 5]})),
        raw(b"[" * 100_000),
    ],
)
def test_what_is_no_whole_reply_is_asked_for_again(double, tmp_path, fault):
    double.on_path(PATH, fault)
    found, spent = embed(tmp_path, make_settings(double), ["one", "two"])
    assert is_right(found, ["one", "two"])
    assert (spent.retries, spent.requests, len(stored(tmp_path))) == (1, 1, 2)
    assert {one["state"] for one in rows(tmp_path, "spend")} <= {"settled", "lost"}


def test_vectors_belong_to_the_texts_that_their_index_names(double, tmp_path):
    double.on_path(PATH, raw(reply([0.0, 2.0], [3.0, 4.0], [1.0, 0.0], order=[2, 0, 1])))
    found, _ = embed(tmp_path, make_settings(double), ["one", "two", "three"])
    assert [one.vector.tolist() for one in found] == [pytest.approx(v) for v in ([0.6, 0.8], [1, 0], [0, 1])]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([math.nan] * 64, "not finite"),
        ([1e400] * 64, "not finite"),
        ([0.0] * 64, "zeros"),
        ([1.0] * 63, "63 numbers for its text, and of 64 for others"),
        ([], "no vector"),
        (None, "no vector"),
        ("###", "no vector"),
        (base64.b64encode(b"123456").decode(), "no vector"),
        (base64.b64encode(np.full(64, np.inf, "<f4").tobytes()).decode(), "not finite"),
        (["1.0"] * 64, "no vector"),
        ([[1.0]] * 64, "no vector"),
        ([10**400] * 64, "no vector"),
        ([True] * 64, "no vector"),
    ],
)
def test_a_text_without_a_proper_vector_has_none_and_the_others_theirs(double, tmp_path, given, said):
    texts = ["one", "odd", "two"]
    vectors = [given if text == "odd" else vector_of(text) for text in texts]
    double.on_path(PATH, raw(reply(*vectors)))
    (one, odd, two), spent = embed(tmp_path, make_settings(double), texts)
    assert is_right([one, two], ["one", "two"])
    assert odd.vector is None
    assert said in odd.detail
    assert spent.outcomes == {"ok": 2, "invalid": 1}
    (_, again, _), spent = embed(tmp_path, make_settings(double), texts)
    if "zeros" in said or "not finite" in said:
        # So the model has it, and another run is told the same without paying for it.
        assert again.vector is None
        assert again.detail == odd.detail
        assert sent(double) == [texts]
        assert spent.from_cache == 3
        assert [one["fault"] for one in rows(tmp_path, "answers") if one["fault"]] == [odd.detail]
    else:
        # That was the service's mistake: it is not kept, and another run asks for it.
        assert is_right([again], ["odd"])
        assert sent(double) == [texts, ["odd"]]
    assert len(stored(tmp_path)) == 3


@pytest.mark.parametrize("count", [1, 150])
def test_whatever_goes_wrong_within_reaches_all_who_wait(double, tmp_path, monkeypatch, count):
    def broken(body: bytes, count: int) -> None:
        raise OverflowError("int too large to convert to float")

    monkeypatch.setattr("curate.llm.transport.online.read_embeddings", broken)

    async def everything(answers: ReplyStore) -> list[Any]:
        engine = open_engine(make_settings(double), answers, lambda blob: b"")
        asks = [engine.embed([f"text {at}"], model=MODEL, labeller="vectors") for at in range(count)]
        found = await asyncio.wait_for(asyncio.gather(*asks, return_exceptions=True), 20)
        await engine.close()
        return found

    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        found = asyncio.run(everything(answers))
    assert [type(one) for one in found] == [OverflowError] * count


def test_huge_and_tiny_numbers_have_a_direction_too():
    read = read_embeddings(json.dumps(reply([1e308, 1e308], [3e-300, 4e-300], [-7, 0])).encode(), 3)
    wanted = [[0.5**0.5] * 2, [0.6, 0.8], [-1, 0]]
    assert [one.vector.tolist() for one in read.embeddings] == [pytest.approx(vector) for vector in wanted]


def test_a_model_whose_vectors_have_changed_is_told(double, tmp_path):
    embed(tmp_path, make_settings(double), ["one"])
    double.vector = lambda text: vector_of(text, 32)
    (one, two), _ = embed(tmp_path, make_settings(double), ["one", "two"])
    assert is_right([one], ["one"])
    assert two == Embedding(None, "the service returned a vector of 32 numbers for its text, and of 64 for others")


def test_a_text_that_the_service_refuses_costs_the_others_nothing(double, tmp_path):
    def picky(text: str) -> list[float]:
        if "bad" in text:
            raise Refused("this input is too long")
        return vector_of(text)

    double.vector = picky
    texts = [f"text {at}{' bad' if at % 50 == 0 else ''}" for at in range(400)]
    found, spent = embed(tmp_path, make_settings(double), texts)
    assert [one.vector is None for one in found] == ["bad" in text for text in texts]
    assert {one.detail for one in found} == {"", "status 400: this input is too long"}
    assert spent.outcomes == {"ok": 392, "invalid": 8}
    assert sum(one["tokens_in"] for one in rows(tmp_path, "spend")) == spent.tokens_in


def test_a_service_that_refuses_ends_it_with_a_sentence(double, tmp_path):
    with pytest.raises(ServiceRefused, match="does not know the model"):
        embed(tmp_path, make_settings(double), ["one"], model="gpt-9")
    double.on_path(PATH, expired_key())
    with pytest.raises(ServiceRefused, match="refuses the key"):
        embed(tmp_path, make_settings(double), ["one", "two"])
    double.on_path(PATH, *[Fault(400, error_body("no such format"))] * 200)
    with pytest.raises(ServiceRefused, match="refuses every request, 20 in a row: status 400: no such format"):
        embed(tmp_path, make_settings(double), [f"text {at}" for at in range(150)])


def test_a_service_that_is_down_ends_it_or_leaves_an_error(double, tmp_path):
    double.on_path(PATH, *[status(500)] * 100)
    (one,), spent = embed(tmp_path, make_settings(double, tries=2), ["one"])
    assert one.vector is None
    assert "status 500" in one.detail
    assert spent.outcomes == {"error": 1}
    with pytest.raises(ServiceUnavailable, match="4 requests in a row"):
        embed(tmp_path, make_settings(double, tries=2), [f"text {at}" for at in range(64 * 5)])


LIMITS = {
    "x-ratelimit-limit-requests": "1",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "60s",
}


def retries(engine: Engine) -> int:
    return sum(spent.retries for spent in engine.usage().values())


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        pytest.param(hang(), {"in_flight": 1}, id="slow"),
        pytest.param(replace(status(429, retry_after="60"), charged=True), {}, id="busy"),
        pytest.param(Fault(headers=LIMITS, charged=True), {}, id="limits in headers"),
        pytest.param(Fault(charged=True), {"requests_per_minute": 1}, id="limits in settings"),
    ],
)
@pytest.mark.parametrize("limited", ["chat", "embeddings"])
def test_what_holds_up_embeddings_does_not_hold_up_chat_nor_the_other_way_round(
    double, tmp_path, monkeypatch, limited, fault, options
):
    double.then(*([fault] if limited == "chat" else []))
    double.on_path(PATH, *([fault] if limited == "embeddings" else []))

    async def everything(answers: ReplyStore) -> None:
        engine = open_engine(make_settings(double, grace_s=0.0, **options), answers, lambda blob: b"")
        asks = {
            "chat": lambda text: engine.ask(make_request(text), str, labeller="chat"),
            "embeddings": lambda text: engine.embed([text], model=MODEL, labeller="embeddings"),
        }
        free = asks.pop("embeddings" if limited == "chat" else "chat")
        first = asyncio.create_task(asks[limited]("one"))
        while not (first.done() or ("in_flight" in options and double.calls) or retries(engine)):
            await asyncio.sleep(0.01)
        second = asyncio.create_task(asks[limited]("two"))
        await asyncio.sleep(0.1)  # it waits for its turn; if it did not, its call would be counted below
        await asyncio.wait_for(free("three"), 5)
        assert ["chat" in call.path for call in double.calls] == [limited == "chat", limited != "chat"]
        await engine.close()
        await asyncio.gather(first, second, return_exceptions=True)

    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        asyncio.run(everything(answers))


def test_replay_takes_only_what_is_stored(double, tmp_path):
    embed(tmp_path, make_settings(double), ["one"])
    (one, two), spent = embed(tmp_path, make_settings(double, mode="replay"), ["one", "two"])
    assert is_right([one], ["one"])
    assert two.vector is None
    assert "replay sends no requests" in two.detail
    assert len(sent(double)) == 1
    assert spent.usd == 0


def test_texts_are_cut_to_what_models_take_and_empty_ones_are_not_sent(double, tmp_path):
    long, cut = "é" * 9_000, "é" * 4_000
    assert embedded_text(f"  {long}") == cut
    assert embedded_text("\ud800") == "\ud800"
    found, _ = embed(tmp_path, make_settings(double), [long, " \n", "a\ud800b"])
    assert [one.vector is None for one in found] == [False, True, False]
    assert sent(double) == [[cut, "a?b"]]
    many = [f"{at:03}{'x' * 7_900}" for at in range(64)]
    embed(tmp_path, make_settings(double), many)
    assert max(sum(map(len, texts)) for texts in sent(double)) <= 250_000
    assert sum(map(len, sent(double)[1:])) == 64


def test_shares_add_up():
    assert sum(share_tokens(["a", "bb", "c" * 500], 17)) == 17
    assert share_tokens(["a", "a"], 4) == [2, 2]
    assert share_tokens(["a"], 0) == [0]
