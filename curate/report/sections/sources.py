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
    """Return sources by collection, licence and kind, the first 100 of them, and the number of items of each."""
    sources = tables["sources"].sort_by([("collection", "ascending"), ("file", "ascending")])
    rows = sources.slice(0, _MAX_SOURCES).to_pylist()
    items = rows_with(tables["items"], "source_id", (row["source_id"] for row in rows))
    groups = _groups(tables)
    return {
        "rows": rows,
        "item_counts": Counter(items["source_id"].to_pylist()),
        "more": sources.num_rows - len(rows),
        "groups": groups[:_MAX_SOURCES],
        "more_groups": len(groups[_MAX_SOURCES:]),
    }


def _groups(tables: Mapping[str, pa.Table]) -> list[Row]:
    """Return the number of sources and items, and the length, by collection, licence and kind; the largest first."""
    counts = pc.value_counts(tables["items"]["source_id"])
    rows = pc.index_in(tables["sources"]["source_id"], value_set=counts.field("values"))
    sources = tables["sources"].append_column("items", pc.fill_null(counts.field("counts").take(rows), 0))
    grouped = sources.group_by(["collection", "licence", "kind"]).aggregate(
        [([], "count_all"), ("duration_s", "sum"), ("items", "sum")]
    )
    renamed = {"count_all": "sources", "duration_s_sum": "duration_s", "items_sum": "items"}
    groups = [{renamed.get(name, name): value for name, value in row.items()} for row in grouped.to_pylist()]
    return sorted(groups, key=lambda row: (-row["sources"], *(str(row[k]) for k in ("collection", "licence", "kind"))))


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
