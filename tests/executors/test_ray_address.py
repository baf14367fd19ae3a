"""Addresses of Ray clusters, in processes of their own: this one may be connected already."""

import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from curate.errors import MissingDependency, ServiceRefused, ServiceUnavailable
from curate.executors.ray import _no_cluster, check_cluster, name_worker

NOTHING_RUNS = """
from functools import cache
from ray._private import services, utils
services.find_gcs_addresses = cache(set)
utils.read_ray_address = lambda temp_dir: None
"""
"""Hides a cluster that happens to run on this machine, which ``auto`` would find."""


def run_python(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**plain, **environment})


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9", "nowhere.invalid:6379", "ray://127.0.0.1:9", "auto", "127.0.0.1:99999"]
)
def test_no_ray_cluster_is_one_clear_error(address):
    code = (
        "from curate.errors import ServiceUnavailable\nfrom curate.executors import ray\n"
        f"ray._JOIN = {NOTHING_RUNS!r} + ray._JOIN\nRayExecutor = ray.RayExecutor\n"
        f"try: next(RayExecutor(1, {address!r}).map(len, ['a'], resources=None, stop=lambda: False))\n"
        "except ServiceUnavailable as error: print(error.message, '|', error.hint)"
    )
    done = run_python(NOTHING_RUNS + code)
    assert f"no Ray cluster answers at {address}" in done.stdout, done.stderr
    assert "ray start --head" in done.stdout


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_an_address_where_something_else_listens_is_said_within_seconds(monkeypatch, answer):
    monkeypatch.setattr("curate.executors.ray._CONNECT_S", 0.5)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        if answer:
            threading.Thread(target=lambda: listener.accept()[0].sendall(answer), daemon=True).start()
        with pytest.raises(ServiceUnavailable, match="something else than Ray listens there"):
            check_cluster(address)


@pytest.mark.parametrize(
    ("output", "kind", "says", "hint"),
    [
        (
            "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.59.0\n    Python: 3.12.1\n"
            "This process on node 10.0.0.2 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7",
            ServiceUnavailable,
            "Ray: 2.59.0 Python: 3.12.1 This process on node 10.0.0.2 was started with: Ray: 2.60.0",
            "same versions of Ray and Python",
        ),
        (
            "[2026-12-01 02:00:00,000 E 1 1] gcs_rpc_client.h:179: Unauthenticated: InvalidAuthToken: no token\n",
            ServiceRefused,
            "asks for its token",
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN",
        ),
        ("ConnectionError: nobody\x1b[31m", ServiceUnavailable, "no Ray cluster answers at a:1", "ray start --head"),
    ],
)
def test_what_ray_says_is_passed_on_whole(output, kind, says, hint):
    error = _no_cluster("a:1", output)
    assert isinstance(error, kind)
    assert says in error.message
    assert hint in error.hint


def test_stdout_holds_one_document_whatever_libraries_print():
    code = (
        "import os\nfrom curate.cli.output import claim_stdout, show_json\nclaim_stdout()\n"
        "os.write(1, b'[state-dump] a node died\\n')\nshow_json({'a': 1})\nos.write(1, b'more')"
    )
    done = run_python(code)
    assert json.loads(done.stdout) == {"a": 1}
    assert "[state-dump] a node died" in done.stderr


def test_without_an_address_no_other_cluster_is_used_and_no_setting_stays(tmp_path):
    code = (
        "import os\nfrom shlex import quote\nfrom curate.executors.ray import RayExecutor\n"
        "before = {name: value for name, value in os.environ.items() if name != 'RAY_CLIENT_MODE'}\n"
        "executor = RayExecutor(1)\n"
        "print(*executor.map(quote, ['abc'], resources=None, stop=lambda: False))\n"
        "executor.close()\n"
        "after = {name: value for name, value in os.environ.items() if name != 'RAY_CLIENT_MODE'}\n"
        "assert after == before, after.keys() - before.keys()\n"
        "from ray._raylet import AuthenticationTokenLoader\n"
        "assert not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True), 'Ray remembers the token'"
    )
    done = run_python(code, HOME=str(tmp_path), RAY_ADDRESS="127.0.0.1:9")
    assert (done.stdout, done.returncode) == ("abc\n", 0), done.stderr
    assert not (tmp_path / ".ray" / "auth_token").exists()


def test_errors_of_workers_name_the_machine():
    def fail(task):
        raise MissingDependency("no key to s3://b was found", hint="set AWS_ACCESS_KEY_ID")

    with pytest.raises(MissingDependency) as caught:
        name_worker(fail, "another-machine")(None)
    assert caught.value.message == f"on the worker {socket.gethostname()}: no key to s3://b was found"
    assert caught.value.hint == "set AWS_ACCESS_KEY_ID; a worker has an environment and disks of its own"
    with pytest.raises(MissingDependency, match=r"^no key to"):
        name_worker(fail, socket.gethostname())(None)
