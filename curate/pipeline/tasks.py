"""Feed an executor with the batches of a stage, and put together what was cut into parts on the way."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from curate.executors import WorkerDied
from curate.stages.contract import BatchStage, Outcome, PartedStage, Split, Task, Tools


class Advance(NamedTuple):
    """How far a batch has come: inputs done since the last time (may be a fraction), and its outcome at the end."""

    batch: Sequence[int]
    inputs: float
    outcome: Outcome | WorkerDied | None


@dataclass
class _Cut:
    """An input whose parts are under way."""

    split: Split
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

    def follow(self, results: Iterable[Outcome | Split | WorkerDied]) -> Iterator[Advance]:
        """What each result adds; one outcome a batch."""
        for result in results:
            place, task = self._given.popleft()
            batch = self._batches[place]
            if isinstance(result, Split):
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

    def _open(self, place: int, task: Task, split: Split) -> float:
        # Shares are powers of a half, which add up to 1 exactly.
        share = 0.5 ** len(split.parts).bit_length()
        self._cuts[place] = _Cut(split, share, len(split.parts), 1 - share)
        self._parts.extend((place, task._replace(part=part)) for part in split.parts)
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
        if isinstance(self._stage, PartedStage):
            self._stage.discard(cut.split, self._tools)

    def _join(self, task: Task, cut: _Cut) -> Outcome:
        if not isinstance(self._stage, PartedStage):
            raise TypeError(f"stage {self._stage.stage} cuts its inputs but cannot join them")
        return self._stage.join(task.batch, cut.split, cut.outcomes, self._tools)
