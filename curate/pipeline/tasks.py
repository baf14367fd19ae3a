"""Feed an executor with the batches of a stage, and put together what was cut into parts on the way."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from curate.executors import WorkerDied
from curate.stages.capabilities import Parted, Parts, Replayed, Streamed
from curate.stages.contract import BatchStage, Outcome, Tools


class Task(NamedTuple):
    """A batch of input rows, or a part of one, on its way to a worker."""

    stage: BatchStage
    batch: pa.Table
    tools: Tools
    part: Any = None


def run_task(task: Task) -> Outcome | Parts:
    """Run ``apply`` in a worker, or the step of ``Parted`` that the task is for."""
    outcome = _apply(task)
    # No row may name media that are still on their way.
    task.tools.blobs.flush()
    return outcome


def run_replay(task: Task) -> Replayed:
    """Run ``Streamed.replay`` in a worker."""
    if not isinstance(task.stage, Streamed):
        raise TypeError(f"stage {task.stage.stage} cannot replay")
    return task.stage.replay(task.batch, task.tools)


def _apply(task: Task) -> Outcome | Parts:
    if not isinstance(task.stage, Parted):
        return task.stage.apply(task.batch, task.tools)
    if task.part is None:
        return task.stage.begin(task.batch, task.tools)
    return task.stage.apply_part(task.part, task.tools)


class Advance(NamedTuple):
    """How far a batch has come: inputs done since the last time (may be a fraction), and its outcome at the end."""

    batch: Sequence[int]
    inputs: float
    outcome: Outcome | WorkerDied | None


@dataclass
class _Cut:
    """An input whose parts are under way."""

    parts: Parts
    share: float
    left: int
    rest: float = 1.0
    outcomes: list[Outcome] = field(default_factory=list)
    died: WorkerDied | None = None


class Flow:
    """The tasks of one stage in the order that they are given out, and what their results come to.

    The parts of a long input come before inputs not begun, so that few are open at a time; while a long one is begun,
    others are worked on. ``follow`` takes the results in the order of the tasks.
    """

    def __init__(self, stage: BatchStage, inputs: pa.Table, batches: Sequence[Sequence[int]], tools: Tools) -> None:
        self._stage, self._inputs, self._batches, self._tools = stage, inputs, batches, tools
        self._given: deque[tuple[int, Task]] = deque()
        self._parts: deque[tuple[int, Task]] = deque()
        self._cuts: dict[int, _Cut] = {}

    def tasks(self) -> Iterator[Task | None]:
        """Every task; None where there is none before another result has come."""
        for place, batch in enumerate(self._batches):
            while self._parts:
                yield self._give(*self._parts.popleft())
            yield self._give(place, Task(self._stage, self._inputs.take(batch), self._tools))
        while self._parts or self._given:
            yield self._give(*self._parts.popleft()) if self._parts else None

    def follow(self, results: Iterable[Outcome | Parts | WorkerDied]) -> Iterator[Advance]:
        """What each result adds; one outcome a batch."""
        for result in results:
            place, task = self._given.popleft()
            batch = self._batches[place]
            if isinstance(result, Parts):
                yield Advance(batch, self._open(place, task, result), None)
            elif place in self._cuts:
                yield self._add(place, task, result)
            else:
                yield Advance(batch, len(batch), result)

    def discard(self) -> None:
        """Remove what is stored for parts that will not be done any more."""
        while self._cuts:
            self._close(self._cuts.popitem()[1])

    def _give(self, place: int, task: Task) -> Task:
        self._given.append((place, task))
        return task

    def _open(self, place: int, task: Task, parts: Parts) -> float:
        # Shares are powers of a half, which add up to 1 exactly.
        share = 0.5 ** len(parts.parts).bit_length()
        self._cuts[place] = _Cut(parts, share, len(parts.parts), 1 - share)
        self._parts.extend((place, task._replace(part=part)) for part in parts.parts)
        return share

    def _add(self, place: int, task: Task, result: Outcome | WorkerDied) -> Advance:
        cut, batch = self._cuts[place], self._batches[place]
        cut.left -= 1
        if isinstance(result, WorkerDied):
            cut.died = result
            kept = [one for one in self._parts if one[0] != place]
            cut.left -= len(self._parts) - len(kept)
            self._parts = deque(kept)
        else:
            cut.outcomes.append(result)
        if cut.left:
            cut.rest -= cut.share
            return Advance(batch, cut.share, None)
        self._close(self._cuts.pop(place))
        return Advance(batch, cut.rest, cut.died or self._join(task, cut))

    def _close(self, cut: _Cut) -> None:
        if isinstance(self._stage, Parted):
            self._stage.discard(cut.parts, self._tools)

    def _join(self, task: Task, cut: _Cut) -> Outcome:
        if not isinstance(self._stage, Parted):
            raise TypeError(f"stage {self._stage.stage} cuts its inputs but cannot join them")
        return self._stage.join(task.batch, cut.parts, cut.outcomes, self._tools)
