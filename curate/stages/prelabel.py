"""Items to proposed labels, for people to correct."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from curate.llm.offline import OfflineName, TextLabeller, open_offline
from curate.stage import BatchStage, Outcome, Tools, digest


class Prelabel(BatchStage):
    """One proposal for every item; an item that the labeller cannot judge is kept, with the outcome ``abstained``."""

    stage: Literal["prelabel"]
    model: OfflineName = "offline"

    version: ClassVar[int] = 2
    reads: ClassVar[str] = "items"
    writes: ClassVar[tuple[str, ...]] = ("prelabels",)
    uses: ClassVar[tuple[str, ...] | None] = ("item_id", "text", "language")
    batch_rows: ClassVar[int] = 512

    def assets(self, tools: Tools) -> Iterable[str]:
        labeller = _labeller(self.model, tools.folder)
        return (tools.labels.sha256, labeller.name, *labeller.assets(tools.labels))

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        labeller = _labeller(self.model, tools.folder)
        assets = digest(sorted(self.assets(tools)))
        items = batch.select(list(self.uses or ())).to_pylist()
        rows: list[dict[str, Any]] = []
        for item, proposal in zip(items, labeller.propose_many(items, tools.labels), strict=True):
            row: dict[str, Any] = {
                "prelabel_id": digest([item["item_id"], item["text"], item["language"], assets])[:24],
                "item_id": item["item_id"],
                "labeller": self.model,
                "model": proposal.model or labeller.name,
                "outcome": proposal.outcome,
                "scores": [
                    {"field": field, "label": label, "score": score}
                    for field, by_label in proposal.scores.items()
                    for label, score in by_label.items()
                ],
                "schema_sha256": tools.labels.sha256,
                **proposal.values,
            }
            rows.append(row)
        return Outcome({"prelabels": rows})


@cache
def _labeller(model: OfflineName, folder: Path) -> TextLabeller:
    return open_offline(model, folder)
