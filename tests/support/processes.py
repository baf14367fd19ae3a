"""Watch and end the processes of a test's own run."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def wait_until(condition: Callable[[], Any], *, timeout_s: float = 120.0) -> Any:
    """Return what the condition returns as soon as it is true. Raises ``AssertionError`` if it never is."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.01)
    return value


def is_running(pid: int) -> bool:
    """Whether a process lives; one that has ended and waits to be reaped does not."""
    return _status(pid)[0] not in ("Z", "")


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have started."""
    parents = {int(path.name): _status(int(path.name))[1] for path in Path("/proc").glob("[0-9]*")}
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        children = [child for child, other in parents.items() if other == parent]
        found += children
        todo += children
    return found


@contextmanager
def killing_a_ray_worker(is_due: Callable[[], Any] = lambda: True) -> Iterator[list[int]]:
    """Kill the first worker of this process's own Ray cluster that is at a task when ``is_due``; yields its id."""
    killed: list[int] = []
    ended = threading.Event()

    def hunt() -> None:
        while not killed and not ended.wait(0.02):
            for pid in descendants(os.getpid()) if is_due() else ():
                if _command(pid).startswith(b"ray::run_task"):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    return

    hunter = threading.Thread(target=hunt, daemon=True)
    hunter.start()
    try:
        yield killed
    finally:
        ended.set()
        hunter.join()


def _status(pid: int) -> tuple[str, int]:
    """The state of a process and its parent; empty and 0 if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return fields[0], int(fields[1])


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
