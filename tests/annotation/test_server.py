"""The local server: started, found again, stopped, and clear about what is in its way."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from curate.annotation.local_server import install, server
from curate.annotation.local_server.connection import Connection, connection, is_configured
from curate.errors import InvalidInput, MissingDependency, ServiceUnavailable, StorageFailed
from curate.files import sha256_of

IMPORTS = "from pathlib import Path; from curate.annotation.local_server import server"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.label_studio
def test_up_and_down(make_root: Any) -> None:
    root = make_root()
    assert server.state(root) is None
    assert not is_configured(root)
    assert server.down(root) is False
    with pytest.raises(ServiceUnavailable) as refused:
        connection(root)
    assert "curate annotate up" in str(refused.value.hint)

    first = server.up(root)
    assert first.started
    assert first.url == f"http://127.0.0.1:{first.port}"
    found = connection(root)
    assert (found.url, found.local) == (first.url, True)
    who = httpx.get(f"{found.url}/api/current-user/whoami", headers={"Authorization": f"Token {found.api_key}"})
    assert who.json()["email"] == first.email
    listening = {
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    }
    assert f"0100007F:{first.port:04X}" in listening
    assert f"00000000:{first.port:04X}" not in listening

    again = server.up(root)
    assert not again.started
    assert (again.pid, again.port) == (first.pid, first.port)
    with pytest.raises(InvalidInput, match=str(first.port)):
        server.up(root, port=first.port + 1)

    assert server.down(root) is True
    assert server.state(root) is None
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{first.url}/health")
    later = server.up(root)
    assert later.port == first.port, "bookmarks should go on working"
    assert connection(root).name == found.name


@pytest.mark.label_studio
def test_secrets_are_for_their_owner_only(make_root: Any) -> None:
    root = make_root()
    info = server.up(root)
    folder = root / "label_studio"
    assert mode(folder) == 0o700
    for name in ("credentials.json", "server.json", "server.log"):
        assert mode(folder / name) == 0o600
    command = Path(f"/proc/{info.pid}/cmdline").read_text()
    login = server.read_login(root)
    assert login is not None
    assert login.password not in command
    assert login.token not in command
    environment = Path(f"/proc/{info.pid}/environ").read_text()
    assert "LABEL_STUDIO_COLLECT_ANALYTICS=false" in environment
    assert login.password not in info.log.read_text()


@pytest.mark.label_studio
def test_stray_settings_of_the_shell_do_not_get_through(make_root: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stray = {"HOST": "http://elsewhere", "PORT": "1", "DEBUG": "true", "PASSWORD": "x", "LABEL_STUDIO_SENTRY_DSN": "y"}
    for name, value in stray.items():
        monkeypatch.setenv(name, value)
    info = server.up(make_root())
    environment = dict(
        pair.partition("=")[::2] for pair in Path(f"/proc/{info.pid}/environ").read_text().split("\0") if pair
    )
    assert not {"HOST", "PORT", "DEBUG", "PASSWORD"} & set(environment)
    assert environment["LABEL_STUDIO_SENTRY_DSN"] == ""


@pytest.mark.label_studio
def test_server_outlives_the_process_that_started_it(make_root: Any) -> None:
    root = make_root()
    code = f"{IMPORTS}; server.up(Path({str(root)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    found = server.state(root)
    assert found is not None
    assert httpx.get(f"{found.url}/health").json() == {"status": "UP"}


@pytest.mark.label_studio
def test_a_pid_left_behind_is_no_server(make_root: Any) -> None:
    root = make_root()
    first = server.up(root)
    record = (root / "label_studio" / "server.json").read_text()
    os.kill(first.pid, signal.SIGKILL)
    while server.state(root) is not None:
        time.sleep(0.05)
    second = server.up(root)
    assert second.started
    server.down(root)
    reused = {**json.loads(record), "pid": os.getpid()}
    (root / "label_studio" / "server.json").write_text(json.dumps(reused))
    assert server.state(root) is None
    assert server.down(root) is False


@pytest.mark.label_studio
def test_start_that_was_killed_half_way_is_taken_over(make_root: Any) -> None:
    root = make_root()
    code = f"{IMPORTS}; server.up(Path({str(root)!r}))"
    with subprocess.Popen([sys.executable, "-c", code]) as starting:
        while not (root / "label_studio" / "server.json").exists():
            time.sleep(0.02)
        starting.kill()
    found = server.up(root)
    assert not found.started
    assert httpx.get(f"{found.url}/health").json() == {"status": "UP"}


@pytest.mark.label_studio
def test_two_at_once_start_one_server(make_root: Any) -> None:
    root = make_root()
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(server.up, [root, root])
    assert one.pid == other.pid
    assert {one.started, other.started} == {True, False}


@pytest.mark.label_studio
def test_port_in_use(make_root: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"port {port} is already in use"):
            server.up(make_root(), port=port)


@pytest.mark.parametrize("port", [0, -1, 70000])
def test_port_that_is_none(port: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a port"):
        server.up(tmp_path, port=port)


@pytest.mark.label_studio
def test_server_that_dies_at_the_start_shows_the_end_of_its_log(make_root: Any) -> None:
    root = make_root()
    database = root / "label_studio" / "data" / "label_studio.sqlite3"
    database.write_bytes(b"this is no database" * 100)
    with pytest.raises(ServiceUnavailable, match="not a database"):
        server.up(root)
    assert server.state(root) is None


def test_lost_login_is_not_made_up(tmp_path: Path) -> None:
    data = tmp_path / "label_studio" / "data"
    data.mkdir(parents=True)
    with pytest.raises(StorageFailed, match="missing or damaged") as failed:
        server._login(data.parent)
    assert "restore" in str(failed.value.hint)


def test_external_server_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "https://labels.example.org/ls/")
    with pytest.raises(InvalidInput, match="LABEL_STUDIO_API_KEY is not set"):
        connection(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "key")
    address = "https://labels.example.org/ls"
    assert connection(tmp_path) == Connection(address, "key", local=False, name=address, public_url="")
    assert connection(tmp_path).shown_url == address
    monkeypatch.setenv("LABEL_STUDIO_URL", "labels.example.org")
    with pytest.raises(InvalidInput, match="not a web address"):
        connection(tmp_path)


def test_installation_that_fails_says_why_and_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, wheel, lock = tmp_path / "home", tmp_path / "studio-1.0-py3-none-any.whl", tmp_path / "studio.lock"
    make_wheel(wheel)
    monkeypatch.setenv("CURATE_LABEL_STUDIO_HOME", str(home))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr(install, "LOCK", lock)
    monkeypatch.setattr(install, "_run", copying_environments(install._run, tmp_path / "environment"))
    (home / "half").mkdir(parents=True)
    reasons = {f"studio==2.0 --hash=sha256:{'0' * 64}": "No matching distribution"}
    reasons |= {f"studio==1.0 --hash=sha256:{'0' * 64}": "DO NOT MATCH THE HASHES", "studio==1.0": "--hash"}
    for line, reason in reasons.items():
        lock.write_text(line)
        with pytest.raises(MissingDependency, match=reason) as failed:
            install.install(lambda _: None)
        assert "LABEL_STUDIO_URL" in str(failed.value.hint)
        assert not install.is_installed()
        assert not (home / "half").exists()
        (home / "half").mkdir()
    lock.write_text(f"studio==1.0 --hash=sha256:{sha256_of(wheel.read_bytes())}")
    python = install.install(lambda _: None)
    assert install.is_installed()
    assert not (home / "half").exists()
    subprocess.run([python, "-c", "import studio"], check=True)


def copying_environments(run: Callable[..., None], kept: Path) -> Callable[..., None]:
    """Does as ``run`` does, but copies the first environment that was made instead of making the same again."""

    def run_or_copy(command: list[str], say: Any, step: str) -> None:
        if command[1:3] != ["-m", "venv"] or not kept.exists():
            run(command, say, step)
        if command[1:3] == ["-m", "venv"]:
            source, target = (kept, Path(command[3])) if kept.exists() else (Path(command[3]), kept)
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)

    return run_or_copy


def make_wheel(path: Path) -> None:
    """A package with one empty module."""
    name, version, *_ = path.name.split("-")
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


def test_installation_where_it_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CURATE_LABEL_STUDIO_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StorageFailed, match="cannot install Label Studio"):
        install.install(lambda _: None)


def test_label_studio_gets_a_python_with_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert install._python() == sys.executable or sys.version_info >= (3, 14)
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    monkeypatch.setattr("shutil.which", {"python3.12": "/usr/bin/python3.12"}.get)
    assert install._python() == "/usr/bin/python3.12"
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(MissingDependency, match=r"needs Python 3\.11, 3\.12 or 3\.13"):
        install._python()
