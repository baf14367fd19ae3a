"""Where work runs: in this process, in several, or elsewhere."""

import gc
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

IN_FLIGHT_PER_WORKER = 2
"""Tasks given to a worker and not finished: one that it is at, and one that it finds when that is done."""
AHEAD_PER_WORKER = 8
"""The same with those that are finished and wait for an earlier one, so that a long task does not stop the others."""


_SELDOM = (50_000, 50, 100)


def collect_seldom() -> None:
    """Look for cycles of objects less often: rows are many objects without any, and it takes a fifth of the time."""
    gc.set_threshold(*_SELDOM)


@contextmanager
def collecting_seldom() -> Generator[None]:
    """The same for a while."""
    before = gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*before)


class WorkerDied(NamedTuple):
    """Stands for the result of a task whose worker process died, twice, the second time with this task alone."""

    detail: str


class Executor(Protocol):
    """Runs a module-level function on tasks. Work in flight is bounded and results come in the order of the tasks."""

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T | None], *, resources: Any, stop: Callable[[], bool]
    ) -> Iterator[R | WorkerDied]:
        """One result a task, until the tasks end or ``stop()`` is true. An exception in a task is raised here.

        A None among the tasks says that there is none for now: they are asked again when there is a further result.
        """
        ...

    def close(self) -> None:
        """Let go of the workers."""
        ...
