"""Items to proposed labels, for people to correct."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import pyarrow as pa

from curate.llm.model import Labeller
from curate.llm.offline import OfflineLabeller
from curate.stage import BatchStage, Outcome, Tools, digest


class Prelabel(BatchStage):
    """One proposal for every item; an item that the labeller cannot judge is kept, with the outcome ``abstained``."""

    stage: Literal["prelabel"]
    model: Literal["offline"] = "offline"

    reads: ClassVar[str] = "items"
    writes: ClassVar[tuple[str, ...]] = ("prelabels",)
    uses: ClassVar[tuple[str, ...] | None] = ("item_id", "text")
    batch_rows: ClassVar[int] = 512

    def assets(self, tools: Tools) -> Iterable[str]:
        return (tools.labels.sha256, self._labeller().name)

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        labeller = self._labeller()
        rows = []
        for item in batch.to_pylist():
            values, scores, outcome = labeller.propose(item, tools.labels)
            row: dict[str, Any] = {
                "prelabel_id": digest([item["item_id"], labeller.name, item["text"], tools.labels.sha256])[:24],
                "item_id": item["item_id"],
                "labeller": self.model,
                "model": labeller.name,
                "outcome": outcome,
                "scores": [
                    {"field": field, "label": label, "score": score}
                    for field, by_label in scores.items()
                    for label, score in by_label.items()
                ],
                "schema_sha256": tools.labels.sha256,
                **values,
            }
            rows.append(row)
        return Outcome({"prelabels": rows})

    @staticmethod
    def _labeller() -> Labeller:
        return OfflineLabeller()
