"""Workers on a Ray cluster: one that is running, or one started for this run on this machine."""

import os
import re
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from curate.errors import MissingDependency, ServiceUnavailable
from curate.executors import AHEAD_PER_WORKER, IN_FLIGHT_PER_WORKER, WorkerDied

T = TypeVar("T")
R = TypeVar("R")

_LOOK_S = 0.1
_CONNECT_S = 10
_LOST_WORKERS_BORNE = 2


class RayExecutor:
    """Tasks go to Ray with the CPUs and GPUs that their stage asks for; a lost worker's task is run again elsewhere.

    A worker on another machine needs what the driver has: curate, the keys in its environment, the recipe's raw files
    and model folders under the same paths, and a workspace behind a URL (or on a disk that all share).

    Without ``address`` a cluster of ``workers`` CPUs is started in this process and ended by ``close``. Raises
    ``MissingDependency`` without the ``ray`` extra, and ``ServiceUnavailable`` when the address does not answer.
    """

    def __init__(self, workers: int = 1, address: str | None = None) -> None:
        self.workers = workers
        self.address = address
        self._started = False

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T | None], *, resources: Any, stop: Callable[[], bool]
    ) -> Iterator[R | WorkerDied]:
        """See ``Executor.map``."""
        ray = self._connect()
        cpus, gpus = resources or (1.0, 0.0)
        remote = ray.remote(max_retries=_LOST_WORKERS_BORNE, num_cpus=cpus, num_gpus=gpus)(function)
        source = iter(tasks)
        flying: deque[Any] = deque()
        try:
            while not stop():
                width = self._width(ray, cpus)
                unfinished = self._unfinished(ray, flying)
                while (
                    len(unfinished) < width * IN_FLIGHT_PER_WORKER
                    and len(flying) < width * AHEAD_PER_WORKER
                    and (fresh := next(source, None)) is not None
                ):
                    flying.append(remote.remote(fresh))
                    unfinished.append(flying[-1])
                if not flying:
                    return
                if flying[0] in unfinished:
                    ray.wait(unfinished, timeout=_LOOK_S)
                else:
                    yield self._result(ray, flying.popleft())
        finally:
            for reference in flying:
                ray.cancel(reference, force=True)

    def close(self) -> None:
        """End the cluster if this process started it, else leave it."""
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def _connect(self) -> Any:
        try:
            # Ray asks for metrics over the network and prints what its workers print, unless told not to.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            import ray
        except ImportError as error:
            raise MissingDependency("Ray is not installed", hint="pip install 'curate[ray]'") from error
        if not ray.is_initialized():
            quiet = {"log_to_driver": False, "logging_level": "error"}
            if self.address:
                self._join(ray, quiet)
            else:
                # "local" ignores RAY_ADDRESS and clusters that happen to run on this machine.
                ray.init(address="local", num_cpus=self.workers, include_dashboard=False, **quiet)
            self._started = True
        return ray

    def _join(self, ray: Any, quiet: dict[str, Any]) -> None:
        try:
            # Ray itself goes on trying for many minutes.
            if place := re.fullmatch(r"(?:ray://)?([\w.-]+):(\d{1,5})", self.address or ""):
                socket.create_connection((place[1], int(place[2])), timeout=_CONNECT_S).close()
            ray.init(address=self.address, **quiet)
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ServiceUnavailable(
                f"no Ray cluster answers at {self.address}: {said}",
                hint="start one with `ray start --head` (and set RAY_AUTH_MODE=token where it asks for a token), "
                "or leave --ray-address out to use this machine",
            ) from error

    def _width(self, ray: Any, cpus: float) -> int:
        if not self.address:
            return self.workers
        return max(1, int(ray.cluster_resources().get("CPU", 1) / max(cpus, 0.1)))

    @staticmethod
    def _unfinished(ray: Any, flying: Iterable[Any]) -> list[Any]:
        references = list(flying)
        return ray.wait(references, num_returns=len(references), timeout=0)[1] if references else []

    @staticmethod
    def _result(ray: Any, reference: Any) -> Any:
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error
        except (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.OutOfMemoryError,
            ray.exceptions.NodeDiedError,
        ) as error:
            return WorkerDied(f"its Ray worker was lost {_LOST_WORKERS_BORNE + 1} times: {type(error).__name__}")
