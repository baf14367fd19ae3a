"""Workers on a Ray cluster: a running one, or one started on this machine for the run."""

import functools
import os
import re
import secrets
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from curate.errors import CurateError, MissingDependency, ServiceRefused, ServiceUnavailable
from curate.executors import AHEAD_PER_WORKER, IN_FLIGHT_PER_WORKER, WorkerDied
from curate.memory import keep_pandas_out

T = TypeVar("T")
R = TypeVar("R")

_POLL_S = 0.1
_CONNECT_S = 5
_JOIN_S = 60
_MAX_CHARS = 500
_MAX_RETRIES = 2


class RayExecutor:
    """Runs tasks on Ray with the CPUs and GPUs that their stage needs; tasks of lost workers are run again elsewhere.

    A worker on another machine needs what the driver has: curate, the keys in its environment, the recipe's raw files
    and model folders under the same paths, and a workspace behind a URL (or on a disk that all share).

    Without ``address`` a cluster of ``workers`` CPUs is started in this process and ended by ``close``. Raises
    ``MissingDependency`` without the ``ray`` extra, ``ServiceUnavailable`` when the address does not answer, and
    ``ServiceRefused`` when it asks for a token.
    """

    def __init__(self, workers: int = 1, address: str | None = None) -> None:
        self.workers = workers
        self.address = address
        self._started = False
        self._settings = ExitStack()

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T | None], *, resources: Any, stop: Callable[[], bool]
    ) -> Iterator[R | WorkerDied]:
        """See ``Executor.map``."""
        ray = self._connect()
        cpus, gpus = resources or (1.0, 0.0)
        remote = ray.remote(max_retries=_MAX_RETRIES, num_cpus=cpus, num_gpus=gpus)(
            name_worker(function, socket.gethostname())
        )
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

            self._started = False
            with self._settings:
                ray.shutdown()

    def _connect(self) -> Any:
        imported: Any = sys.modules.get("ray")
        if imported is not None and imported.is_initialized():
            return imported
        with ExitStack() as settings:
            settings.enter_context(ray_settings(is_local=not self.address))
            try:
                import ray
            except ImportError as error:
                raise MissingDependency("Ray is not installed", hint="pip install 'curate[ray]'") from error
            self._join(ray)
            self._settings = settings.pop_all()
            self._started = True
        return ray

    def _join(self, ray: Any) -> None:
        quiet = {"log_to_driver": False, "logging_level": "error"}
        if not self.address:
            # "local" ignores RAY_ADDRESS and clusters that happen to run on this machine.
            ray.init(address="local", num_cpus=self.workers, include_dashboard=False, **quiet)
            return
        check_cluster(self.address)
        try:
            ray.init(address=self.address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise _no_cluster(self.address, str(error)) from error

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


@contextmanager
def ray_settings(is_local: bool) -> Iterator[None]:
    """Set what Ray reads from the environment, for a cluster of one's own or another; put all of it back afterwards."""
    # Otherwise Ray reports usage over the network and warns of how it hides GPUs.
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    if is_local:
        # Otherwise Ray leaves a token in the home folder, which clusters started later would ask for.
        settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    # Ray itself sets the last two.
    before = {name: os.environ.get(name) for name in (*settings, "RAY_AUTH_MODE", "PYTHONBREAKPOINT")}
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    _read_settings()
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
        _read_settings()


def _read_settings() -> None:
    """Make Ray read how it signs in from the environment again: it does so once, when it is imported or signs in."""
    raylet: Any = sys.modules.get("ray._raylet")
    # Versions of Ray before 2.52 have no tokens.
    if hasattr(raylet, "AuthenticationTokenLoader"):
        # In this order: threads of an ended cluster may still look for a token while one is asked for.
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()


def name_worker(function: Callable[[T], R], driver: str) -> Callable[[T], R]:
    """Return a function whose errors name the machine, if it is not the driver's, for the user to put right there."""

    @functools.wraps(function)
    def run(task: T) -> R:
        keep_pandas_out()
        try:
            return function(task)
        except CurateError as error:
            host = socket.gethostname()
            if host != driver:
                error.message = f"on the worker {host}: {error.message}"
                error.hint = f"{error.hint or 'put that right'}; a worker has an environment and disks of its own"
            raise

    return run


_JOIN = """
import ray, sys
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="error")
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def check_cluster(address: str) -> None:
    """Raise ``ServiceUnavailable`` or ``ServiceRefused`` within seconds if a Ray cluster cannot be joined.

    A process of its own tries to join first: Ray waits for minutes where something else listens, and ends the whole
    process where it is refused.
    """
    try:
        if parts := re.fullmatch(r"(?:ray://)?([\w.-]+):(\d{1,5})", address):
            with socket.create_connection((parts[1], int(parts[2])), timeout=_CONNECT_S) as connection:
                if not os.environ.get("RAY_USE_TLS") and not _is_http2(connection):
                    raise _no_cluster(address, "something else than Ray listens there")
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error
    command = [sys.executable, "-c", _JOIN, address]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as join:
        try:
            output = join.communicate(timeout=_JOIN_S)[0]
        except subprocess.TimeoutExpired:
            join.kill()
            output = join.communicate()[0] + f"\nno answer within {_JOIN_S} s"
        except BaseException:
            join.kill()
            raise
    if join.returncode:
        raise _no_cluster(address, output)


def _is_http2(connection: socket.socket) -> bool:
    """Whether the other side answers as HTTP/2 servers do (RFC 9113, 3.4), which all of Ray's are."""
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    try:
        frame = connection.recv(9)
    except OSError:
        return False
    return frame[3:4] == b"\4"


def _no_cluster(address: str, output: str) -> ServiceUnavailable | ServiceRefused:
    """Return the error for an address that cannot be joined, from what Ray says of it."""
    cause = _cause(output)
    if re.search(r"unauthenticated|auth(entication)? token|invalid token|AuthenticationError", output, re.IGNORECASE):
        return ServiceRefused(
            f"the Ray cluster at {address} asks for its token: {cause}",
            hint="set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (on its head: `ray get-auth-token`)",
        )
    if re.search(r"version mismatch", output, re.IGNORECASE):
        return ServiceUnavailable(
            f"the Ray cluster at {address} runs other versions than this machine: {cause}",
            hint="install the same versions of Ray and Python on all machines",
        )
    return ServiceUnavailable(
        f"no Ray cluster answers at {address}: {cause}",
        hint="start one with `ray start --head` (and set RAY_AUTH_MODE=token if it needs a token), "
        "or omit --ray-address to use this machine",
    )


def _cause(output: str) -> str:
    """Return what Ray says in one bounded line, without the time stamps and places of its log."""
    lines = [
        re.sub(r"^\[[^]]*\]( \([^)]*\))?\s*|^\(\w+ pid=\d+\)\s*", "", line).strip() for line in output.splitlines()
    ]
    text = " ".join(dict.fromkeys(filter(None, lines)))
    return text if len(text) <= _MAX_CHARS else f"…{text[-_MAX_CHARS:]}"
