"""Addresses of Ray clusters, in processes of their own: this one may be connected already."""

import os
import subprocess
import sys

import pytest

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
        "from curate.errors import ServiceUnavailable\nfrom curate.executors.ray import RayExecutor\n"
        f"try: next(RayExecutor(1, {address!r}).map(len, ['a'], resources=None, stop=lambda: False))\n"
        "except ServiceUnavailable as error: print(error.message, '|', error.hint)"
    )
    done = run_python(NOTHING_RUNS + code)
    assert f"no Ray cluster answers at {address}" in done.stdout, done.stderr
    assert "ray start --head" in done.stdout


def test_without_an_address_no_other_cluster_is_used():
    code = (
        "from shlex import quote\nfrom curate.executors.ray import RayExecutor\nexecutor = RayExecutor(1)\n"
        "print(*executor.map(quote, ['abc'], resources=None, stop=lambda: False)); executor.close()"
    )
    done = run_python(code, RAY_ADDRESS="127.0.0.1:9")
    assert done.stdout.split() == ["abc"], done.stderr
