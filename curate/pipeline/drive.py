"""Do the work of a batch stage: on workers, as a stream on the driver, or from stored replies."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.view import Corpus
from curate.executors import Executor, WorkerDied
from curate.executors.local import LocalExecutor
from curate.pipeline.record import StageResult, add_accounts
from curate.pipeline.tasks import Advance, Task, TaskFlow, run_replay, run_task
from curate.pipeline.walk import BatchWork
from curate.stages.capabilities import Streamed
from curate.stages.contract import Tools

REPLAY_ROWS = 1_000


class Means(NamedTuple):
    """What a run does its work with."""

    executor: Executor
    tools: Tools
    stop: Callable[[], bool]


def drive(
    work: BatchWork, todo: Sequence[int], corpus: Corpus, means: Means, result: StageResult
) -> Generator[Advance]:
    """Yield the progress of the inputs at the indices ``todo``; ``result.account`` is kept up to date."""
    stage = work.stage
    if isinstance(stage, Streamed) and stage.is_streamed():
        yield from _stream(stage, work, todo, corpus, means, result)
        return
    flow = TaskFlow(stage, work.inputs, list(stage.cut(work.inputs, todo)), means.tools)
    results = means.executor.map(run_task, flow.tasks(), resources=stage.resources, stop=means.stop)
    try:
        yield from flow.follow(results)
    finally:
        flow.discard()


def _stream(
    stage: Streamed, work: BatchWork, todo: Sequence[int], corpus: Corpus, means: Means, result: StageResult
) -> Generator[Advance]:
    if stage.should_replay(work.inputs.take(pa.array(todo)), means.tools):
        replayed: set[int] = set()
        for advance in _replay(stage, work, todo, means, result):
            replayed.update(advance.batch)
            yield advance
        todo = [index for index in todo if index not in replayed]
        if not todo or means.stop():
            return
    account: dict[str, Any] = {}
    before, indices = dict(result.account), iter(todo)
    inputs = work.inputs.take(pa.array(todo))
    try:
        with closing(stage.stream(inputs, corpus, means.tools, account=account, stop=means.stop)) as outcomes:
            for count, outcome in outcomes:
                result.account = add_accounts(before, account)
                yield Advance(list(islice(indices, count)), count, outcome)
    finally:
        result.account = add_accounts(before, account)


def _replay(
    stage: Streamed, work: BatchWork, todo: Sequence[int], means: Means, result: StageResult
) -> Iterator[Advance]:
    """Yield what stored replies answer, made by workers of this machine: others have no stored replies."""
    batches = [todo[start : start + REPLAY_ROWS] for start in range(0, len(todo), REPLAY_ROWS)]
    tasks = (Task(stage, work.inputs.take(pa.array(batch)), means.tools) for batch in batches)
    executor = means.executor if isinstance(means.executor, LocalExecutor) else LocalExecutor(1)
    replays = executor.map(run_replay, tasks, resources=stage.resources, stop=means.stop)
    for batch, replay in zip(batches, replays, strict=False):
        if not isinstance(replay, WorkerDied):  # `stream` does the batch otherwise
            result.account = add_accounts(result.account, replay.account)
            yield Advance([batch[index] for index in replay.indices], len(replay.indices), replay.outcome)
