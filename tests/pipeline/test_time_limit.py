"""An input that takes too long is rejected, and all others are kept."""

import contextlib
import multiprocessing
import signal
import time

import pyarrow as pa
import pytest

from curate.executors import WorkerDied
from curate.executors.local import LocalExecutor
from curate.pipeline.tasks import Task, run_task
from curate.pipeline.time_limit import TimeUp, cpu_limit
from curate.recipe import load_recipe
from curate.stages.contract import Outcome, Tools
from curate.stages.ingest.stage import Ingest
from curate.stages.preprocess.stage import Preprocess
from curate.storage.blobs import Blobs
from tests.support.builders import make_posts


class SlowIngest(Ingest):
    """Works on one file for ever, through any handler of ordinary errors."""

    def max_cpu_s(self, batch: pa.Table) -> float:
        return 0.2

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        while "slow" in batch["file"].to_pylist():
            with contextlib.suppress(Exception):
                sum(range(1_000))
        return Outcome(rows={"sources": [{"file": file} for file in batch["file"].to_pylist()]})


@pytest.mark.parametrize("workers", [1, 2])
def test_a_slow_input_is_rejected_and_those_beside_it_are_kept(tmp_path, workers):
    loaded = load_recipe(make_posts(tmp_path, 1))
    batch = pa.table({"file": ["a", "slow", "b"], "size_bytes": [1, 1, 1]})
    task = Task(SlowIngest(files="*"), batch, Tools(Blobs(tmp_path / "blobs"), loaded.labels, tmp_path))
    executor = LocalExecutor(workers)
    try:
        (outcome,) = executor.map(run_task, [task], stop=lambda: False)
    finally:
        executor.close()
    assert [row["file"] for row in outcome.rows["sources"]] == ["a", "b"]
    ((parent, subject, reason, detail),) = outcome.rejections
    assert (parent, subject, reason) == ("slow", "slow", "too_slow")
    assert "CPU time" in detail


def test_a_part_that_is_slow_gives_up_its_input(tmp_path):
    class SlowPart(Preprocess):
        def max_cpu_s(self, batch):
            return 0.1

        def apply_part(self, part, tools):
            while True:
                sum(range(1_000))

    loaded = load_recipe(make_posts(tmp_path, 1))
    tools = Tools(Blobs(tmp_path / "blobs"), loaded.labels, tmp_path)
    result = run_task(Task(SlowPart(), pa.table({"source_id": ["s"]}), tools, part="one"))
    assert isinstance(result, WorkerDied)
    assert result.reason == "too_slow"


def work(cpu_s: float) -> None:
    end = time.process_time() + cpu_s
    while time.process_time() < end:
        pass


def test_only_work_counts_and_the_limit_ends_with_the_block():
    with cpu_limit(0.05):
        time.sleep(0.2)
    work(0.1)
    with pytest.raises(TimeUp), cpu_limit(0.05):
        work(5.0)


def test_limits_grow_with_what_is_to_be_read():
    small, large = (pa.table({"size_bytes": [n], "duration_s": [float(n)]}) for n in (1, 10**9))
    assert Ingest(files="*").max_cpu_s(large) > Ingest(files="*").max_cpu_s(small) >= 600
    assert Preprocess().max_cpu_s(large) > Preprocess().max_cpu_s(small) >= 600


def hang_in_c() -> None:
    with cpu_limit(0.1, grace_s=0.1):
        sum(range(10**12))


def test_a_worker_that_hangs_in_c_is_killed():
    process = multiprocessing.get_context("spawn").Process(target=hang_in_c)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGXCPU
