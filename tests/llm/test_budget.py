"""A pot that is never overdrawn: over retries, restarts and many requests at once."""

import asyncio

import pytest

from curate.errors import Interrupted, InvalidInput
from curate.llm.money.budget import BudgetAccount
from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from tests.llm.engine_builders import ask_all, make_request, make_settings
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import hang, says, status


@pytest.fixture
def answers(tmp_path):
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        yield answers


def make_budget(answers, usd=None, tokens=None, pot="p") -> BudgetAccount:
    return BudgetAccount(answers, pot=pot, run="r", usd=usd, tokens=tokens)


def test_what_is_reserved_waits_for_what_is_settled(answers):
    async def run():
        budget = make_budget(answers, usd=1.0)
        first = await budget.reserve("l", "k", usd=0.6, tokens_in=10, tokens_out=10)
        second = asyncio.create_task(budget.reserve("l", "k", usd=0.6, tokens_in=10, tokens_out=10))
        await asyncio.sleep(0.02)
        assert not second.done()
        await answers.commit([budget.settle(first, usd=0.1, tokens_in=9, tokens_out=1)])
        spend = await asyncio.wait_for(second, 1)
        await answers.commit([budget.lose(spend)])
        assert (budget.spent_usd, budget.spent_tokens) == (pytest.approx(0.7), 30)
        with pytest.raises(Interrupted, match=r"\$0.7000 of \$1") as caught:
            await budget.reserve("l", "k", usd=0.6, tokens_in=10, tokens_out=10)
        assert "raise the budget" in caught.value.hint
        free = await budget.reserve("l", "k", usd=0.3, tokens_in=1, tokens_out=1)
        await answers.commit([budget.free(free)])
        assert budget.spent_usd == pytest.approx(0.7)

    asyncio.run(run())
    assert answers.total("p") == (pytest.approx(0.7), 30)


def test_a_run_that_died_leaves_its_reservations_as_lost(answers):
    asyncio.run(make_budget(answers, usd=1.0).reserve("l", "k", usd=0.6, tokens_in=10, tokens_out=10))
    assert make_budget(answers).spent_usd == 0.6
    assert make_budget(answers, pot="other").spent_usd == 0.0


@pytest.mark.parametrize("limit", [{"budget_usd": 0.004}, {"budget_tokens": 6_000}])
def test_a_budget_ends_the_stage_with_what_is_done_kept(answers, limit):
    requests = [make_request(f"item {n}") for n in range(400)]
    done = []
    with ChatDouble() as double:
        for _ in range(3):  # a restart changes nothing
            with pytest.raises(Interrupted, match="budget is spent"):
                ask_all(answers, make_settings(double, **limit), requests)
            done.append(double.done)
        tokens_in, tokens_out = double.tokens["in"], double.tokens["out"]
    # Each costs a twentieth of what is set aside for it: the pot is used up to the last few.
    assert 50 < done[0] < 400
    assert done == [done[0]] * 3
    spent = answers.total("prelabel")
    assert spent.tokens == tokens_in + tokens_out
    assert spent.usd == pytest.approx((tokens_in * 0.25 + tokens_out * 2) / 1e6)
    assert spent.usd <= limit.get("budget_usd", 1)
    assert spent.tokens <= limit.get("budget_tokens", 1_000_000)


def test_tries_that_may_have_been_charged_count(answers):
    with ChatDouble() as double:
        double.on("item 1", hang(), says("{"), status(429))
        double.answer = lambda body: '{"emotion": "joy"}'
        settings = make_settings(double, request_timeout_s=1.0, budget_usd=1.0)
        (reply,), spent = ask_all(answers, settings, [make_request()])
    assert reply.outcome == "ok"
    # The one that hung is counted as it was reserved; the limit cost nothing.
    lost = spent.usd - reply.usd
    assert 0.0002 < lost < 0.0004
    assert answers.total("prelabel").usd == pytest.approx(spent.usd)


def test_a_budget_in_dollars_needs_a_price(answers, tmp_path):
    with ChatDouble(models=["llama"]) as double:
        with pytest.raises(InvalidInput, match="a price for llama") as caught:
            open_engine(make_settings(double, budget_usd=1.0), answers, bytes, models=("llama", "gpt-5"))
        assert "prices.yaml" in caught.value.hint
        with pytest.raises(InvalidInput, match="a price for llama"):
            ask_all(answers, make_settings(double, budget_usd=1.0), [make_request(model="llama")])
        settings = make_settings(double, budget_tokens=10_000)
        (reply,), spent = ask_all(answers, settings, [make_request(model="llama")])
        assert (reply.outcome, reply.usd, spent.usd) == ("ok", None, None)
        (tmp_path / "prices.yaml").write_text("models: [{model: 'll*', input: 1000, output: 1000}]")
        settings = make_settings(double, budget_usd=1.0, prices=tmp_path)
        (reply,), _ = ask_all(answers, settings, [make_request("item 2", model="llama")])
        assert reply.usd == pytest.approx((reply.tokens_in + reply.tokens_out) / 1000)
