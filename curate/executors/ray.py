"""Workers on a Ray cluster: a running one, or one started on this machine for the run."""

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

_POLL_S = 0.1
_CONNECT_S = 10
_MAX_RETRIES = 2


class RayExecutor:
    """Runs tasks on Ray with the CPUs and GPUs that their stage needs; tasks of lost workers are run again elsewhere.

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
        remote = ray.remote(max_retries=_MAX_RETRIES, num_cpus=cpus, num_gpus=gpus)(function)
        source = iter(tasks)
        in_flight: deque[Any] = deque()
        try:
            while not stop():
                width = self._width(ray, cpus)
                unfinished = self._unfinished(ray, in_flight)
                while (
                    len(unfinished) < width * IN_FLIGHT_PER_WORKER
                    and len(in_flight) < width * AHEAD_PER_WORKER
                    and (task := next(source, None)) is not None
                ):
                    in_flight.append(remote.remote(task))
                    unfinished.append(in_flight[-1])
                if not in_flight:
                    return
                if in_flight[0] in unfinished:
                    ray.wait(unfinished, timeout=_POLL_S)
                else:
                    yield self._result(ray, in_flight.popleft())
        finally:
            for reference in in_flight:
                ray.cancel(reference, force=True)

    def close(self) -> None:
        """End the cluster if this process started it; disconnect otherwise."""
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def _connect(self) -> Any:
        try:
            # Otherwise Ray reports usage over the network and prints what its workers print.
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
            # Ray itself keeps trying for many minutes.
            if address := re.fullmatch(r"(?:ray://)?([\w.-]+):(\d{1,5})", self.address or ""):
                socket.create_connection((address[1], int(address[2])), timeout=_CONNECT_S).close()
            ray.init(address=self.address, **quiet)
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ServiceUnavailable(
                f"no Ray cluster answers at {self.address}: {cause}",
                hint="start one with `ray start --head` (and set RAY_AUTH_MODE=token if it needs a token), "
                "or omit --ray-address to use this machine",
            ) from error

    def _width(self, ray: Any, cpus: float) -> int:
        if not self.address:
            return self.workers
        return max(1, int(ray.cluster_resources().get("CPU", 1) / max(cpus, 0.1)))

    @staticmethod
    def _unfinished(ray: Any, in_flight: Iterable[Any]) -> list[Any]:
        references = list(in_flight)
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
            return WorkerDied(f"its Ray worker was lost {_MAX_RETRIES + 1} times: {type(error).__name__}")
