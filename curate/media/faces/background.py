"""Run jobs in order on another thread, so that decoding, detection and encoding overlap."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple


class _Job(NamedTuple):
    future: Future[None]
    size_bytes: int


class BackgroundWorker:
    """Runs jobs one after another; those queued hold ``max_bytes`` at most, unless a single job holds more.

    An exception that a job raises is raised by one of the caller's next calls.
    """

    def __init__(self, max_bytes: int) -> None:
        self._pool = ThreadPoolExecutor(1, "curate-background")
        self._max_bytes, self._queued_bytes = max_bytes, 0
        self._queue: deque[_Job] = deque()

    def submit(self, job: Callable[[], None], *, size_bytes: int = 0) -> None:
        """Queue a job that holds ``size_bytes`` of memory, waiting while the queue is full."""
        while self._queue and (self._queue[0].future.done() or self._queued_bytes + size_bytes > self._max_bytes):
            self._wait()
        self._queue.append(_Job(self._pool.submit(job), size_bytes))
        self._queued_bytes += size_bytes

    def join(self) -> None:
        """Wait until all jobs are done."""
        while self._queue:
            self._wait()

    def close(self) -> None:
        """End the thread; jobs not yet started are dropped."""
        self._pool.shutdown(cancel_futures=True)

    def _wait(self) -> None:
        job = self._queue.popleft()
        self._queued_bytes -= job.size_bytes
        job.future.result()
