"""The contract of a stage: frozen settings plus one step from rows to rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from curate.corpus.credits import Credits
from curate.corpus.sources import RawFolders
from curate.corpus.view import Corpus
from curate.files import digest
from curate.hub.parquet import fetch_copy
from curate.labels import LabelSchema
from curate.storage.blobs import Blobs

REASONS = (
    "empty_file",
    "not_media",
    "unavailable",
    "unreadable",
    "truncated",
    "partial",
    "no_streams",
    "no_audio",
    "no_speech",
    "no_face",
    "no_unit",
    "no_subtitles",
    "no_signal",
    "no_text",
    "too_short",
    "too_long",
    "too_slow",
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
    "forgotten",
    "known_bad",
    "gone",
    "forbidden",
    "region",
    "robots",
    "bot_check",
    "throttled",
    "too_large",
    "wrong_type",
    "checksum",
    "private_address",
    "timeout",
    "unknown_item",
    "unlabelled",
    "tied",
    "invalid",
    "crashed",
)
"""Why an input was not used: the closed list. The next run retries those in ``ledger.RETRIED``:
``crashed`` (the worker died) and ``unavailable`` (the raw file is out of reach)."""


MAX_CPU_S = 600.0
"""What an input of no special size may take."""

Problem = tuple[tuple[str | int, ...], str]
"""A problem with a setting: where it is within the stage, and a sentence."""


class Resources(NamedTuple):
    """What one worker of a stage needs."""

    cpus: float = 1.0
    gpus: float = 0.0


class Tools(NamedTuple):
    """What a worker may use besides its rows; picklable, and the same for every batch of a run."""

    blobs: Blobs
    labels: LabelSchema
    folder: Path
    seed: int = 0
    recipe: str = ""
    answers: Path | None = None
    """The file of stored model replies, on the driver's machine."""
    stages: "tuple[Stage, ...]" = ()
    """All stages of the recipe, in order."""
    credits: Credits = Credits()
    """What a release says of its makers"""
    today: date = date.min
    """The day of the run in UTC, after which consent may have expired"""
    raw_folders: tuple[Path, ...] = ()
    """Folders that the user named for raw files, besides the recipe's."""
    fetched: Path | None = None
    """The file of what was read elsewhere (see ``FetchRecord``), on the driver's machine."""
    fetches: bool = False
    """Whether listings may ask other machines for what is not stored yet: only in a run"""
    private_links: bool = False
    """Whether the user allowed links to this machine and private networks"""
    parent: Callable[[Path], Corpus] | None = None
    """Opens the corpus in the workspace of another recipe, for those who derive from it, on the driver"""
    derived: Callable[[str], Mapping[str, tuple[str, ...]]] | None = None
    """Returns the keys of what a view derived in earlier runs, each with the ids of its parents, on the driver"""
    stop: Callable[[], bool] | None = None
    """Becomes true when the user stops the run; for listings and driver stages: workers get what can be pickled"""
    fetching: Callable[[int, int, int], None] | None = None
    """Is called with how many files were dealt with, of how many, and how many bytes have come; only for listings"""

    @property
    def raw(self) -> RawFolders:
        """The folders that raw files may be in."""
        return RawFolders(self.folder, self.raw_folders, fetch_copy, self.fetched)


class Rejection(NamedTuple):
    """One thing that was not used. ``subject`` equals ``parent_id`` if nothing of that input was kept."""

    parent_id: str
    subject: str
    reason: str
    detail: str


Rows: TypeAlias = "list[dict[str, Any]] | pa.Table"
"""Rows of a table: dicts, or columns where rows are many and cheap to make. Columns that are left out become null."""


