"""From sources to released items: how many reach each step, and how many are rejected there."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.report.sections.items import final_proposals


class FunnelStep(NamedTuple):
    """How many arrive at a step, and how many were rejected before it; None where nothing is rejected."""

    name: str
    kept: int
    rejected: int | None = None


def funnel(tables: Mapping[str, pa.Table], splits: pa.Table | None) -> list[FunnelStep]:
    """Return the steps in order; a rejection counts at the table that its stage writes."""
    rejected = {
        entry["values"]: entry["counts"] for entry in pc.value_counts(tables["rejections"]["stage"]).to_pylist()
    }
    labels = tables["labels"]
    steps = [
        FunnelStep("sources", tables["sources"].num_rows, rejected.get("ingest", 0)),
        FunnelStep("items", tables["items"].num_rows, rejected.get("preprocess", 0)),
        FunnelStep("with a usable proposal", _count(final_proposals(tables["prelabels"])), rejected.get("prelabel", 0)),
        FunnelStep("seen by people", _count(tables["annotations"])),
        FunnelStep("labelled by people", _count(labels.filter(pc.equal(labels["label_source"], "human")))),
        FunnelStep("labelled, by people or a model", labels.num_rows),
    ]
    if splits is not None:
        steps.append(FunnelStep("in a split", splits.num_rows - splits["split"].null_count, splits["split"].null_count))
    return steps


def _count(rows: pa.Table) -> int:
    return int(pc.count_distinct(rows["item_id"]).as_py())
