"""Run a local Label Studio for a workspace: on 127.0.0.1 only, on SQLite, unattended, with nothing sent anywhere."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from curate.annotation.install import install
from curate.errors import InvalidInput, ServiceUnavailable, StorageFailed

ADMINISTRATOR = "admin@example.com"
START_S = 300.0
STOP_S = 15.0

_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
"""Label Studio reads its settings under unprefixed names too (HOST, DEBUG, PASSWORD ...), so only these get through."""


class Credentials(NamedTuple):
    """The login of the local server's administrator; ``name`` tells this server from any other, whatever its port."""

    email: str
    password: str
    token: str
    name: str


class ServerInfo(NamedTuple):
    """A running local server. ``started`` is whether this call started it; ``created`` whether its login is new."""

    url: str
    port: int
    pid: int
    email: str
    password: str
    log: Path
    started: bool = False
    created: bool = False


def up(workspace_root: Path, port: int | None = None, *, say: Callable[[str], None] = lambda _: None) -> ServerInfo:
    """The workspace's server, running: installed, its database made and the process started as far as need be.

    The process outlives the caller. Without ``port`` the last one is used again when free. Raises ``InvalidInput``
    for a port in use, ``MissingDependency`` when it cannot be installed, ``ServiceUnavailable`` with the end of its
    log when it does not start.
    """
    from filelock import FileLock

    folder = _folder(workspace_root)
    if port is not None and not 1 <= port <= 65535:
        raise InvalidInput(f"{port} is not a port", hint="use one from 1024 to 65535")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        with FileLock(folder / "up.lock"):
            running = state(workspace_root)
            if running is not None:
                if port not in (None, running.port):
                    raise InvalidInput(
                        f"Label Studio already runs on port {running.port}", hint="`curate annotate down` stops it"
                    )
                return running
            chosen = _choose_port(folder, port)
            python = install(say)
            login, created = _login(folder)
            if not (folder / "data").is_dir():
                say("Building its database")
                _build_database(python, workspace_root, login)
            say("Starting Label Studio")
            pid = _start(python, workspace_root, chosen, login)
    except OSError as error:
        raise StorageFailed(f"cannot use {folder}: {error.strerror or error}") from error
    return _info(workspace_root, pid, chosen, login, started=True, created=created)


def down(workspace_root: Path) -> bool:
    """Stop the workspace's server; False when none was running. Nothing that was annotated is lost."""
    running = state(workspace_root)
    (_folder(workspace_root) / "server.json").unlink(missing_ok=True)
    if running is None:
        return False
    _stop(running.pid, workspace_root)
    return True


def state(workspace_root: Path) -> ServerInfo | None:
    """The workspace's running server, or None; a pid left by a dead server or taken by another program is no server."""
    record = _read_json(_folder(workspace_root) / "server.json")
    login = read_login(workspace_root)
    pid, port = record.get("pid"), record.get("port")
    if login is None or not isinstance(pid, int) or not isinstance(port, int) or not _is_ours(pid, workspace_root):
        return None
    return _info(workspace_root, pid, port, login)


def read_login(workspace_root: Path) -> Credentials | None:
    """The stored login of the workspace's own server, or None where there has been none."""
    found = _read_json(_folder(workspace_root) / "credentials.json")
    return Credentials(**found) if set(found) == set(Credentials._fields) else None


def _folder(workspace_root: Path) -> Path:
    return workspace_root.absolute() / "label_studio"


def _info(
    root: Path, pid: int, port: int, login: Credentials, *, started: bool = False, created: bool = False
) -> ServerInfo:
    log = _folder(root) / "server.log"
    return ServerInfo(f"http://127.0.0.1:{port}", port, pid, login.email, login.password, log, started, created)


def _read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when it is missing or damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that only its owner may read, from the first byte on, in one step."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    new.replace(path)


def _login(folder: Path) -> tuple[Credentials, bool]:
    """The stored login, made first (with True) where there is none."""
    login = read_login(folder.parent)
    if login is not None:
        return login, False
    if (folder / "data").is_dir():
        raise StorageFailed(
            f"{folder / 'credentials.json'} is missing or damaged, but its database is there",
            hint=f"restore that file; or, to begin with an empty server, move {folder} away",
        )
    name = f"local-{secrets.token_hex(6)}"
    login = Credentials(ADMINISTRATOR, secrets.token_urlsafe(12), secrets.token_hex(20), name)
    _write_private(folder / "credentials.json", login._asdict())
    return login, True


