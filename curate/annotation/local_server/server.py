"""Run a local Label Studio for a workspace: on 127.0.0.1 by default, unattended, sending nothing anywhere."""

import json
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from curate.annotation.local_server.address import LOOPBACK, Address
from curate.annotation.local_server.install import install
from curate.annotation.local_server.process import (
    MEDIA,
    Credentials,
    await_health,
    build_database,
    is_server,
    launch,
    stop,
)
from curate.errors import InvalidInput, StorageFailed
from curate.files import read_json_object, write_whole

ADMINISTRATOR = "admin@example.com"


class ServerInfo(NamedTuple):
    """A running local server. ``started``: this call started it. ``created``: its login is new."""

    url: str
    port: int
    pid: int
    email: str
    password: str
    log: Path
    started: bool = False
    created: bool = False
    public_url: str = ""
    """The address for annotators; ``url`` is that for this machine."""


def up(
    workspace_root: Path,
    port: int | None = None,
    *,
    address: Address | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ServerInfo:
    """Start the workspace's server if it is not running, installing it and creating its database as needed.

    The process outlives the caller. Without ``port`` the last one is used again if it is free; ``address`` is for
    annotators at other desks. Raises ``InvalidInput``
    for a port in use, ``MissingDependency`` if Label Studio cannot be installed, and ``ServiceUnavailable`` with the
    end of the log if it does not start.
    """
    from filelock import FileLock

    folder = _folder(workspace_root)
    address = address or Address()
    port = port if address.port is None else address.port
    if port is not None and not 1 <= port <= 65535:
        raise InvalidInput(f"{port} is not a port", hint="use one from 1024 to 65535")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        with FileLock(folder / "up.lock"):
            running = state(workspace_root)
            (folder / MEDIA).mkdir(exist_ok=True, mode=0o700)
            if running is not None and "serves" not in read_json_object(folder / "server.json"):
                say("Restarting Label Studio: an earlier version of curate let it serve the whole workspace")
                port = port or running.port
                stop(running.pid, folder)
                running = None
            if running is not None:
                if address != Address() and (address.host, address.public_url) != _stored_address(folder)[::2]:
                    raise InvalidInput(
                        f"Label Studio already runs at {running.public_url or running.url}",
                        hint="`curate annotate down` stops it; then start it with the new address",
                    )
                if port not in (None, running.port):
                    raise InvalidInput(
                        f"Label Studio already runs on port {running.port}", hint="`curate annotate down` stops it"
                    )
                await_health(running.pid, _stored_address(folder), folder)
                return running
            address = address._replace(port=_choose_port(folder, port, address.host))
            python = install(say)
            login, created = _login(folder)
            if not (folder / "data").is_dir():
                say("Building its database")
                build_database(python, folder, login)
            say("Starting Label Studio")
            pid = _start(python, folder, address, login)
    except OSError as error:
        raise StorageFailed(f"cannot use {folder}: {error.strerror or error}") from error
    return _info(workspace_root, pid, address, login)._replace(started=True, created=created)


def down(workspace_root: Path) -> bool:
    """Stop the workspace's server and return whether it was running. All annotations are kept."""
    running = state(workspace_root)
    (_folder(workspace_root) / "server.json").unlink(missing_ok=True)
    if running is None:
        return False
    stop(running.pid, _folder(workspace_root))
    return True


def state(workspace_root: Path) -> ServerInfo | None:
    """Return the workspace's running server, or None. A stale or reused process id does not count."""
    record = read_json_object(_folder(workspace_root) / "server.json")
    login = read_login(workspace_root)
    pid, port = record.get("pid"), record.get("port")
    if (
        login is None
        or not isinstance(pid, int)
        or not isinstance(port, int)
        or not is_server(pid, _folder(workspace_root))
    ):
        return None
    return _info(workspace_root, pid, _stored_address(_folder(workspace_root)), login)


def read_login(workspace_root: Path) -> Credentials | None:
    """Return the stored login of the workspace's own server, or None if there is none."""
    login = read_json_object(_folder(workspace_root) / "credentials.json")
    return Credentials(**login) if set(login) == set(Credentials._fields) else None


def _folder(workspace_root: Path) -> Path:
    return workspace_root.resolve() / "label_studio"


def _info(root: Path, pid: int, address: Address, login: Credentials) -> ServerInfo:
    log, port = _folder(root) / "server.log", address.port or 0
    url = f"http://{address.own_host}:{port}"
    return ServerInfo(url, port, pid, login.email, login.password, log, public_url=address.public_url)


def _stored_address(folder: Path) -> Address:
    """Return the address of the running server; servers of earlier versions listened on this machine alone."""
    record = read_json_object(folder / "server.json")
    host, port, public_url = record.get("host"), record.get("port"), record.get("public_url")
    return Address(
        host if isinstance(host, str) else LOOPBACK,
        port if isinstance(port, int) else None,
        public_url if isinstance(public_url, str) else "",
    )


def _login(folder: Path) -> tuple[Credentials, bool]:
    """Return the stored login and False, or a new one and True."""
    login = read_login(folder.parent)
    if login is not None:
        return login, False
    if (folder / "data").is_dir():
        raise StorageFailed(
            f"{folder / 'credentials.json'} is missing or damaged, but its database exists",
            hint=f"restore that file; or, to begin with an empty server, move {folder} away",
        )
    name = f"local-{secrets.token_hex(6)}"
    login = Credentials(ADMINISTRATOR, secrets.token_urlsafe(12), secrets.token_hex(20), name)
    write_whole(folder / "credentials.json", json.dumps(login._asdict(), indent=1), mode=0o600)
    return login, True


def _choose_port(folder: Path, port: int | None, host: str) -> int:
    """Return the requested port, the last one, or any free one; Label Studio itself would silently use the next."""
    if port is not None:
        if not _is_free(port, host):
            raise InvalidInput(f"port {port} is already in use", hint="omit --port, or choose another one")
        return port
    last = read_json_object(folder / "port.json").get("port")
    if isinstance(last, int) and 1 <= last <= 65535 and _is_free(last, host):
        return last
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int, host: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _start(python: Path, folder: Path, address: Address, login: Credentials) -> int:
    """Start the server and wait for it. Its process id is stored first, so that it is not lost if this is killed."""
    pid = launch(python, folder, address, login)
    try:
        write_whole(
            folder / "server.json",
            json.dumps({"pid": pid, **address._asdict(), "serves": MEDIA}, indent=1),
            mode=0o600,
        )
        write_whole(folder / "port.json", json.dumps({"port": address.port}, indent=1), mode=0o600)
        await_health(pid, address, folder)
    except BaseException:
        stop(pid, folder)
        (folder / "server.json").unlink(missing_ok=True)
        raise
    return pid
