"""When a request may start: concurrency, rates per minute, and the limits that a service reports. In virtual time."""

import asyncio
from itertools import pairwise

import pytest

from curate.llm.transport.limits import EndpointLimiter, ModelLimiter, RateBucket
from tests.support.virtual_time import now_s, run_virtually

MODEL = "a model"


def make_endpoint(in_flight=4, requests=None, tokens=None) -> EndpointLimiter:
    return EndpointLimiter(in_flight, requests_per_minute=requests, tokens_per_minute=tokens, clock=now_s)


def make_limiter(in_flight=4, requests=None, tokens=None) -> ModelLimiter:
    return make_endpoint(in_flight, requests, tokens).of(MODEL)


async def start_times(limiter: ModelLimiter, count: int, *, tokens: int = 0) -> list[float]:
    """The times at which ``count`` requests started, each of which ends at once."""
    times: list[float] = []

    async def send():
        await limiter.enter(tokens)
        times.append(now_s())
        limiter.leave()

    await asyncio.gather(*(send() for _ in range(count)))
    return times


async def is_blocked(task: asyncio.Task) -> bool:
    """Whether a task still waits after all that can run has run."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


def test_all_slots_are_used_from_the_start_and_no_more():
    async def run():
        limiter = make_limiter(3)
        for _ in range(3):
            await limiter.enter(0)
        fourth = asyncio.create_task(limiter.enter(0))
        assert await is_blocked(fourth)
        limiter.leave()
        await fourth
        assert limiter.flying == 3
        assert now_s() < 0.001

    run_virtually(run())


def test_requests_start_in_order_and_a_cancelled_one_takes_no_slot():
    async def run():
        limiter, order = make_limiter(1), []
        await limiter.enter(0)

        async def send(name):
            await limiter.enter(0)
            order.append(name)
            limiter.leave()

        tasks = [asyncio.create_task(send(name)) for name in "abcd"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        limiter.leave()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (order, limiter.flying) == (["a", "c", "d"], 0)

    run_virtually(run())


@pytest.mark.parametrize("tokens", [None, 6000])
def test_a_request_cancelled_at_its_turn_returns_the_slot_and_tokens(tokens):
    async def run():
        limiter = make_limiter(1, tokens=tokens)
        await limiter.enter(1)
        waiting = asyncio.create_task(limiter.enter(50_000))
        await asyncio.sleep(0)
        limiter.leave()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert limiter.flying == 0
        await limiter.enter(0)
        assert now_s() <= 0.01

    run_virtually(run())


@pytest.mark.parametrize("limits", [{"requests": 1200}, {"tokens": 12_000}])
def test_a_rate_per_minute_is_spread_evenly(limits):
    async def run():
        return await start_times(make_limiter(100, **limits), 13, tokens=10)

    times = run_virtually(run())
    # 20 per second, with a burst of 0.1 s at the start.
    assert times[-1] - times[0] == pytest.approx(12 / 20, abs=0.1)
    assert all(later - earlier == pytest.approx(0.05, abs=0.01) for earlier, later in pairwise(times[3:]))


def test_a_request_above_the_limit_of_a_minute_starts_at_once():
    async def run():
        return await start_times(make_limiter(tokens=600), 1, tokens=5000)

    assert run_virtually(run()) == [pytest.approx(0, abs=0.001)]


@pytest.mark.parametrize(("refund", "wait_s"), [(4990, 0.0), (4980, 0.1)])
def test_unused_tokens_are_refunded(refund, wait_s):
    """100 tokens per second: a refund that leaves a debt of 10 delays the next request by 0.1 s."""

    async def run():
        limiter = make_limiter(tokens=6000)
        await limiter.enter(5000)
        waiting = asyncio.create_task(limiter.enter(10))
        assert await is_blocked(waiting)
        limiter.leave(refund)
        await waiting
        assert now_s() == pytest.approx(wait_s, abs=0.02)

    run_virtually(run())


def test_models_share_the_slots_and_take_turns():
    async def run():
        endpoint, order = make_endpoint(2), []
        for _ in range(2):
            await endpoint.of("a").enter(0)

        async def send(model, number):
            await endpoint.of(model).enter(0)
            order.append(f"{model}{number}")

        tasks = [asyncio.create_task(send(model, number)) for model in "abc" for number in range(2)]
        assert await is_blocked(tasks[0])
        assert (order, endpoint.flying) == ([], 2)
        for count, model in enumerate("aabcab", start=1):
            endpoint.of(model).leave()
            await is_blocked(tasks[-1])
            assert (len(order), endpoint.flying) == (count, 2)
        await asyncio.gather(*tasks)
        assert order == ["b0", "c0", "a0", "b1", "c1", "a1"]

    run_virtually(run())


def test_the_limits_of_one_model_hold_up_no_other():
    headers = {"x-ratelimit-limit-requests": "1", "x-ratelimit-limit-tokens": "1"}

    async def run():
        endpoint = make_endpoint(4)
        slow, fast = endpoint.of("slow"), endpoint.of("fast")
        slow.observe(headers)
        fast.observe({"x-ratelimit-limit-requests": "60000"})
        slow.record_overload(now_s())
        slow.pause(60)
        held = [asyncio.create_task(slow.enter(1)) for _ in range(8)]
        assert await is_blocked(held[0])
        for _ in range(4):
            await fast.enter(1)
        assert now_s() < 0.1
        assert (slow.flying, fast.flying, fast.capacity) == (0, 4, 4)
        assert fast.rates == (60_000, None)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)

    run_virtually(run())


def test_models_share_the_configured_rates_in_turn():
    async def run():
        endpoint, order = make_endpoint(100, requests=1200), []

        async def send(model):
            await endpoint.of(model).enter(0)
            order.append(model)

        await asyncio.gather(*(send(model) for model in "a" * 6 + "b" * 6))
        assert now_s() == pytest.approx(10 / 20, abs=0.06)  # 20 per second, with a burst of two at the start
        assert sorted(order[2:8]) == ["a"] * 3 + ["b"] * 3

    run_virtually(run())


def test_a_model_that_is_paused_in_line_lets_the_others_start():
    async def run():
        endpoint = make_endpoint(1)
        await endpoint.of("a").enter(0)
        first, second = (asyncio.create_task(endpoint.of(model).enter(0)) for model in "bc")
        assert await is_blocked(first)
        endpoint.of("b").pause(5)
        endpoint.of("a").leave()
        await second
        assert not first.done()
        endpoint.of("c").leave()
        await first
        assert now_s() == pytest.approx(5)

    run_virtually(run())


def test_overload_cuts_once_per_round_trip_and_replies_restore_the_slots():
    async def run():
        limiter = make_limiter(64)
        started = now_s()
        for _ in range(20):
            await asyncio.sleep(0.1)
            limiter.record_overload(started)
        assert limiter.capacity == pytest.approx(64 * 0.7)
        for _ in range(200):
            limiter.record_overload(now_s())
        assert limiter.capacity == 1
        for _ in range(2000):
            limiter.record_success()
        assert limiter.capacity == 64

    run_virtually(run())


def test_a_pause_holds_every_request():
    async def run():
        limiter = make_limiter()
        limiter.pause(0.1)
        assert min(await start_times(limiter, 3)) == pytest.approx(0.1)

    run_virtually(run())


def test_limits_in_headers_are_followed_unless_others_are_configured():
    headers = {"x-ratelimit-limit-requests": "600", "x-ratelimit-limit-tokens": "60000"}

    async def run():
        free, limited = make_limiter(), make_limiter(requests=60, tokens=60)
        for limiter in (free, limited):
            limiter.observe(headers)
        assert free.rates == (600, 60_000)
        assert limited.rates == (None, None)
        free.observe({**headers, "x-ratelimit-limit-requests": "1200"})
        assert free.rates == (1200, 60_000)
        assert (await start_times(limited, 2))[1] == pytest.approx(1.0)  # one per second, as configured

    run_virtually(run())


def test_a_service_that_reports_nothing_remaining_is_given_time():
    headers = {
        "x-ratelimit-limit-requests": "60000",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "120ms",
    }

    async def run():
        limiter = make_limiter()
        limiter.observe(headers)
        await limiter.enter(0)
        assert now_s() == pytest.approx(0.12)

    run_virtually(run())


@pytest.mark.parametrize("limit", ["0", "-3", "nan", "inf", "many", "1e400", ""])
def test_limits_that_make_no_sense_are_ignored(limit):
    limiter = make_limiter()
    limiter.observe({"x-ratelimit-limit-requests": limit, "x-ratelimit-limit-tokens": limit})
    assert limiter.rates == (None, None)


def test_a_debt_is_paid_off_first():
    bucket = RateBucket(600, clock=lambda: 0.0)
    bucket.take(11)
    assert bucket.wait_s() == pytest.approx(1.1)
