"""The contract of a stage: frozen settings plus one step from rows to rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from curate.corpus.splits import SplitSettings
from curate.corpus.view import Corpus
from curate.files import digest
from curate.labels import LabelSchema
from curate.llm.money.account import UsageTotals
from curate.storage.blobs import Blobs

REASONS = (
    "empty_file",
    "not_media",
    "unreadable",
    "truncated",
    "no_streams",
    "no_audio",
    "no_speech",
    "no_face",
    "no_unit",
    "no_subtitles",
    "no_text",
    "too_short",
    "too_long",
    "too_quiet",
    "silent",
    "low_snr",
    "low_mos",
    "clipped",
    "small_face",
    "blurred",
    "badly_lit",
    "other_language",
    "duplicate",
    "near_duplicate",
    "filtered",
    "invalid",
    "crashed",
)
"""Why an input was not used: the closed list. ``crashed`` (its worker died) is tried again by the next run."""


Problem = tuple[tuple[str | int, ...], str]
"""What is wrong with a setting: its place within the stage, and a sentence."""


class Resources(NamedTuple):
    """What one worker of a stage needs."""

    cpus: float = 1.0
    gpus: float = 0.0


class Tools(NamedTuple):
    """What a worker may use besides its rows; picklable, the same for every batch of a run."""

    blobs: Blobs
    labels: LabelSchema
    folder: Path
    seed: int = 0
    recipe: str = ""
    answers: Path | None = None
    """The file that keeps what models replied, on the driver's machine; only the driver adds to it."""
    split: SplitSettings | None = None
    """How the recipe's release is divided, where it makes one."""


class Rejection(NamedTuple):
    """One thing not used. ``subject`` equals ``parent_id`` where nothing of that input was kept."""

    parent_id: str
    subject: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Outcome:
    """What became of a batch: rows by table, and what was rejected.

    Every input id is the parent of a row of the stage's first table or the subject of a rejection. Rows are dicts whose
    keys are columns of the table; ``work`` is filled in by the driver, missing columns become null.
    """

    rows: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)


class Split(NamedTuple):
    """One long input cut into parts for several workers: a small picklable value for each, its media in blobs."""

    parts: Sequence[Any]
    so_far: Outcome = Outcome()
    """What is known before the parts are done"""


class Recalled(NamedTuple):
    """What of a batch was known without asking anybody."""

    known: Sequence[int]
    """The places within the batch of the inputs that ``outcome`` is of"""
    outcome: Outcome
    account: Mapping[str, UsageTotals]


class Receipt(NamedTuple):
    """What a driver stage did: whether anything changed, counts to show, and a line for the user."""

    changed: bool
    counts: Mapping[str, int]
    message: str = ""


class Stage(BaseModel, ABC):
    """Settings of one stage. Subclasses add ``stage: Literal["<name>"]`` and their own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: ClassVar[int] = 1
    """Raised by hand when the same input would give other rows; the code itself is not part of the identity, so that
    a refactoring does not throw away a corpus."""

    stage: str

    operational: ClassVar[frozenset[str]] = frozenset()
    """Settings that say how the work is done and not what comes of it: changing them does nothing again."""

    def identity(self, tools: Tools) -> str:
        """What, besides its input rows, decides this stage's result: name, version, settings and asset hashes."""
        settings = self.model_dump(mode="json", exclude=set(self.operational))
        return digest({"version": self.version, "settings": settings, "assets": sorted(self.assets(tools))})

    def assets(self, tools: Tools) -> Iterable[str]:
        """Hashes of the models, prompts and schemas that the result depends on."""
        return ()

    def notices(self, tools: Tools) -> Iterable[str]:
        """What the user has to know of a run with these settings, such as a licence: shown once, and recorded."""
        return ()

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterable[Problem]:
        """What can be told to be wrong before anything runs; ``labels`` is None where the recipe's are not right."""
        return ()