def _choose_port(folder: Path, port: int | None) -> int:
    """The port asked for, the last one, or any free one; Label Studio itself would silently move to the next."""
    if port is not None:
        if not _is_free(port):
            raise InvalidInput(f"port {port} is already in use", hint="leave --port out, or name another one")
        return port
    last = _read_json(folder / "port.json").get("port")
    if isinstance(last, int) and 1 <= last <= 65535 and _is_free(last):
        return last
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _environment(root: Path, data: Path, port: int, login: Credentials) -> dict[str, str]:
    """Everything the server is told: local, silent, with no way out."""
    home = _folder(root) / "home"
    home.mkdir(exist_ok=True)
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "share"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_DJANGO_DB": "sqlite",
        "LABEL_STUDIO_HOST": f"http://127.0.0.1:{port}",
        "LABEL_STUDIO_USERNAME": login.email,
        "LABEL_STUDIO_PASSWORD": login.password,
        "LABEL_STUDIO_USER_TOKEN": login.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(root.absolute()),
        "LABEL_STUDIO_LOG_LEVEL": "WARNING",
        "fflag_feat_utc_210_prediction_validation_15082025": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }


def _build_database(python: Path, root: Path, login: Credentials) -> None:
    """Make ``data`` aside and put it in place in one step, so that an interrupted attempt leaves nothing half made."""
    folder = _folder(root)
    aside = folder / "data.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    done = subprocess.run(
        [str(python), "-m", "label_studio.server", "init", "--no-browser", "--enable-legacy-api-token"],
        env=_environment(root, aside, 1, login),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise ServiceUnavailable("Label Studio could not build its database:\n" + _tail(done.stdout))
    aside.rename(folder / "data")


def _start(python: Path, root: Path, port: int, login: Credentials) -> int:
    """Start the server detached and wait until it answers as ours; its pid is on disk before the wait."""
    folder = _folder(root)
    log = folder / "server.log"
    data = folder / "data"
    command = [str(python), "-m", "label_studio.server", "start", "--no-browser", "--data-dir", str(data)]
    command += ["--internal-host", "127.0.0.1", "--port", str(port)]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        process = subprocess.Popen(
            command,
            env=_environment(root, data, port, login),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _write_private(folder / "server.json", {"pid": process.pid, "port": port})
        _write_private(folder / "port.json", {"port": port})
        _await_health(process, port, log)
    except BaseException:
        process.kill()
        process.wait()
        (folder / "server.json").unlink(missing_ok=True)
        raise
    # The server is meant to outlive this process: without this, its end of life would be reported as a leak.
    process.returncode = 0
    return process.pid


def _await_health(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    begun = time.monotonic()
    while True:
        text = log.read_text("utf-8", "replace")
        if process.poll() is not None:
            raise ServiceUnavailable(f"Label Studio stopped while starting; the end of {log}:\n{_tail(text)}")
        listening = re.search(r"Starting development server at http://127\.0\.0\.1:(\d+)/", text)
        if listening and int(listening[1]) != port:
            raise InvalidInput(f"port {port} was taken by another program meanwhile", hint="run it again")
        if listening and _is_healthy(port):
            return
        if time.monotonic() - begun > START_S:
            raise ServiceUnavailable(f"Label Studio did not answer within {START_S:.0f} s; see {log}:\n{_tail(text)}")
        time.sleep(0.2)


def _is_healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return b"UP" in answer.read(1000)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-12:])


def _is_ours(pid: int, root: Path) -> bool:
    """Whether a process is this workspace's server, by its command line; a pid alone may have been given anew."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        if Path("/proc/self").exists():
            return False
        ask = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        shown = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
        return "label_studio.server" in shown and str(_folder(root) / "data") in shown
    return "label_studio.server" in command and str(_folder(root) / "data") in command


def _stop(pid: int, root: Path) -> None:
    """Ask the process to end, then insist."""
    for sign, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        begun = time.monotonic()
        while time.monotonic() - begun < patience_s:
            if not _is_ours(pid, root):
                return
            time.sleep(0.1)
    raise ServiceUnavailable(f"Label Studio (process {pid}) does not stop")
