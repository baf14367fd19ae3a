"""Workers on this machine: this very process, or a pool of spawned ones."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from curate.executors import AHEAD_PER_WORKER, IN_FLIGHT_PER_WORKER, WorkerDied, collect_seldom

T = TypeVar("T")
R = TypeVar("R")

_LOOK_S = 0.1


class LocalExecutor:
    """``workers=1`` runs in this process; more use processes started by spawn, which share nothing with it."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T | None], *, resources: Any = None, stop: Callable[[], bool]
    ) -> Iterator[R | WorkerDied]:
        """See ``Executor.map``."""
        if self.workers == 1:
            yield from self._inline(function, tasks, stop)
            return
        source = iter(tasks)
        flying: deque[tuple[T, Future[R]]] = deque()
        while not stop():
            while self._has_room(flying) and (fresh := next(source, None)) is not None:
                flying.append((fresh, self._submit(function, fresh)))
            if not flying:
                return
            if not flying[0][1].done():
                wait([future for _, future in flying if not future.done()], _LOOK_S, FIRST_COMPLETED)
                continue
            try:
                result = flying[0][1].result()
            except BrokenProcessPool:
                # Any task in flight may be the one: each goes alone, so that only the guilty one is given up.
                self.close()
                for task, begun in flying:
                    outcome = self._alone(function, task, begun)
                    yield outcome
                    if stop():
                        return
                flying.clear()
                continue
            flying.popleft()
            yield result

    def close(self) -> None:
        """End the worker processes at once; what they were at is not kept."""
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join(5)
            self._pool = None

    def _has_room(self, flying: "Iterable[tuple[T, Future[R]]]") -> bool:
        futures = [future for _, future in flying]
        if any(future.done() and isinstance(future.exception(), BrokenProcessPool) for future in futures):
            return False
        unfinished = sum(not future.done() for future in futures)
        return unfinished < self.workers * IN_FLIGHT_PER_WORKER and len(futures) < self.workers * AHEAD_PER_WORKER

    @staticmethod
    def _inline(function: Callable[[T], R], tasks: Iterable[T | None], stop: Callable[[], bool]) -> Iterator[R]:
        for task in tasks:
            if task is None or stop():
                return
            yield function(task)

    def _submit(self, function: Callable[[T], R], task: T) -> "Future[R]":
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),)
            )
        try:
            with _blocking_interrupts():
                return self._pool.submit(function, task)
        except BrokenProcessPool as error:
            broken: Future[R] = Future()
            broken.set_exception(error)
            return broken

    def _alone(self, function: Callable[[T], R], task: T, future: "Future[R]") -> R | WorkerDied:
        if future.done() and not future.cancelled() and not isinstance(future.exception(), BrokenProcessPool):
            return future.result()
        try:
            return self._submit(function, task).result()
        except BrokenProcessPool:
            self.close()
            return WorkerDied("its worker process was killed (out of memory, or a crash in a decoder)")


@contextmanager
def _blocking_interrupts() -> Iterator[None]:
    """Start workers with SIGINT blocked, so that Ctrl-C cannot end them before ``_start_worker``."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(driver: int) -> None:
    # Ctrl-C reaches the whole process group; only the driver decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    collect_seldom()
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()


def _end_with(driver: int) -> None:
    # A driver killed with -9 cannot end its workers, and they would wait for work for ever.
    while os.getppid() == driver:
        time.sleep(1)
    os._exit(1)
