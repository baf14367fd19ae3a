"""Where work runs: in this process, in several, or elsewhere."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class WorkerDied(NamedTuple):
    """Stands for the result of a task whose worker process died, twice, the second time with this task alone."""

    detail: str


class Executor(Protocol):
    """Runs a module-level function on tasks. Work in flight is bounded and results come in the order of the tasks."""

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T], *, resources: Any, stop: Callable[[], bool]
    ) -> Iterator[R | WorkerDied]:
        """One result a task, until the tasks end or ``stop()`` is true. An exception in a task is raised here."""
        ...

    def close(self) -> None:
        """Let go of the workers."""
        ...