@dataclass(frozen=True)
class Outcome:
    """The result of a batch: rows by table, and rejections.

    Every input id is the parent of a row of the stage's first table or the subject of a rejection. Rows have columns of
    their table but for ``work``, which the driver fills in.
    """

    rows: Mapping[str, Rows] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)

    def dicts(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table as dicts, for code that looks at few."""
        rows = self.rows.get(table, [])
        return list(rows.to_pylist() if isinstance(rows, pa.Table) else rows)

    def by_column(self, table: str, schema: pa.Schema) -> "Outcome":
        """Return the outcome with the rows of a table as columns: those of ``schema`` that any row has."""
        rows = self.dicts(table)
        names = set().union(*rows)
        if unknown := sorted(names.difference(schema.names)):
            raise ValueError(f"table {table} has no column {unknown[0]}")
        used = pa.schema([field for field in schema if field.name in names])
        return Outcome({**self.rows, table: pa.Table.from_pylist(rows, schema=used)}, self.rejections)


class Receipt(NamedTuple):
    """What a driver stage did: whether anything changed, counts to show, and a line for the user."""

    changed: bool
    counts: Mapping[str, int]
    message: str = ""


class Forecast(NamedTuple):
    """What a driver stage would do: whether it would or might change anything, and a line for the user."""

    changes: bool
    message: str


class Stage(BaseModel, ABC):
    """Settings of one stage. Subclasses add ``stage: Literal["<name>"]`` and their own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: ClassVar[int] = 1
    """Raised by hand if the same input would give other rows. A hash of the code is not part of the identity, so that
    a refactoring does not discard a corpus."""
    writes: ClassVar[tuple[str, ...]] = ()
    """The tables that the stage writes."""
    repeatable: ClassVar[bool] = False
    """Whether a recipe may have several stages of this kind."""
    operational: ClassVar[frozenset[str]] = frozenset()
    """Settings that affect how the work is done and not its result: changing them redoes nothing."""

    stage: str

    @classmethod
    def kind(cls) -> str:
        """Return the stage's name in a recipe."""
        return str(cls.model_fields["stage"].annotation.__args__[0])  # type: ignore[union-attr]

    def identity(self, tools: Tools) -> str:
        """Return a hash of what, besides its input rows, decides the result: version, settings and assets."""
        settings = self.model_dump(mode="json", exclude=set(self.operational))
        return digest({"version": self.version, "settings": settings, "assets": sorted(self.assets(tools))})

    def assets(self, tools: Tools) -> Iterable[str]:
        """Return hashes of the models, prompts and schemas that the result depends on."""
        return ()

    def notices(self, tools: Tools) -> Iterable[str]:
        """Return what a user of these settings has to know, such as a licence: shown once, and recorded."""
        return ()

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterable[Problem]:
        """Return problems that can be found without running. ``labels`` is None if the label schema failed to load."""
        return ()

    def missing(self, raw: RawFolders) -> Iterable[Problem]:
        """Return the settings that name no raw file that exists and may be read."""
        return ()


class BatchStage(Stage):
    """A step that any worker may run on any part of its input: ``apply(a + b)`` is ``apply(a)`` and ``apply(b)``.

    Every kept input has a row in the first table of ``writes``, which is committed last and so marks it as done. The
    parent column of that table (``schemas/tables``) names the column of the inputs that holds their ids.
    """

    reads: ClassVar[str]
    """The table whose current rows ``inputs`` is given."""
    batch_rows: ClassVar[int] = 1
    resources: ClassVar[Resources] = Resources()
    retried: ClassVar[tuple[str, str] | None] = None
    """A column of the first table and the value that marks a row as kept for now: the next run tries it again."""

    def inputs(self, current: pa.Table, tools: Tools) -> pa.Table:
        """Return the rows to work on, given the current rows of the table that the stage reads."""
        return current

    def columns_read(self, columns: Sequence[str]) -> Sequence[str]:
        """Return those columns of the table ``reads`` that the stage needs: many small rows are read at once."""
        return columns

    def columns_used(self) -> tuple[str, ...] | None:
        """Return the input columns that the result depends on; None for all.

        Never ``work``, which names how a row was made: equal rows need no new work after other settings made them.
        """
        return None

    def max_cpu_s(self, batch: pa.Table) -> float:
        """Return the seconds of CPU time after which a batch is given up: far more than one of its inputs ever needs.

        A larger batch that takes longer is done again, each input alone.
        """
        return MAX_CPU_S

    def cut(self, inputs: pa.Table, todo: Sequence[int]) -> Iterator[Sequence[int]]:
        """Yield the indices of ``todo`` once each, in batches of a size that suits the work."""
        return (todo[start : start + self.batch_rows] for start in range(0, len(todo), self.batch_rows))

    @abstractmethod
    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        """Return rows and rejections for a batch of input rows; the same batch always gives the same outcome."""


class DriverStage(Stage):
    """A step that runs once, on the driver; may talk to the outside; safe to repeat."""

    @abstractmethod
    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        """Do the work and return what changed. Doing it again with nothing new changes nothing."""

    def foresee(self, corpus: Corpus, tools: Tools) -> Forecast:
        """Return what ``perform`` would do now, without doing it and without the network."""
        return Forecast(True, "runs once, on the driver")


def cut_by_size(todo: Sequence[int], sizes: Sequence[int], *, rows: int, size: int) -> Iterator[Sequence[int]]:
    """Yield the indices of ``todo`` in batches that end with ``rows`` rows, or as soon as they have ``size``."""
    start = filled = 0
    for position, index in enumerate(todo):
        filled += sizes[index]
        if filled >= size or position - start == rows - 1:
            yield todo[start : position + 1]
            start, filled = position + 1, 0
    if start < len(todo):
        yield todo[start:]
