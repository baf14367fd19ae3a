"""When a request may start: how many at once, how many a minute, and how the service's own limits are followed."""

import asyncio
import time

import pytest

from curate.llm.transport.limits import EndpointLimiter, ModelLimiter, RateBucket


def make_gates(in_flight=4, requests=None, tokens=None) -> EndpointLimiter:
    return EndpointLimiter(in_flight, requests_per_minute=requests, tokens_per_minute=tokens)


def make_gate(in_flight=4, requests=None, tokens=None) -> ModelLimiter:
    return make_gates(in_flight, requests, tokens).of("a model")


async def pass_through(gate: ModelLimiter, count: int, *, tokens: int = 0, hold_s: float = 0.0) -> list[float]:
    """When each of so many requests was let in."""
    times: list[float] = []

    async def one():
        await gate.enter(tokens)
        times.append(time.monotonic())
        await asyncio.sleep(hold_s)
        gate.leave()

    await asyncio.gather(*(one() for _ in range(count)))
    return times


def test_as_many_as_allowed_from_the_start_and_no_more():
    async def run():
        gate = make_gate(3)
        for _ in range(3):
            await asyncio.wait_for(gate.enter(0), 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(gate.enter(0), 0.02)
        gate.leave()
        await asyncio.wait_for(gate.enter(0), 1)
        assert gate.flying == 3

    asyncio.run(run())


def test_first_come_first_served_and_whoever_leaves_takes_no_place():
    async def run():
        gate, order = make_gate(1), []
        await gate.enter(0)

        async def one(name):
            await gate.enter(0)
            order.append(name)
            gate.leave()

        tasks = [asyncio.create_task(one(name)) for name in "abcd"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        gate.leave()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (order, gate.flying) == (["a", "c", "d"], 0)

    asyncio.run(run())


def test_one_who_is_cancelled_with_a_turn_gives_it_back():
    async def run():
        gate = make_gate(1)
        await gate.enter(0)
        waiting = asyncio.create_task(gate.enter(0))
        await asyncio.sleep(0)
        gate.leave()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert gate.flying == 0
        await asyncio.wait_for(gate.enter(0), 1)

    asyncio.run(run())


@pytest.mark.parametrize("limits", [{"requests": 1200}, {"tokens": 12_000}])
def test_a_rate_a_minute_is_spread_evenly(limits):
    times = asyncio.run(pass_through(make_gate(100, **limits), 13, tokens=10))
    # 20 a second, with a burst of two at the start.
    assert times[-1] - times[0] >= 0.5
    assert all(times[at + 5] - times[at] >= 0.14 for at in range(3, 8))


def test_a_request_beyond_the_limit_of_a_minute_still_goes():
    assert len(asyncio.run(pass_through(make_gate(tokens=600), 1, tokens=5000))) == 1


def test_what_was_not_used_is_given_back():
    async def run():
        gate = make_gate(tokens=6000)
        await gate.enter(5000)
        waiting = asyncio.create_task(gate.enter(10))
        await asyncio.sleep(0.01)
        gate.leave(4990)
        await asyncio.wait_for(waiting, 1)

    asyncio.run(run())


def test_a_part_that_is_given_back_shortens_the_wait():
    async def run():
        gate = make_gate(tokens=6000)
        await gate.enter(5000)
        waiting = asyncio.create_task(gate.enter(10))
        await asyncio.sleep(0.01)
        gate.leave(4980)  # ten more are owed than were there: a tenth of a second
        await asyncio.wait_for(waiting, 2)

    asyncio.run(run())


def test_one_who_is_cancelled_with_a_turn_gives_its_tokens_back():
    async def run():
        gate = make_gate(1, tokens=6000)
        await gate.enter(1)
        waiting = asyncio.create_task(gate.enter(50_000))
        await asyncio.sleep(0)
        gate.leave()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(gate.enter(0), 1)

    asyncio.run(run())


def test_models_share_the_places_and_take_turns():
    async def run():
        gates, order = make_gates(2), []
        for _ in range(2):
            await gates.of("a").enter(0)

        async def one(model, number):
            await gates.of(model).enter(0)
            order.append(f"{model}{number}")

        tasks = [asyncio.create_task(one(model, number)) for model in "abc" for number in range(2)]
        await asyncio.sleep(0.01)
        assert (order, gates.flying) == ([], 2)
        for at, model in enumerate("aabcab"):
            gates.of(model).leave()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (len(order), gates.flying) == (at + 1, 2)
        await asyncio.gather(*tasks)
        assert order == ["b0", "c0", "a0", "b1", "c1", "a1"]

    asyncio.run(run())


def test_what_one_model_bears_holds_up_no_other():
    headers = {"x-ratelimit-limit-requests": "1", "x-ratelimit-limit-tokens": "1"}

    async def run():
        gates = make_gates(4)
        slow, fast = gates.of("slow"), gates.of("fast")
        slow.observe(headers)
        fast.observe({"x-ratelimit-limit-requests": "60000"})
        slow.observe(headers)
        slow.overloaded(time.monotonic())
        slow.pause(60)
        held = [asyncio.create_task(slow.enter(1)) for _ in range(8)]
        await asyncio.sleep(0.01)
        for _ in range(4):
            await asyncio.wait_for(fast.enter(1), 1)
        assert (slow.flying, fast.flying, fast.capacity) == (0, 4, 4)
        assert fast._requests.per_minute == 60_000
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)

    asyncio.run(run())


def test_models_share_the_rates_that_are_given_in_turn():
    async def run():
        gates, order = make_gates(100, requests=1200), []

        async def one(model):
            await gates.of(model).enter(0)
            order.append(model)

        tasks = [asyncio.create_task(one(model)) for model in "a" * 6 + "b" * 6]
        began = time.monotonic()
        await asyncio.gather(*tasks)
        assert time.monotonic() - began >= 0.45  # 20 a second, with a burst of two at the start
        assert sorted(order[2:8]) == ["a"] * 3 + ["b"] * 3

    asyncio.run(run())


def test_a_pause_while_in_line_lets_the_others_go():
    async def run():
        gates = make_gates(1)
        await gates.of("a").enter(0)
        first, second = (asyncio.create_task(gates.of(model).enter(0)) for model in "bc")
        await asyncio.sleep(0)
        gates.of("b").pause(0.05)
        gates.of("a").leave()
        await asyncio.wait_for(second, 1)
        assert not first.done()
        gates.of("c").leave()
        await asyncio.wait_for(first, 1)

    asyncio.run(run())


def test_overload_cuts_once_a_round_trip_and_replies_open_again():
    gate = make_gate(64)
    started = time.monotonic()
    for _ in range(20):
        gate.overloaded(started)
    assert gate.capacity == pytest.approx(64 * 0.7)
    for _ in range(200):
        gate.overloaded(time.monotonic())
    assert gate.capacity == 1
    for _ in range(2000):
        gate.went_well()
    assert gate.capacity == 64


def test_a_pause_holds_everyone():
    async def run():
        gate = make_gate()
        gate.pause(0.1)
        began = time.monotonic()
        times = await pass_through(gate, 3)
        assert times[0] - began >= 0.09

    asyncio.run(run())


def test_limits_in_headers_are_followed_unless_others_were_given():
    headers = {"x-ratelimit-limit-requests": "600", "x-ratelimit-limit-tokens": "60000"}
    free, given = make_gate(), make_gate(requests=60, tokens=60)
    for gate in (free, given):
        gate.observe(headers)
    assert (free._requests.per_minute, free._tokens.per_minute) == (600, 60000)
    assert (given._requests, given._tokens) == (None, None)
    assert (given._all.requests.per_minute, given._all.tokens.per_minute) == (60, 60)
    free.observe({**headers, "x-ratelimit-limit-requests": "1200"})
    assert free._requests.per_minute == 1200


def test_a_service_that_says_nothing_is_left_is_given_time():
    async def run():
        gate = make_gate()
        gate.observe(
            {
                "x-ratelimit-limit-requests": "60000",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "120ms",
            }
        )
        began = time.monotonic()
        await gate.enter(0)
        assert 0.1 <= time.monotonic() - began < 2

    asyncio.run(run())


@pytest.mark.parametrize("limit", ["0", "-3", "nan", "inf", "many", "1e400", ""])
def test_limits_that_make_no_sense_are_ignored(limit):
    gate = make_gate()
    gate.observe({"x-ratelimit-limit-requests": limit, "x-ratelimit-limit-tokens": limit})
    assert (gate._requests, gate._tokens) == (None, None)


def test_what_is_owed_is_paid_first():
    bucket = RateBucket(600)
    bucket.take(11)
    assert bucket.wait_s() == pytest.approx(1.1, abs=0.05)
