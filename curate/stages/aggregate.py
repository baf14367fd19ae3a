"""The aggregate stage: judgements become labels."""

from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.consensus.aggregate import aggregate
from curate.corpus.set_aside import set_aside
from curate.corpus.view import Corpus
from curate.files import digest
from curate.stages.contract import DriverStage, Forecast, Receipt, Tools


class Aggregate(DriverStage):
    """Aggregate judgements to a majority label and a soft distribution; proposals count until people judge."""

    writes: ClassVar[tuple[str, ...]] = ("labels",)

    stage: Literal["aggregate"]
    method: Literal["majority"] = "majority"
    version: ClassVar[int] = 3

    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        table = corpus.table("labels")
        fingerprint = self._fingerprint(corpus, tools)
        if table.metadata().get("fingerprint") == fingerprint:
            return Receipt(False, _counts(table.read(["label_source"])), _set_aside(corpus))
        prelabels = corpus.read("prelabels", ["item_id", "prelabel_id", "final", "outcome", *tools.labels.fields])
        rows = aggregate(tools.labels, corpus.read("annotations"), prelabels, method=self.method)
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
