"""Commands of curate in processes of their own, forked from one that has imported what takes a second to import."""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_MAX_BYTES = 1_000_000


class CurateProcess:
    """A running ``python -m curate``, or ``python -c`` with ``code``; it knows nothing of the server that forked it.

    ``stdout`` and ``stderr`` are the numbers of open files; without them, nobody reads what it prints.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        code: str = "",
        cwd: Path = _ROOT,
        env: Mapping[str, str] = os.environ,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.args = ["curate", *arguments]
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.connect(_server())
        request = json.dumps({"arguments": list(arguments), "code": code, "cwd": str(cwd), "env": dict(env)})
        with open(os.devnull, "r+b") as nothing:
            files = [nothing.fileno() if file is None else file for file in (None, stdout, stderr)]
            socket.send_fds(self._channel, [request.encode()], files)
        self.pid = int(self._channel.recv(100))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, or None while it runs; negative if a signal ended it."""
        return self.wait(0)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit status as soon as there is one; None if there is none within ``timeout_s``."""
        if self.returncode is None and select.select([self._channel], [], [], timeout_s)[0]:
            self.returncode = int(self._channel.recv(100))
            self._channel.close()
        return self.returncode

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def run_forked(
    arguments: Sequence[str],
    *,
    code: str = "",
    cwd: Path = _ROOT,
    env: Mapping[str, str] = os.environ,
    timeout_s: float = 120,
) -> "subprocess.CompletedProcess[str]":
    """Run a ``CurateProcess`` to its end. Raises ``subprocess.TimeoutExpired`` after killing it."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        files = {"stdout": stdout.fileno(), "stderr": stderr.fileno()}
        process = CurateProcess(arguments, code=code, cwd=cwd, env=env, **files)
        if process.wait(timeout_s) is None:
            process.kill()
            process.wait()
            raise subprocess.TimeoutExpired(process.args, timeout_s)
        for output in (stdout, stderr):
            output.seek(0)
        return subprocess.CompletedProcess(process.args, process.returncode or 0, stdout.read(), stderr.read())


@cache
def _server() -> str:
    """Start the server of this process, which ends with it; returns its address."""
    address = f"{tempfile.mkdtemp(prefix='curate-fork-')}/socket"
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, "-m", "tests.support.fork_server", address]
    server = subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    _KEPT.append(server)
    return address


_KEPT: list["subprocess.Popen[str]"] = []


def _serve(address: str) -> dict[str, Any]:
    """Fork until standard input ends; returns, in each fork, what it is asked to do."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(16)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print("ready", flush=True)
        while True:
            if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
                shutil.rmtree(Path(address).parent)
                sys.exit()
            channel, _ = listener.accept()
            if os.fork():
                channel.close()
                continue
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            return _fork_and_watch(channel)


def _fork_and_watch(channel: socket.socket) -> dict[str, Any]:
    message, files, _, _ = socket.recv_fds(channel, _MAX_BYTES, 3)
    request: dict[str, Any] = json.loads(message)
    pid = os.fork()
    if pid:
        channel.send(str(pid).encode())
        status = os.waitpid(pid, 0)[1]
        with suppress(BrokenPipeError):  # nobody waits for it any more
            channel.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    channel.close()
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    return request


PRELOADED = ("curate.executors.open", "curate.pipeline", "deltalake", "polars", "pyarrow.dataset", "pyarrow.parquet")
"""What most commands use: nothing of it reads settings or starts threads when it is imported."""


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    request = _serve(sys.argv[1])
    sys.argv[1:] = request["arguments"]
    status = 0
    try:
        if request["code"]:
            exec(request["code"], {"__name__": "__main__"})
        else:
            runpy.run_module("curate", run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else bool(ending.code)
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
    except BaseException:
        status = 1
        traceback.print_exc()
    # As an interpreter ends, without taking apart every module, which would take as long as a short command.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
