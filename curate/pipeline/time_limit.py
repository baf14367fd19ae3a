"""A limit on the CPU time that one input may take, so that none of them stops a run."""

import multiprocessing
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_S = 5.0
"""What swallows the first exception gets another."""


class TimeUp(BaseException):
    """The work takes more CPU time than it may; no handler of ordinary errors must catch it."""


@contextmanager
def cpu_limit(seconds: float, *, grace_s: float = 60.0) -> Iterator[None]:
    """Raise ``TimeUp`` in the block once this process has used ``seconds`` of CPU time, however long it waited.

    Code in C that does not return to Python is not interrupted: a worker process in it is killed ``grace_s`` later.
    Does nothing outside the main thread, which alone receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_: object) -> None:
        raise TimeUp

    before, limits = signal.signal(signal.SIGPROF, give_up), resource.getrlimit(resource.RLIMIT_CPU)
    if multiprocessing.parent_process() is not None:
        _set_cpu_limit(int(time.process_time() + seconds + grace_s) + 1, limits[1])
    signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_CPU, limits)


def _set_cpu_limit(soft_s: int, hard_s: int) -> None:
    """Let the system kill this process when it has used ``soft_s`` seconds of CPU time in all."""
    soft_s = soft_s if hard_s == resource.RLIM_INFINITY else min(soft_s, hard_s)
    resource.setrlimit(resource.RLIMIT_CPU, (soft_s, hard_s))
