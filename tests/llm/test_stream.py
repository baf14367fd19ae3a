"""Coroutines over a stream of items, seen from the thread that asks for the results."""

import asyncio
import threading
import time
from contextlib import closing

import pytest

from curate.llm.stream import stream, stream_ready


async def double_of(number):
    await asyncio.sleep(0.002 * (number % 7))
    return 2 * number


def test_results_come_in_the_order_of_the_items():
    assert list(stream(iter(range(300)), double_of, window=16)) == [2 * n for n in range(300)]
    assert list(stream(iter([]), double_of, window=16)) == []


def test_no_more_are_under_way_than_the_window_and_no_fewer():
    now = most = 0

    async def work(number):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1

    assert len(list(stream(iter(range(100)), work, window=8))) == 100
    assert most == 8


def test_one_late_item_does_not_hold_up_the_others():
    begun = []

    async def work(number):
        begun.append(number)
        if number == 0:
            while len(begun) < 60:
                await asyncio.sleep(0.005)
        return number

    assert list(stream(iter(range(60)), work, window=4)) == list(range(60))


def test_memory_is_bounded_while_the_first_is_late():
    taken = []
    release = threading.Event()

    def items():
        for number in range(10_000):
            taken.append(number)
            yield number

    async def work(number):
        while number == 0 and not release.is_set():
            await asyncio.sleep(0.01)
        return number

    ready = stream_ready(items(), work, window=4, report_s=0.0)
    while len(taken) < 4 * 16:
        assert next(ready) == []
    for _ in range(5):  # nothing more is taken, however long the first takes
        assert next(ready) == []
    assert len(taken) == 4 * 16
    release.set()
    assert next(results for results in ready if results)[0] == 0
    ready.close()


def test_an_error_is_raised_in_its_place_and_ends_the_rest():
    cancelled, finished = [], []

    async def work(number):
        try:
            await asyncio.sleep(0.01 if number < 10 else 30)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        if number == 5:
            raise ValueError("five")
        return number

    async def finish():
        finished.append(threading.current_thread().name)

    got = []
    with pytest.raises(ValueError, match="five"):
        got.extend(stream(iter(range(100)), work, window=20, finish=finish))
    assert got == [0, 1, 2, 3, 4]
    assert set(range(10, 20)) <= set(cancelled)
    assert finished == ["asking"]


def test_an_error_of_the_items_ends_it_too():
    def items():
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(stream(items(), double_of, window=4))


def test_stopping_and_closing_end_the_thread():
    stopping = threading.Event()
    got = []
    for result in stream(iter(range(10_000)), double_of, window=4, stop=stopping.is_set):
        got.append(result)
        if len(got) == 20:
            stopping.set()
    assert 20 <= len(got) < 1000
    results = stream(iter(range(10_000)), double_of, window=4)
    assert next(results) == 0
    results.close()
    assert not any(thread.name == "asking" for thread in threading.enumerate())


def test_while_the_first_is_late_the_caller_is_told_now_and_then():
    done: list[int] = []

    async def work(number):
        while number == 0 and len(done) < 9:
            await asyncio.sleep(0.01)
        done.append(number)
        return number

    told = [(list(ready), len(done)) for ready in stream_ready(iter(range(10)), work, window=10, report_s=0.0)]
    assert [number for ready, _ in told for number in ready] == list(range(10))
    assert any(not ready for ready, _ in told)
    assert len(told) > 1


def test_it_runs_beside_a_running_loop():
    async def within():
        return list(stream(iter(range(5)), double_of, window=2))

    assert asyncio.run(within()) == [0, 2, 4, 6, 8]


def test_an_interrupt_does_not_wait_for_the_ending():
    ended = []

    async def finish():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    def interrupt():
        with closing(stream_ready(iter([1]), double_of, window=1, finish=finish)) as ready:
            next(ready)
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert ended == ["cancelled"]
    assert time.monotonic() - started < 30
