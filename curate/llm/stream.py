"""Coroutines over a stream of items, on an event loop of their own: results come in the order of the items."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import closing
from typing import Generic, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

_LOOK_S = 0.1
_TELL_S = 0.5
_AHEAD = 16
_MOST_AT_ONCE = 256


class _Slot(Generic[R]):
    """Where the result of one item will stand."""

    __slots__ = ("done", "error", "value")

    def __init__(self) -> None:
        self.done = False
        self.error: BaseException | None = None
        self.value: R | None = None


def stream(
    items: Iterator[T],
    work: Callable[[T], Awaitable[R]],
    *,
    window: int,
    stop: Callable[[], bool] = lambda: False,
    finish: Callable[[], Awaitable[None]] | None = None,
) -> Iterator[R]:
    """What ``work`` makes of each item, in order, with at most ``window`` items under way.

    Items are taken in the caller's thread, a little ahead: while the first is late, up to 16 windows of results wait
    for it. What ``work`` raises is raised in its place, after the results before it. Once ``stop()`` is true nothing
    more is begun and the stream ends with the results that are ready. Whatever ends it, work under way is cancelled,
    and then ``finish`` runs on the same loop.
    """
    with closing(stream_ready(items, work, window=window, stop=stop, finish=finish)) as ready:
        for results in ready:
            yield from results


def stream_ready(
    items: Iterator[T],
    work: Callable[[T], Awaitable[R]],
    *,
    window: int,
    stop: Callable[[], bool] = lambda: False,
    finish: Callable[[], Awaitable[None]] | None = None,
) -> Generator[list[R]]:
    """The same, as many results at a time as are ready: none now and then, for the caller to look how it goes."""
    runner = _Runner(work, finish)
    try:
        yield from runner.run(items, window, stop)
    finally:
        runner.close()


class _Runner(Generic[T, R]):
    def __init__(self, work: Callable[[T], Awaitable[R]], finish: Callable[[], Awaitable[None]] | None) -> None:
        self._work, self._finish = work, finish
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = 0
        self._telling = False
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="asking", daemon=True)
        self._thread.start()

    def run(self, items: Iterator[T], window: int, stop: Callable[[], bool]) -> Iterator[list[R]]:
        slots: deque[_Slot[R]] = deque()
        begun, told = 0, time.monotonic()
        more, stopped = True, False
        while (more or slots) and not stopped:
            stopped = stop()
            self._changed.clear()
            room = min(window - (begun - self._ended), _AHEAD * window - len(slots), _MOST_AT_ONCE)
            fresh: list[tuple[T, _Slot[R]]] = []
            while more and not stopped and len(fresh) < room:
                try:
                    fresh.append((next(items), _Slot()))
                except StopIteration:
                    more = False
            if fresh:
                begun += len(fresh)
                slots.extend(slot for _, slot in fresh)
                self._loop.call_soon_threadsafe(self._begin, fresh)
            elif slots and not slots[0].done and not stopped:
                self._changed.wait(_LOOK_S)
            ready, error = self._take(slots)
            if ready or time.monotonic() - told >= _TELL_S:
                told = time.monotonic()
                yield ready
            if error is not None:
                raise error

    def close(self) -> None:
        """End what is under way, then the loop and its thread."""
        if self._thread.is_alive():
            ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
            try:
                ending.result()
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()

    @staticmethod
    def _take(slots: "deque[_Slot[R]]") -> "tuple[list[R], BaseException | None]":
        ready: list[R] = []
        while slots and slots[0].done:
            slot = slots.popleft()
            if slot.error is not None:
                return ready, slot.error
            ready.append(cast(R, slot.value))
        return ready, None

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)  # where even the ending was interrupted
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def _begin(self, fresh: "list[tuple[T, _Slot[R]]]") -> None:
        for item, slot in fresh:
            task = self._loop.create_task(self._one(item, slot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, item: T, slot: "_Slot[R]") -> None:
        try:
            slot.value = await self._work(item)
        except BaseException as error:  # raised again in the caller's thread, in its place
            slot.error = error
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
        finally:
            slot.done = True
            self._ended += 1
            if not self._telling:
                # Once a turn of the loop: threads that wake each other for every item take each other's time.
                self._telling = True
                self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._telling = False
        self._changed.set()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._finish is not None:
            await self._finish()
