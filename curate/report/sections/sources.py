"""The sources of a corpus, and what was rejected of them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.report.sections.items import rows_with
from curate.report.sections.labels import Bar

_MAX_SOURCES = 100
_EXAMPLES = 5

Row = dict[str, Any]


def source_rows(tables: Mapping[str, pa.Table]) -> Mapping[str, Any]:
    """Return the first 100 sources, the number of items of each, and the number of further sources."""
    sources = tables["sources"].sort_by([("collection", "ascending"), ("file", "ascending")])
    rows = sources.slice(0, _MAX_SOURCES).to_pylist()
    items = rows_with(tables["items"], "source_id", (row["source_id"] for row in rows))
    return {"rows": rows, "item_counts": Counter(items["source_id"].to_pylist()), "more": sources.num_rows - len(rows)}


def rejections_by_reason(rejections: pa.Table) -> Mapping[str, Any]:
    """Return the number of rejections by stage and reason, and five examples of each."""
    names = pc.binary_join_element_wise(rejections["stage"], rejections["reason"], ": ")
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(names).to_pylist()}
    order = sorted(counts, key=lambda reason: (-counts[reason], reason))
    examples = ((reason, rejections.filter(pc.equal(names, reason)).slice(0, _EXAMPLES)) for reason in order)
    return {
        "reasons": [Bar(reason, {"bad": counts[reason]}) for reason in order],
        "examples": [(reason, row) for reason, rows in examples for row in rows.to_pylist()],
    }
