"""What only some stages can do. The pipeline asks for each capability with ``isinstance``."""

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from curate.corpus.sources import RawFolders
from curate.corpus.splitting.splits import SplitSettings
from curate.corpus.view import Corpus
from curate.labels import LabelSchema
from curate.stages.contract import BatchStage, Outcome, Rejection, Stage, Tools


class FirstFile(NamedTuple):
    """A raw file, or a post in it, that was opened to see what it is."""

    file: str
    source: Mapping[str, Any] | None
    """What is known of its row of ``sources``: the kind, and the texts of a post; None if it cannot be used"""
    problem: str | None = None
    """Why it cannot be used"""


class Discovered(BatchStage):
    """Finds its own inputs outside the workspace, such as raw files.

    Only ``curate run`` and ``curate plan`` discover. The workspace keeps what a run found, so that every other command
    works without the raw files.
    """

    @abstractmethod
    def discover(self, tools: Tools) -> pa.Table:
        """Return the inputs that exist now. Raises ``InvalidInput`` if a setting names nothing that exists."""

    def raw_files(self, tools: Tools) -> Iterable[Path] | None:
        """Return the files that decide what ``discover`` returns, however they are used; None if there are others."""
        return None

    def unlisted(self, tools: Tools) -> Iterable[str]:
        """Return in a few words each what ``discover`` left out because only a run asks other machines for it."""
        return ()

    def findings(self, tools: Tools) -> Iterable[str]:
        """Return sentences for the data card on what the last run found."""
        return ()

    def first_files(self, raw: RawFolders) -> Iterable[FirstFile]:
        """Yield the first few of the files that ``discover`` would find, opened."""
        return ()


class Rewriting(Stage):
    """Has texts written anew for labels that people gave."""

    @abstractmethod
    def texts(self, labels: LabelSchema) -> tuple[str, ...]:
        """Return the fields whose texts are written."""


class Divided(Stage):
    """Makes items of sources, as far as a source can give what the label schema judges."""

    @abstractmethod
    def unsuited(self, source: Mapping[str, Any], labels: LabelSchema) -> str:
        """Return why a source gives no item, by its kind and texts; empty if it does."""


class JudgementRows(NamedTuple):
    """Judgements, and counts of what else people said that the settings do not read, by what it is."""

    table: pa.Table
    left_out: Mapping[str, int]


class Judged(Stage):
    """Brings judgements that others made of its inputs, such as votes in a table."""

    collection: str | None

    @property
    @abstractmethod
    def has_judgements(self) -> bool:
        """Whether these settings bring any."""

    @abstractmethod
    def judgement_files(self, tools: Tools) -> Iterable[Path] | None:
        """Return the files that hold them; None if these are not at hand."""

    @abstractmethod
    def judgements(self, tools: Tools) -> "JudgementRows | None":
        """Return a row for each judgement (see ``curate.stages.tables.mapped``); None if there are none."""


class Parts(NamedTuple):
    """One long input cut for several workers: a small picklable value for each part, its media in blobs."""

    parts: Sequence[Any]
    so_far: Outcome = Outcome()
    """What is known before the parts are done"""


class Parted(BatchStage):
    """Cuts one long input into parts, which any worker may do and the driver joins.

    The cuts follow from the settings and the input, never from the workers, and so do the rows.
    """

    @abstractmethod
    def begin(self, batch: pa.Table, tools: Tools) -> Outcome | Parts:
        """Return the outcome of a batch made by ``cut``, or its parts if it is one long input."""

    @abstractmethod
    def apply_part(self, part: Any, tools: Tools) -> Outcome:
        """Return rows and rejections of one part; the same part always gives the same outcome."""

    @abstractmethod
    def join(self, batch: pa.Table, parts: Parts, outcomes: Sequence[Outcome], tools: Tools) -> Outcome:
        """Return the outcome of an input from those of its parts, in order. Runs on the driver: nothing slow."""

    @abstractmethod
    def discard(self, parts: Parts, tools: Tools) -> None:
        """Remove what ``begin`` stored for the parts; called when they are done or given up."""

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        """See ``BatchStage.apply``: all parts of every input, one after the other."""
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in self.writes}
        rejections: list[Rejection] = []
        for index in range(batch.num_rows):
            row = batch.slice(index, 1)
            result = self.begin(row, tools)
            if isinstance(result, Parts):
                outcomes = [self.apply_part(part, tools) for part in result.parts]
                self.discard(result, tools)
                result = self.join(row, result, outcomes, tools)
            for name in self.writes:
                rows[name].extend(result.dicts(name))
            rejections.extend(result.rejections)
        return Outcome(rows, rejections)


