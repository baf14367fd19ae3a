"""Workers on this machine: this process, or a pool of spawned ones."""

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

from curate.executors import AHEAD_PER_WORKER, IN_FLIGHT_PER_WORKER, WorkerDied, collect_garbage_less
from curate.memory import keep_pandas_out

T = TypeVar("T")
R = TypeVar("R")

_POLL_S = 0.1


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
        in_flight: deque[tuple[T, Future[R]]] = deque()
        while not stop():
            while self._has_room(in_flight) and (task := next(source, None)) is not None:
                in_flight.append((task, self._submit(function, task)))
            if not in_flight:
                return
            if not in_flight[0][1].done():
                wait([future for _, future in in_flight if not future.done()], _POLL_S, FIRST_COMPLETED)
                continue
            try:
                result = in_flight[0][1].result()
            except BrokenProcessPool:
                # Any task in flight may be the cause: each is run alone, so that only the one that kills is given up.
                self.close()
                for task, future in in_flight:
                    result_or_loss = self._run_alone(function, task, future)
                    yield result_or_loss
                    if stop():
                        return
                in_flight.clear()
                continue
            in_flight.popleft()
            yield result

    def close(self) -> None:
        """End the worker processes at once; unfinished tasks are lost."""
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join(5)
            self._pool = None

    def _has_room(self, in_flight: "Iterable[tuple[T, Future[R]]]") -> bool:
        futures = [future for _, future in in_flight]
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

    def _run_alone(self, function: Callable[[T], R], task: T, future: "Future[R]") -> R | WorkerDied:
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
    collect_garbage_less()
    keep_pandas_out()
    threading.Thread(target=_exit_with, args=(driver,), daemon=True).start()


def _exit_with(driver: int) -> None:
    # A driver killed with SIGKILL cannot end its workers, and they would wait for work forever.
    while os.getppid() == driver:
        time.sleep(1)
    os._exit(1)
