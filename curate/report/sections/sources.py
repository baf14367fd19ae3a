"""The sources of a corpus, and what was rejected of them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

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


def rejections_by_reason(rejections: Sequence[Row]) -> Mapping[str, Any]:
    """Return the number of rejections by stage and reason, and five examples of each."""
    by_reason: dict[str, list[Row]] = defaultdict(list)
    for row in rejections:
        by_reason[f"{row['stage']}: {row['reason']}"].append(row)
    order = sorted(by_reason, key=lambda reason: (-len(by_reason[reason]), reason))
    return {
        "reasons": [Bar(reason, {"bad": len(by_reason[reason])}) for reason in order],
        "examples": [(reason, row) for reason in order for row in by_reason[reason][:_EXAMPLES]],
    }
