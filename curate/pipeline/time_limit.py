"""A limit on the CPU time that one input may take, so that none of them stops a run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_S = 5.0
"""What swallows the first exception gets another."""


class TimeUp(BaseException):
    """The work takes more CPU time than it may; no handler of ordinary errors must catch it."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raise ``TimeUp`` in the block once this process has used ``seconds`` of CPU time, however long it waited.

    Code in C that never returns to Python is not interrupted. Does nothing outside the main thread, which alone
    receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
