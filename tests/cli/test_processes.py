"""The forked processes of other tests do as ``python -m curate`` does."""

import os
import signal
import subprocess
import sys

import pytest

from tests.support.fork_server import CurateProcess, run_forked


@pytest.mark.parametrize("arguments", [["--version"], ["status"], ["bogus"], ["check", "none.yaml", "--json"]])
def test_a_forked_command_is_a_command(tmp_path, monkeypatch, arguments):
    monkeypatch.setenv("CURATE_WORKSPACE", "elsewhere")
    env = {**os.environ, "COLUMNS": "120"}
    command = [sys.executable, "-m", "curate", *arguments]
    started = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    forked = run_forked(arguments, cwd=tmp_path, env=env)
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_a_forked_process_can_be_killed_and_ends_as_it_says():
    process = CurateProcess([], code="import time; time.sleep(60)")
    assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = run_forked(["a"], code="import sys; print(sys.argv[1:]); sys.exit('no')")
    assert (done.returncode, done.stdout, done.stderr) == (1, "['a']\n", "no\n")
    assert "ZeroDivisionError" in run_forked([], code="1 / 0").stderr
