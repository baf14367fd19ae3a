"""The process of a local Label Studio: its environment, start, health and end."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from curate.annotation.local_server.address import Address
from curate.annotation.local_server.page import SETTINGS_MODULE, write_page_settings
from curate.errors import InvalidInput, ServiceUnavailable

MEDIA = "media"
"""The folder of shared media, the only one whose files the server serves: any annotator can have all of it shown."""
START_S = 300.0
STOP_S = 15.0
LOADING_S = 1.0

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
"""The only variables passed on: Label Studio reads unprefixed settings too (HOST, DEBUG, PASSWORD ...)."""


class Credentials(NamedTuple):
    """The login of the local server's administrator; ``name`` identifies the server whatever its port."""

    email: str
    password: str
    token: str
    name: str


def _environment(folder: Path, data: Path, address: Address, login: Credentials) -> dict[str, str]:
    """Return the whole environment of the server: silent, and sending nothing anywhere."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "share"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_DJANGO_DB": "sqlite",
        "LABEL_STUDIO_HOST": address.public_url or f"http://{address.own_host}:{address.port}",
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
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder / MEDIA),
        "LABEL_STUDIO_LOG_LEVEL": "WARNING",
        "fflag_feat_utc_210_prediction_validation_15082025": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(write_page_settings(folder / "page")),
        "DJANGO_SETTINGS_MODULE": SETTINGS_MODULE,
        **address.environment,
    }


def build_database(python: Path, folder: Path, login: Credentials) -> None:
    """Create the database, all of it or nothing."""
    partial = folder / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    process = subprocess.run(
        [str(python), "-m", "label_studio.server", "init", "--no-browser", "--enable-legacy-api-token"],
        env=_environment(folder, partial, Address(port=1), login),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if process.returncode:
        raise ServiceUnavailable("Label Studio could not build its database:\n" + _tail(process.stdout))
    partial.rename(folder / "data")


def launch(python: Path, folder: Path, address: Address, login: Credentials) -> int:
    """Start the server in a process session of its own and return its process id."""
    data = folder / "data"
    command = [str(python), "-m", "label_studio.server", "start", "--no-browser", "--data-dir", str(data)]
    command += ["--internal-host", address.host, "--port", str(address.port)]
    with os.fdopen(os.open(folder / "server.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        process = subprocess.Popen(
            command,
            env=_environment(folder, data, address, login),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # The server outlives this process on purpose; without this, Python would report a leak.
    process.returncode = 0
    return process.pid


def await_health(pid: int, address: Address, folder: Path) -> None:
    """Return once the server answers on its port.

    Raises ``ServiceUnavailable`` with the end of its log if it ends or takes too long, and ``InvalidInput`` if it moved
    to another port.
    """
    log = folder / "server.log"
    started_at = time.monotonic()
    while True:
        is_alive = is_server(pid, folder)
        text = log.read_text("utf-8", "replace")
        # The command line is empty while the program is being loaded.
        if not is_alive and time.monotonic() - started_at > LOADING_S:
            raise ServiceUnavailable(f"Label Studio stopped while starting; the end of {log}:\n{_tail(text)}")
        listening = re.search(r"Starting development server at http://[\w.]+:(\d+)/", text)
        if listening and int(listening[1]) != address.port:
            raise InvalidInput(
                f"port {address.port} was taken by another program meanwhile", hint="run the command again"
            )
        if listening and _is_healthy(address):
            return
        if time.monotonic() - started_at > START_S:
            raise ServiceUnavailable(f"Label Studio did not answer within {START_S:.0f} s; see {log}:\n{_tail(text)}")
        time.sleep(0.2)


def is_server(pid: int, folder: Path) -> bool:
    """Return whether a process is this folder's server, by its command line: process ids are reused."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        if Path("/proc/self").exists():
            return False
        list_command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(list_command, capture_output=True, text=True, check=False).stdout
    return "label_studio.server" in command and str(folder / "data") in command


def stop(pid: int, folder: Path) -> None:
    """Terminate the process, and kill it if it does not end."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        started_at = time.monotonic()
        while time.monotonic() - started_at < STOP_S:
            if not is_server(pid, folder):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)
            time.sleep(0.1)
    raise ServiceUnavailable(f"Label Studio (process {pid}) does not stop")


def _is_healthy(address: Address) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address.own_host}:{address.port}/health", timeout=5) as answer:
            return b"UP" in answer.read(1000)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-12:])
