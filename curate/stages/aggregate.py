"""The aggregate stage: judgements become labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate.consensus.aggregate import aggregate
from curate.consensus.evidence import HUMAN_COLUMNS, MODEL_COLUMNS
from curate.consensus.settings import FieldSettings, Method, TieRule, problems_of
from curate.corpus.set_aside import set_aside
from curate.corpus.view import Corpus
from curate.files import digest
from curate.labels import LabelSchema
from curate.stages.contract import DriverStage, Forecast, Problem, Receipt, Tools


class Aggregate(DriverStage):
    """Aggregate judgements to labels with soft distributions; proposals count until people judge."""

    writes: ClassVar[tuple[str, ...]] = ("labels",)

    stage: Literal["aggregate"]
    version: ClassVar[int] = 4
    method: Method = "majority"
    """How judgements become a label; fields that it does not fit are decided by majority."""
    ties: TieRule = "none"
    """What decides between equally many votes: ``none`` leaves the label out, ``first`` takes the taxonomy's order."""
    at_least: float = Field(default=0.5, gt=0, le=1)
    """For ``threshold``, the share of raters who must name a label."""
    strict: bool = False
    """For ``all_inclusive``, leave out labels with at most the share that chance would give."""
    experts: tuple[str, ...] = ()
    """For ``gold_weighted``, the raters whose judgements are taken as the truth."""
    fields: dict[str, FieldSettings] = Field(default={})
    """Other settings for single fields, by name."""
    blind_only: bool = False
    """Leave out judgements whose form showed a proposal."""
    arms: tuple[str, ...] = ()
    """Count only judgements of these arms; by default of all."""

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterator[Problem]:
        """See ``Stage.problems``."""
        if labels is not None:
            for sentence in problems_of(labels, self._settings, self.fields):
                yield (), sentence

    @property
    def _settings(self) -> FieldSettings:
        return FieldSettings.model_validate(self.model_dump(include=set(FieldSettings.model_fields)))

    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        table = corpus.table("labels")
        fingerprint = self._fingerprint(corpus, tools)
        if table.metadata().get("fingerprint") == fingerprint:
            return Receipt(False, _counts(table.read(["label_source"])), _set_aside(corpus))
        rows = aggregate(
            tools.labels,
            corpus.read("annotations", [*HUMAN_COLUMNS, *tools.labels.fields]),
            corpus.read("prelabels", [*MODEL_COLUMNS, *tools.labels.fields]),
            settings=self._settings,
            by_field=self.fields,
            blind_only=self.blind_only,
            arms=self.arms,
        )
        stored = table.read().sort_by("item_id")
        changed = not stored.equals(rows)
        table.replace_all(rows, metadata={"fingerprint": fingerprint, "stage": self.stage})
        return Receipt(changed, _counts(rows), _set_aside(corpus))

    def foresee(self, corpus: Corpus, tools: Tools) -> Forecast:
        """See ``DriverStage.foresee``."""
        if corpus.table("labels").metadata().get("fingerprint") == self._fingerprint(corpus, tools):
            return Forecast(False, "the labels are up to date")
        return Forecast(True, "makes the labels again, because what they follow from has changed")

    def _fingerprint(self, corpus: Corpus, tools: Tools) -> str:
        """Return a hash of everything that decides the labels."""
        evidence = {name: corpus.table(name).state() for name in ("annotations", "prelabels")}
        return digest([self.identity(tools), tools.labels.sha256, evidence, corpus.fingerprint()])


def _set_aside(corpus: Corpus) -> str:
    return "; ".join(set_aside(corpus).sentences())


def _counts(rows: pa.Table) -> dict[str, int]:
    human = int(pc.sum(pc.equal(rows["label_source"], "human")).as_py() or 0)
    return {"labels": rows.num_rows, "by people": human, "by models": rows.num_rows - human}
