"""Work done in order on another thread, so that decoding, detecting and encoding overlap."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple


class _Waiting(NamedTuple):
    done: Future[None]
    size_bytes: int


class Aside:
    """Does jobs one after the other while the caller goes on; those that wait hold ``most_bytes``, or are one alone.

    What a job raises is raised to the caller by one of its next calls.
    """

    def __init__(self, most_bytes: int) -> None:
        self._pool = ThreadPoolExecutor(1, "curate-aside")
        self._most_bytes, self._held_bytes = most_bytes, 0
        self._waiting: deque[_Waiting] = deque()

    def do(self, job: Callable[[], None], *, size_bytes: int = 0) -> None:
        """Have a job done that holds so much memory, waiting while too much is held."""
        while self._waiting and (self._waiting[0].done.done() or self._held_bytes + size_bytes > self._most_bytes):
            self._wait()
        self._waiting.append(_Waiting(self._pool.submit(job), size_bytes))
        self._held_bytes += size_bytes

    def finish(self) -> None:
        """Wait until all is done."""
        while self._waiting:
            self._wait()

    def close(self) -> None:
        """End the thread; what waits is dropped."""
        self._pool.shutdown(cancel_futures=True)

    def _wait(self) -> None:
        first = self._waiting.popleft()
        self._held_bytes -= first.size_bytes
        first.done.result()
