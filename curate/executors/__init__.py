"""Where work runs: in this process, in several on this machine, or on a Ray cluster."""

import gc
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

IN_FLIGHT_PER_WORKER = 2
"""Unfinished tasks for each worker: the one it works on, and the one it does next."""
AHEAD_PER_WORKER = 8
"""The same with finished tasks that wait for an earlier one, so that a long task does not stop the others."""

_GC_THRESHOLD = (50_000, 50, 100)


def collect_garbage_less() -> None:
    """Run the cyclic garbage collector less often: rows have no cycles, and looking for them took 20 % of the time."""
    gc.set_threshold(*_GC_THRESHOLD)


@contextmanager
def collecting_garbage_less() -> Generator[None]:
    """Run the cyclic garbage collector less often until the block ends."""
    before = gc.get_threshold()
    collect_garbage_less()
    try:
        yield
    finally:
        gc.set_threshold(*before)


class WorkerDied(NamedTuple):
    """The result of a task whose worker process died twice, the second time with this task alone."""

    detail: str
    reason: str = "crashed"


class Executor(Protocol):
    """Runs a module-level function on tasks. Work in flight is bounded, and results come in the order of the tasks."""

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T | None], *, resources: Any, stop: Callable[[], bool]
    ) -> Iterator[R | WorkerDied]:
        """Yield one result for each task, until the tasks end or ``stop()`` is true. Raises what a task raises.

        A None among the tasks means that there is none for now: the next one is taken after a further result.
        """
        ...

    def close(self) -> None:
        """End the workers."""
        ...
