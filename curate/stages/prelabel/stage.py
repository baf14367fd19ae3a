"""The prelabel stage: labels proposed for every item, for people to correct."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.action_units import action_unit_texts
from curate.corpus.sessions import read_sessions
from curate.corpus.spec import table_spec
from curate.corpus.view import Corpus
from curate.labels import LabelSchema
from curate.llm.prompts.load import load_prompt
from curate.stages.capabilities import Enriched, Priced, Replayed, Streamed, Summarised
from curate.stages.contract import Outcome, Problem, Tools, cut_by_size
from curate.stages.prelabel.checks import price_problems, prompt_problems
from curate.stages.prelabel.context import AROUND, with_neighbours
from curate.stages.prelabel.cost import describe_cost
from curate.stages.prelabel.labeller import LocalLabeller
from curate.stages.prelabel.proposer import open_labellers
from curate.stages.prelabel.rows import build_rows, combine_records
from curate.stages.prelabel.settings import PrelabelSettings, ServiceSettings
from curate.stages.prelabel.streaming import replay_outcome, replies_path, stream_outcomes
from curate.stages.prelabel.summary import PrelabelSummary

_TEXT_COLUMNS = ("item_id", "text", "language")
_PROMPT_COLUMNS = (
    *("unit", "speaker", "statement", "dialogue", "turn", "audio", "video", "image", "face", "face_id"),
    *("text_b", "audio_b", "video_b", "layout", "source_id", "start_s", "end_s", "frame_rate_hz"),
)
_ACTION_UNITS = "action_units"
"""The column that ``enrich`` adds, and the variable of prompts"""
_ESTIMATE_ITEMS = 200
_BATCH_ITEMS, _BATCH_CHARS = 2_048, 1_000_000
_MIN_REPLAY_ITEMS = 4_000
"""Fewer items are done before workers have started."""
_REPLAY_SAMPLE = 64


class Prelabel(PrelabelSettings, Streamed, Enriched, Priced, Summarised):
    """Stores every labeller's proposal for every item, and marks one row of each item as final.

    No item is left out: one that no labeller could judge has a row with the reason. Requests are sent from the driver,
    and every reply is stored under its request's hash before it is used, so that none is paid for twice.
    """

    stage: Literal["prelabel"]

    version: ClassVar[int] = 7
    reads: ClassVar[str] = "items"
    writes: ClassVar[tuple[str, ...]] = ("prelabels",)
    repeatable: ClassVar[bool] = True
    retried: ClassVar[tuple[str, str] | None] = ("outcome", "error")
    operational: ClassVar[frozenset[str]] = frozenset(ServiceSettings.model_fields)

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterable[Problem]:
        """See ``Stage.problems``."""
        yield from prompt_problems(self, folder, labels)
        yield from price_problems(self, folder)

    def assets(self, tools: Tools) -> Iterable[str]:
        """See ``Stage.assets``."""
        yield tools.labels.sha256
        for labeller in open_labellers(self, tools, with_others=True):
            yield from labeller.assets()

    def columns_read(self, columns: Sequence[str]) -> Sequence[str]:
        """See ``BatchStage.columns_read``."""
        return columns if self.prompted else _TEXT_COLUMNS

    def columns_used(self) -> tuple[str, ...] | None:
        """See ``BatchStage.columns_used``."""
        if not self.prompted:
            return _TEXT_COLUMNS
        return (*_TEXT_COLUMNS, *_PROMPT_COLUMNS, _ACTION_UNITS, *(AROUND if self.has_context else ()))

    def inputs(self, current: pa.Table, tools: Tools) -> pa.Table:
        """See ``BatchStage.inputs``.

        Models see pictures of the source: a viewing copy, made for people at some time, is left out.
        """
        if not self.prompted:
            return current
        clips = pc.if_else(pc.equal(current["unit"], "pair"), current["video"], pa.scalar(None, pa.string()))
        return current.set_column(current.column_names.index("video"), "video", clips)

    def enrich(self, inputs: pa.Table, corpus: Corpus, tools: Tools) -> pa.Table:
        """See ``Enriched.enrich``: the turns around each item, and the action units that signals have of it.

        Each only if a prompt shows it.
        """
        if not self.prompted:
            return inputs
        if self.has_context:
            inputs = with_neighbours(inputs, self.context, read_sessions(corpus))
        prompts = (load_prompt(labeller.prompt, tools.folder) for labeller in self.prompted.values())
        is_taken = any(_ACTION_UNITS in prompt.header.variables for prompt in prompts)
        texts = action_unit_texts(inputs, corpus) if is_taken else pa.nulls(inputs.num_rows, pa.string())
        return inputs.append_column(_ACTION_UNITS, texts)

    def cut(self, inputs: pa.Table, todo: Sequence[int]) -> Iterator[Sequence[int]]:
        """See ``BatchStage.cut``."""
        chars = pc.fill_null(pc.utf8_length(inputs["text"]), 0).to_pylist()
        return cut_by_size(todo, chars, rows=_BATCH_ITEMS, size=_BATCH_CHARS)

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        """See ``BatchStage.apply``; only for settings without a model behind a service."""
        items = batch.select(_TEXT_COLUMNS).to_pylist()
        by_labeller = [
            LocalLabeller(labeller, tools.labels, tools.folder).propose_many(items) for labeller in self.labellers
        ]
        rows = []
        for item, records in zip(items, zip(*by_labeller, strict=True), strict=True):
            combined = combine_records(records, tools.labels, self.combine)
            rows += build_rows(item["item_id"], records, tools.labels, combined=combined)
        return Outcome({"prelabels": rows}).by_column("prelabels", table_spec("prelabels", tools.labels).schema)

    def is_streamed(self) -> bool:
        """See ``Streamed.is_streamed``."""
        return bool(self.prompted)

    def stream(
        self, inputs: pa.Table, corpus: Corpus, tools: Tools, *, account: dict[str, Any], stop: Callable[[], bool]
    ) -> Generator[tuple[int, Outcome]]:
        """See ``Streamed.stream``; ``account`` maps labellers to ``UsageTotals``."""
        return stream_outcomes(self, inputs, corpus, tools, account=account, stop=stop)

    def should_replay(self, todo: pa.Table, tools: Tools) -> bool:
        """See ``Streamed.should_replay``: true if replies to at least half of a sample are stored."""
        if todo.num_rows < _MIN_REPLAY_ITEMS or self.examples or not replies_path(tools).is_file():
            return False
        sample = _sample_rows(todo, _REPLAY_SAMPLE)
        return 2 * len(self.replay(sample, tools).indices) >= len(sample)

    def replay(self, batch: pa.Table, tools: Tools) -> Replayed:
        """See ``Streamed.replay``."""
        return replay_outcome(self, batch, tools)

    def estimate(self, todo: pa.Table, corpus: Corpus, tools: Tools) -> str:
        """See ``Priced.estimate``; scaled up from a sample of about 200 items."""
        if not self.prompted:
            return ""
        if not todo.num_rows:
            return "it asks models" if self.paid_models else ""
        sample = _sample_rows(todo, _ESTIMATE_ITEMS).to_pylist()
        return describe_cost(self, sample, todo.num_rows, corpus, tools)

    def make_summary(self) -> PrelabelSummary:
        """See ``Summarised.make_summary``."""
        return PrelabelSummary()


def _sample_rows(todo: pa.Table, count: int) -> pa.Table:
    """Return about ``count`` rows at equal distances."""
    return todo.take(list(range(0, todo.num_rows, max(1, todo.num_rows // count))))
