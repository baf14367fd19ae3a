"""A budget account that is never overdrawn: over retries, restarts, many requests at once and several stages."""

import asyncio

import pytest

from curate.errors import Interrupted, InvalidInput
from curate.llm.money.budget import BudgetAccount, assign_accounts
from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from curate.llm.settings import BudgetSettings
from tests.llm.engine_builders import ask_all, make_request, make_settings
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import hang, says, status


@pytest.fixture
def answers(tmp_path):
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        yield answers


def open_account(answers, usd=None, tokens=None, name="p") -> BudgetAccount:
    return BudgetAccount(answers, name, BudgetSettings(usd=usd, tokens=tokens))


def test_a_reservation_waits_for_what_others_free(answers):
    async def run():
        account = open_account(answers, usd=1.0)
        first = await account.reserve("l", "k", usd=0.6, tokens_in=10, tokens_out=10)
        waiting = asyncio.create_task(account.reserve("l", "k", usd=0.6, tokens_in=10, tokens_out=10))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        await answers.commit([account.settle(first, usd=0.1, tokens_in=9, tokens_out=1)])
        second = await waiting
        await answers.commit([account.write_off(second)])
        assert answers.total("p") == (pytest.approx(0.7), 30)
        with pytest.raises(Interrupted, match=r"\$0.7000 of \$1") as caught:
            await account.reserve("l", "k", usd=0.6, tokens_in=10, tokens_out=10)
        assert "raise the budget" in caught.value.hint
        third = await account.reserve("l", "k", usd=0.3, tokens_in=1, tokens_out=1)
        await answers.commit([account.release(third)])

    asyncio.run(run())
    assert answers.total("p") == (pytest.approx(0.7), 30)


def test_a_run_that_died_leaves_its_reservations_as_lost(answers):
    asyncio.run(open_account(answers, usd=1.0).reserve("l", "k", usd=0.6, tokens_in=10, tokens_out=10))
    open_account(answers)
    assert answers.total("p") == (0.6, 20)
    assert answers.reserved("p") == []
    assert answers.total("other").usd == 0.0


@pytest.mark.parametrize(
    ("stages", "spenders", "accounts"),
    [
        pytest.param([{"a"}], {}, ["prelabel"], id="new"),
        pytest.param([{"a"}, {"b"}], {}, ["prelabel", "prelabel-2"], id="two new"),
        pytest.param([{"a"}, {"a"}], {"prelabel": {"a"}}, ["prelabel", "prelabel-2"], id="the same labeller"),
        pytest.param(
            [{"a"}, {"a"}], {"prelabel": {"a"}, "prelabel-2": {"a"}}, ["prelabel", "prelabel-2"], id="both spent"
        ),
        pytest.param([{"b"}], {"prelabel": {"a"}, "prelabel-2": {"b"}}, ["prelabel-2"], id="first removed"),
        pytest.param([{"c"}, {"a"}], {"prelabel": {"a"}}, ["prelabel-2", "prelabel"], id="another before it"),
        pytest.param(
            [{"b"}, {"a"}], {"prelabel": {"a"}, "prelabel-2": {"b"}}, ["prelabel-2", "prelabel"], id="swapped"
        ),
        pytest.param([{"c"}], {"prelabel": {"a"}}, ["prelabel"], id="model replaced"),
        pytest.param([{"a", "b"}, {"b"}], {"prelabel": {"b"}}, ["prelabel", "prelabel-2"], id="tie to the first"),
        pytest.param([{"a", "b"}], {"prelabel": {"b"}, "prelabel-2": {"a", "b"}}, ["prelabel-2"], id="most shared"),
        pytest.param([{"a"}], {"other": {"a"}, "prelabel-x": {"a"}}, ["prelabel"], id="accounts of others"),
        pytest.param(
            [{"x"}, {"b"}, {"c"}], {"prelabel-2": {"b"}}, ["prelabel", "prelabel-2", "prelabel-3"], id="a gap is filled"
        ),
    ],
)
def test_changing_other_stages_moves_no_money(stages, spenders, accounts):
    assert assign_accounts(stages, spenders, "prelabel") == accounts


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
    # Each costs a twentieth of what is reserved for it: the account is used up to the last few.
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
