"""Ray addresses at which no cluster answers; apart from the tests that start one, which ``auto`` would find."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9", "nowhere.invalid:6379", "ray://127.0.0.1:9", "auto", "127.0.0.1:99999"]
)
def test_no_ray_cluster_is_one_clear_error(address):
    """In a process of its own: this one may be connected already."""
    code = (
        "from curate.errors import ServiceUnavailable\nfrom curate.executors.ray import RayExecutor\n"
        f"try: next(RayExecutor(1, {address!r}).map(len, ['a'], resources=None, stop=lambda: False))\n"
        "except ServiceUnavailable as error: print(error.message, '|', error.hint)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert f"no Ray cluster answers at {address}" in done.stdout, done.stderr
    assert "ray start --head" in done.stdout
