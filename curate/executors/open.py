"""Open an executor by its name."""

import os

from curate.errors import InvalidInput
from curate.executors import Executor
from curate.executors.local import LocalExecutor

EXECUTORS = ("local", "ray")


def open_executor(kind: str, workers: int | None = None, address: str | None = None) -> Executor:
    """Return the executor of that name, with a worker for every core unless ``workers`` says otherwise.

    ``address`` is that of a running Ray cluster. Raises ``InvalidInput`` if there is no executor of that name.
    """
    if kind == "local":
        return LocalExecutor(workers or cores())
    if kind == "ray":
        from curate.executors.ray import RayExecutor

        return RayExecutor(workers or cores(), address)
    raise InvalidInput(f"--executor {kind} is not one of {', '.join(EXECUTORS)}")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
