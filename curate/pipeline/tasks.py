"""The tasks of a batch stage: what runs in a worker, and the parts of long inputs on their way."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.spec import parent_column
from curate.executors import WorkerDied
from curate.pipeline.time_limit import TimeUp, cpu_limit
from curate.stages.capabilities import Parted, Parts, Replayed, Streamed
from curate.stages.contract import BatchStage, Outcome, Rejection, Tools


class Task(NamedTuple):
    """A batch of input rows, or a part of one, on its way to a worker."""

    stage: BatchStage
    batch: pa.Table
    tools: Tools
    part: Any = None


def run_task(task: Task) -> Outcome | Parts | WorkerDied:
    """Run ``apply`` in a worker, or the step of ``Parted`` that the task is for; what takes too long is rejected."""
    outcome = _apply_in_time(task)
    # No row may name media that are still on their way.
    task.tools.blobs.flush()
    return outcome


def run_replay(task: Task) -> Replayed:
    """Run ``Streamed.replay`` in a worker."""
    if not isinstance(task.stage, Streamed):
        raise TypeError(f"stage {task.stage.stage} cannot replay")
    return task.stage.replay(task.batch, task.tools)


def _apply_in_time(task: Task) -> Outcome | Parts | WorkerDied:
    max_s, count = task.stage.max_cpu_s(task.batch), task.batch.num_rows
    try:
        with cpu_limit(max_s):
            return _apply(task)
    except TimeUp:
        detail = f"it took more than {max_s:,.0f} seconds of CPU time"
    if task.part is not None:
        return WorkerDied(detail, reason="too_slow")
    if count > 1:  # each alone, so that the others are kept
        rows = [task._replace(batch=task.batch.slice(index, 1)) for index in range(count)]
        return _merge([_apply_in_time(row) for row in rows])
    input_id = task.batch[parent_column(task.stage.writes[0])][0].as_py()
    return Outcome(rejections=[Rejection(input_id, input_id, "too_slow", detail)])


def _merge(outcomes: Sequence[Outcome | Parts | WorkerDied]) -> Outcome:
    rows: dict[str, list[dict[str, Any]]] = {}
    rejections: list[Rejection] = []
    for outcome in outcomes:
        if not isinstance(outcome, Outcome):
            raise TypeError("inputs that are cut into parts come in batches of one")
        for table in outcome.rows:
            rows.setdefault(table, []).extend(outcome.dicts(table))
        rejections.extend(outcome.rejections)
    return Outcome(rows, rejections)


def _apply(task: Task) -> Outcome | Parts:
    if not isinstance(task.stage, Parted):
        return task.stage.apply(task.batch, task.tools)
    if task.part is None:
        return task.stage.begin(task.batch, task.tools)
    return task.stage.apply_part(task.part, task.tools)


class Advance(NamedTuple):
    """Progress of a batch: inputs done since the last time (may be a fraction), and the outcome at the end."""

    batch: Sequence[int]
    inputs: float
    outcome: Outcome | WorkerDied | None


@dataclass
class _OpenInput:
    """A long input whose parts are being worked on."""

    parts: Parts
    share: float
    unfinished: int
    remainder: float
    outcomes: list[Outcome] = field(default_factory=list)
    died: WorkerDied | None = None


class TaskFlow:
    """The tasks of one stage, in the order in which workers get them, and their results.

    The parts of a long input come before inputs not begun, so that few are open at a time; while a long input is
    begun, others are worked on. ``follow`` takes the results in the order of the tasks.
    """

    def __init__(self, stage: BatchStage, inputs: pa.Table, batches: Sequence[Sequence[int]], tools: Tools) -> None:
        self._stage, self._inputs, self._batches, self._tools = stage, inputs, batches, tools
        self._in_flight: deque[tuple[int, Task]] = deque()
        self._parts: deque[tuple[int, Task]] = deque()
        self._open: dict[int, _OpenInput] = {}

    def tasks(self) -> Iterator[Task | None]:
        """Yield every task; None if there will be none until another result has come."""
        for index, batch in enumerate(self._batches):
            while self._parts:
                yield self._send(*self._parts.popleft())
            yield self._send(index, Task(self._stage, self._inputs.take(batch), self._tools))
        while self._parts or self._in_flight:
            yield self._send(*self._parts.popleft()) if self._parts else None

    def follow(self, results: Iterable[Outcome | Parts | WorkerDied]) -> Iterator[Advance]:
        """Yield the progress that each result makes; one outcome for every batch."""
        for result in results:
            index, task = self._in_flight.popleft()
            batch = self._batches[index]
            if isinstance(result, Parts):
                yield Advance(batch, self._begin(index, task, result), None)
            elif index in self._open:
                yield self._add(index, task, result)
            else:
                yield Advance(batch, len(batch), result)

    def discard(self) -> None:
        """Remove what is stored for parts that will not be finished."""
        while self._open:
            self._close(self._open.popitem()[1])

    def _send(self, index: int, task: Task) -> Task:
        self._in_flight.append((index, task))
        return task

    def _begin(self, index: int, task: Task, parts: Parts) -> float:
        # Shares are powers of a half, which add up to 1 exactly.
        count = len(parts.parts)
        share = 0.5 ** count.bit_length()
        self._open[index] = _OpenInput(parts, share, count, remainder=1 - share)
        self._parts.extend((index, task._replace(part=part)) for part in parts.parts)
        return share

    def _add(self, index: int, task: Task, result: Outcome | WorkerDied) -> Advance:
        long_input, batch = self._open[index], self._batches[index]
        long_input.unfinished -= 1
        if isinstance(result, WorkerDied):
            long_input.died = result
            of_others = deque(pair for pair in self._parts if pair[0] != index)
            long_input.unfinished -= len(self._parts) - len(of_others)
            self._parts = of_others
        else:
            long_input.outcomes.append(result)
        if long_input.unfinished:
            long_input.remainder -= long_input.share
            return Advance(batch, long_input.share, None)
        self._close(self._open.pop(index))
        return Advance(batch, long_input.remainder, long_input.died or self._join(task, long_input))

    def _close(self, long_input: _OpenInput) -> None:
        if isinstance(self._stage, Parted):
            self._stage.discard(long_input.parts, self._tools)

    def _join(self, task: Task, long_input: _OpenInput) -> Outcome:
        if not isinstance(self._stage, Parted):
            raise TypeError(f"stage {self._stage.stage} cuts its inputs but cannot join them")
        return self._stage.join(task.batch, long_input.parts, long_input.outcomes, self._tools)
