"""Run a coroutine over a stream of items on its own event loop; results come in the order of the items."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import closing, suppress
from typing import Generic, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

_POLL_S = 0.1
_REPORT_S = 0.5
_AT_ONCE_S = 0.5
_WINDOWS_AHEAD = 16
_MAX_STARTED_AT_ONCE = 256


class _Slot(Generic[R]):
    """Holds the place of one item's result."""

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
    """Yield the result of ``work`` for each item, in order, with at most ``window`` items in progress.

    Items are taken in the caller's thread, a little ahead: up to 16 windows of results wait for a slow first item. An
    error of ``work`` is raised in place of its result, after the results before it. Once ``stop()`` is true, nothing
    more is started and the stream ends with the results that are ready. Whatever ends it, work in progress is
    cancelled, and then ``finish`` runs on the same loop.
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
    report_s: float = _REPORT_S,
) -> Generator[list[R]]:
    """Yield like ``stream``, in lists of whatever is ready; every ``report_s`` seconds at the latest, if need be empty.

    The empty lists let the caller report progress. A ``KeyboardInterrupt``, here or in a caller that closes this
    generator for it, leaves ``finish`` half a second.
    """
    runner = _Runner(work, finish)
    limit_s = None
    try:
        yield from runner.run(items, window, stop, report_s)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
            limit_s = _AT_ONCE_S
        raise
    finally:
        runner.close(limit_s)


class _Runner(Generic[T, R]):
    def __init__(self, work: Callable[[T], Awaitable[R]], finish: Callable[[], Awaitable[None]] | None) -> None:
        self._work, self._finish = work, finish
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._done_count = 0
        self._is_notifying = False
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="asking", daemon=True)
        self._thread.start()

    def run(self, items: Iterator[T], window: int, stop: Callable[[], bool], report_s: float) -> Iterator[list[R]]:
        slots: deque[_Slot[R]] = deque()
        started, reported = 0, time.monotonic()
        has_more, stopped = True, False
        while (has_more or slots) and not stopped:
            stopped = stop()
            self._changed.clear()
            free = window - (started - self._done_count)
            room = min(free, _WINDOWS_AHEAD * window - len(slots), _MAX_STARTED_AT_ONCE)
            batch: list[tuple[T, _Slot[R]]] = []
            while has_more and not stopped and len(batch) < room:
                try:
                    batch.append((next(items), _Slot()))
                except StopIteration:
                    has_more = False
            if batch:
                started += len(batch)
                slots.extend(slot for _, slot in batch)
                self._loop.call_soon_threadsafe(self._start, batch)
            elif slots and not slots[0].done and not stopped:
                self._changed.wait(_POLL_S)
            ready, error = self._take(slots)
            if ready or time.monotonic() - reported >= report_s:
                reported = time.monotonic()
                yield ready
            if error is not None:
                raise error

    def close(self, limit_s: float | None = None) -> None:
        """Cancel the work in progress, then end the loop and its thread, after ``limit_s`` at the latest."""
        if self._thread.is_alive():
            ending = asyncio.run_coroutine_threadsafe(self._cancel_and_finish(), self._loop)
            try:
                with suppress(TimeoutError):
                    ending.result(limit_s)
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
            unfinished = asyncio.all_tasks(self._loop)  # if even the ending was interrupted
            for task in unfinished:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def _start(self, batch: "list[tuple[T, _Slot[R]]]") -> None:
        for item, slot in batch:
            task = self._loop.create_task(self._fill(item, slot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fill(self, item: T, slot: "_Slot[R]") -> None:
        try:
            slot.value = await self._work(item)
        except BaseException as error:  # raised again in the caller's thread, in order
            slot.error = error
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
        finally:
            slot.done = True
            self._done_count += 1
            if not self._is_notifying:
                # Once per turn of the loop: threads that wake each other for every item slow each other down.
                self._is_notifying = True
                self._loop.call_soon(self._notify)

    def _notify(self) -> None:
        self._is_notifying = False
        self._changed.set()

    async def _cancel_and_finish(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._finish is not None:
            await self._finish()
