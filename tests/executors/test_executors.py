"""One suite for every way of running work on this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curate.errors import InvalidRow
from curate.executors import AHEAD_PER_WORKER, WorkerDied
from curate.executors.local import LocalExecutor
from tests.support.processes import is_running, wait_until


def square(number: int) -> int:
    return number * number


def slowly(number: int) -> int:
    time.sleep(0.05 * (number % 3))
    return number


def die_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail_at_two(number: int) -> int:
    if number == 2:
        raise InvalidRow("no good", reason="unreadable", hint="do something else")
    return number


def never() -> bool:
    return False


EVERY = ["local x1", "local x2", "local x3", "ray x2"]


@pytest.fixture(scope="module", params=EVERY)
def executor(request):
    kind, workers = request.param.split(" x")
    if kind == "ray":
        pytest.importorskip("ray")
        from curate.executors.ray import RayExecutor

        executor = RayExecutor(int(workers))
    else:
        executor = LocalExecutor(int(workers))
    yield executor
    executor.close()


def test_results_come_in_order(executor):
    assert list(executor.map(slowly, range(12), resources=None, stop=never)) == list(range(12))
    assert list(executor.map(square, range(3), resources=None, stop=never)) == [0, 1, 4], "it can be used again"
    assert list(executor.map(square, [], resources=None, stop=never)) == []


def test_an_error_keeps_its_kind_and_hint(executor):
    results = executor.map(fail_at_two, range(4), resources=None, stop=never)
    with pytest.raises(InvalidRow, match="no good") as caught:
        list(results)
    assert (caught.value.reason, caught.value.hint) == ("unreadable", "do something else")


def test_stop_ends_it_early(executor):
    seen = []
    for result in executor.map(slowly, range(1000), resources=None, stop=lambda: len(seen) >= 3):
        seen.append(result)
    assert seen == [0, 1, 2]


def test_tasks_are_taken_as_they_are_needed(executor):
    taken = []

    def tasks():
        for number in range(1000):
            taken.append(number)
            yield number

    results = executor.map(square, tasks(), resources=None, stop=never)
    next(results)
    results.close()
    assert len(taken) <= executor.workers * AHEAD_PER_WORKER + 1


def wait_for_the_others(task: tuple[int, Path]) -> int:
    number, folder = task
    (folder / str(number)).touch()
    if number == 0:
        wait_until(lambda: len(list(folder.iterdir())) >= 7)
    return len(list(folder.iterdir()))


@pytest.mark.parametrize("executor", [one for one in EVERY if not one.endswith("x1")], indirect=True)
def test_a_long_task_does_not_hold_up_the_others(executor, tmp_path):
    seen = list(executor.map(wait_for_the_others, [(at, tmp_path) for at in range(9)], resources=None, stop=never))
    assert seen[0] >= 7, "while the first was at work"


def test_tasks_may_grow_out_of_results(executor):
    given, results = [2, 3], []

    def tasks():
        asked = 0
        while given or asked > len(results):
            asked += bool(given)
            yield given.pop(0) if given else None

    for result in executor.map(square, tasks(), resources=None, stop=never):
        results.append(result)
        if result < 50:
            given.append(result)
    assert sorted(results) == [4, 9, 16, 81, 256]


@pytest.mark.parametrize("executor", EVERY[1:], indirect=True)
def test_a_dying_worker_costs_only_its_own_task(executor):
    results = list(executor.map(die_at_five, range(10), resources=None, stop=never))
    assert isinstance(results[5], WorkerDied)
    assert [r for r in results if not isinstance(r, WorkerDied)] == [0, 1, 2, 3, 4, 6, 7, 8, 9]


def test_ctrl_c_while_workers_start_is_the_drivers_alone(tmp_path):
    code = (
        "import os, signal, time\nfrom curate.executors.local import LocalExecutor\n"
        "from tests.executors.test_executors import *\n"
        "def tasks():\n"
        "    yield 1\n"
        "    time.sleep(0.2)  # sooner, Python has no handler yet\n"
        "    for _ in range(80): os.killpg(0, signal.SIGINT); time.sleep(0.01)\n"
        "    yield 2\n"
        "if __name__ == '__main__':\n"
        "    caught = []\n"
        "    signal.signal(signal.SIGINT, lambda *_: caught.append(1))\n"
        "    e = LocalExecutor(2); print(*e.map(square, tasks(), resources=None, stop=never), len(caught)); e.close()\n"
    )
    script = tmp_path / "driver.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, start_new_session=True)
    assert (done.stdout, done.stderr) == ("1 4 80\n", "")


def test_workers_end_when_their_driver_is_killed(tmp_path):
    code = (
        "from curate.executors.local import LocalExecutor\nfrom tests.executors.test_executors import *\n"
        "import os, time\n"
        "if __name__ == '__main__':\n"
        "    e = LocalExecutor(2); list(e.map(square, range(4), resources=None, stop=never))\n"
        "    print(*e._pool._processes, flush=True); time.sleep(60)\n"
    )
    script = tmp_path / "driver.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == 2
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_running, workers)))
