"""Work done in order on another thread, so that decoding, detecting and encoding overlap."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Aside:
    """Does jobs one after the other while the caller goes on; at most ``most`` of them wait.

    What a job raises is raised to the caller by one of its next calls.
    """

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(1, "curate-aside")
        self._most = most
        self._waiting: deque[Future[None]] = deque()

    def do(self, job: Callable[[], None]) -> None:
        """Have a job done, waiting while too many are."""
        while len(self._waiting) >= self._most or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(job))

    def finish(self) -> None:
        """Wait until all is done."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """End the thread; what waits is dropped."""
        self._pool.shutdown(cancel_futures=True)