class BatchStage(Stage):
    """A step that any worker may run on any part of its input: ``apply(a + b)`` is ``apply(a)`` and ``apply(b)``."""

    reads: ClassVar[str]
    writes: ClassVar[tuple[str, ...]]
    """Tables written; every kept input has a row in the first, which is committed last and so marks it as done."""
    uses: ClassVar[tuple[str, ...] | None] = None
    """Input columns that the result depends on (all where None)."""
    batch_rows: ClassVar[int] = 1
    resources: ClassVar[Resources] = Resources()
    retried: ClassVar[tuple[str, str] | None] = None
    """A column of the first table and the value in it that means: kept for now, but tried again by the next run."""

    def inputs(self, current: pa.Table, tools: Tools) -> pa.Table:
        """The rows to work on, given the current rows of the table it reads (empty for a stage that finds its own)."""
        return current

    def columns_used(self) -> tuple[str, ...] | None:
        """The input columns that the result depends on with these settings."""
        return self.uses

    def cut(self, inputs: pa.Table, todo: Sequence[int]) -> Iterator[Sequence[int]]:
        """The rows to do, by place, in batches of a size that suits the work."""
        return (todo[at : at + self.batch_rows] for at in range(0, len(todo), self.batch_rows))

    def stream(
        self,
        inputs: pa.Table,
        corpus: Corpus,
        tools: Tools,
        *,
        account: dict[str, UsageTotals],
        stop: Callable[[], bool],
    ) -> Generator[tuple[int, Outcome]] | None:
        """Outcomes made on the driver, each of so many of the next inputs; None where workers are to do the work.

        For steps that wait for others more than they compute. ``account`` is kept up to date with what each service
        was asked and paid. What is raised ends the stage; what was yielded is kept.
        """
        return None

    def recalls(self, todo: pa.Table, tools: Tools) -> bool:
        """Whether ``recall`` should come before ``stream``: where much is known, many workers are sooner through it."""
        return False

    def recall(self, batch: pa.Table, tools: Tools) -> Recalled:
        """The outcome of those inputs about which ``stream`` would ask nobody, the same as it would make it.

        Runs on workers of this machine, which may read ``tools.answers``.
        """
        return Recalled((), Outcome(), {})

    def estimate(self, todo: pa.Table, corpus: Corpus, tools: Tools) -> str:
        """What doing this would cost, in a few words for ``curate plan``; empty where it costs only time.

        ``todo`` has no rows where the inputs are yet to be made: then it is whether anybody will be asked.
        """
        return ""

    @abstractmethod
    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        """Rows and rejections for a batch of input rows; the same batch always gives the same outcome."""

    def conclude(self, corpus: Corpus, tools: Tools) -> bool:
        """On the driver, after every batch: fill in what only all rows together tell; gives whether any row changed.

        Depends on nothing but the rows, so that doing it again changes nothing.
        """
        return False


class PartedStage(BatchStage):
    """A step that may cut one long input into parts, which any worker may do and the driver joins.

    Where the cuts are follows from the settings and the input, never from the workers, so that the rows do not either.
    """

    @abstractmethod
    def begin(self, batch: pa.Table, tools: Tools) -> Outcome | Split:
        """The outcome of a batch that ``cut`` made; or the parts of it, where it is one long input."""

    @abstractmethod
    def apply_part(self, part: Any, tools: Tools) -> Outcome:
        """Rows and rejections of one part; the same part always gives the same outcome."""

    @abstractmethod
    def join(self, batch: pa.Table, split: Split, outcomes: Sequence[Outcome], tools: Tools) -> Outcome:
        """The outcome of a split input, given those of its parts in order. Runs on the driver: nothing slow."""

    @abstractmethod
    def discard(self, split: Split, tools: Tools) -> None:
        """Remove what ``begin`` stored for the parts; called when they are done or given up."""

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in self.writes}
        rejections: list[Rejection] = []
        for at in range(batch.num_rows):
            one = batch.slice(at, 1)
            begun = self.begin(one, tools)
            if isinstance(begun, Split):
                outcomes = [self.apply_part(part, tools) for part in begun.parts]
                self.discard(begun, tools)
                begun = self.join(one, begun, outcomes, tools)
            for name in self.writes:
                rows[name].extend(begun.rows.get(name, []))
            rejections.extend(begun.rejections)
        return Outcome(rows, rejections)


class DriverStage(Stage):
    """A step that runs once, on the driver; may talk to the outside; safe to repeat."""

    @abstractmethod
    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        """Do it, and say what changed. Doing it again with nothing new changes nothing."""


class Task(NamedTuple):
    """A batch of input rows, or a part of one, on its way to a worker."""

    stage: BatchStage
    batch: pa.Table
    tools: Tools
    part: Any = None


def run_recall(task: Task) -> Recalled:
    """What executors run for ``BatchStage.recall``."""
    return task.stage.recall(task.batch, task.tools)


def run_task(task: Task) -> Outcome | Split:
    """What every executor runs, in whatever process."""
    outcome = _do(task)
    # No row may name media that are still on their way.
    task.tools.blobs.flush()
    return outcome


def _do(task: Task) -> Outcome | Split:
    if not isinstance(task.stage, PartedStage):
        return task.stage.apply(task.batch, task.tools)
    if task.part is None:
        return task.stage.begin(task.batch, task.tools)
    return task.stage.apply_part(task.part, task.tools)