class Replayed(NamedTuple):
    """The part of a batch that stored replies answer."""

    indices: Sequence[int]
    """The rows of the batch that ``outcome`` covers"""
    outcome: Outcome
    account: Mapping[str, Any]
    """See ``Streamed.stream``"""


class Streamed(BatchStage):
    """Waits for a service more than it computes: the driver makes its outcomes, workers replay stored replies."""

    @abstractmethod
    def is_streamed(self) -> bool:
        """Return whether these settings need the service; if not, workers run ``apply``."""

    @abstractmethod
    def stream(
        self, inputs: pa.Table, corpus: Corpus, tools: Tools, *, account: dict[str, Any], stop: Callable[[], bool]
    ) -> Generator[tuple[int, Outcome]]:
        """Yield ``(n, outcome)`` pairs on the driver, each for the next ``n`` inputs in order.

        ``account`` is kept up to date with what each service, by its name, was asked and paid: values that add up, of
        which the contract knows nothing more. An exception ends the stage; what was yielded is kept.
        """

    @abstractmethod
    def should_replay(self, todo: pa.Table, tools: Tools) -> bool:
        """Return whether to replay stored replies on all workers first; worthwhile if most inputs are answered."""

    @abstractmethod
    def replay(self, batch: pa.Table, tools: Tools) -> Replayed:
        """Return the outcome of those inputs that need no request, equal row for row to that of ``stream``.

        Runs on workers of this machine, which may read ``tools.answers``.
        """


class Dividing(Stage):
    """Divides the items of a release into splits."""

    @abstractmethod
    def split_settings(self, tools: Tools) -> SplitSettings:
        """Return how items are divided into the splits that a release is loaded by."""

    @abstractmethod
    def current_release(self, corpus: Corpus, tools: Tools) -> str | None:
        """Return the version of the newest release if it holds all that the tables do now; else None."""

    @property
    def held_out(self) -> tuple[str, ...]:
        """The splits that models are tested on: none of their items is shown to a model as an example."""
        return ("test",)


class Priced(BatchStage):
    """Can say beforehand what its work would cost."""

    @abstractmethod
    def estimate(self, todo: pa.Table, corpus: Corpus, tools: Tools) -> str:
        """Return the cost of the work in a few words, for ``curate plan``; empty if it costs only time.

        ``todo`` has no rows if the inputs are yet to be made: then the words say only that a service will be asked.
        """


class Enriched(BatchStage):
    """Adds to its inputs what other tables hold of them, such as the signals of their sources."""

    @abstractmethod
    def enrich(self, inputs: pa.Table, corpus: Corpus, tools: Tools) -> pa.Table:
        """Return what ``inputs`` returned, with further columns; ``columns_used`` may name these."""


class Concluded(BatchStage):
    """Fills in what only all rows together can say, such as which items repeat others."""

    @abstractmethod
    def conclude(self, corpus: Corpus, tools: Tools) -> bool:
        """Fill it in, on the driver, after every batch, and return whether any row changed.

        Depends on nothing but the rows, so that doing it again changes nothing.
        """


class Summary(Protocol):
    """What the rows of a run amount to, kept up to date with every commit."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Inputs by kind of result."""
        ...

    @property
    def reason(self) -> str:
        """The most common reason why an input has no result; empty if there is none."""
        ...

    @property
    def failed(self) -> int:
        """Inputs that lack a result through no fault of theirs: the next run tries them again."""
        ...

    def add(self, rows: pa.Table) -> None:
        """Count the stored rows of some inputs in the stage's first table."""
        ...


class Summarised(BatchStage):
    """Counts its results by kind, for the run's record and its last lines."""

    @abstractmethod
    def make_summary(self) -> Summary:
        """Return an empty summary."""
