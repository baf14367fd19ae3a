"""How fast people judge, and what answers of models cost."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.report.sections.labels import Bar

MAX_RATERS, _MAX_DAYS = 100, 60
_UNNAMED = "not named"


class RaterPace(NamedTuple):
    """What one rater did: judgements, those that say it cannot be judged, and the time that the forms were open."""

    rater: str
    judgements: int
    cannot_judge: int
    median_s: float | None
    hours: float | None
    unchanged: float | None
    """The share of answers that are the proposal's, left as it was (0-1)"""


class Pace(NamedTuple):
    """The pace of all raters, most judgements first, and judgements by day (UTC), the last 60 days."""

    raters: list[RaterPace]
    more_raters: int
    days: list[Bar]
    earlier: int
    """Judgements before those days"""
    median_s: float | None
    hours: float | None


def pace(judgements: pa.Table) -> Pace | None:
    """Return the pace of the people who judged; None if nobody did.

    ``judgements`` needs ``annotator``, ``acted_at``, ``cannot_judge``, ``lead_time_s`` and ``origins``.
    """
    if not judgements.num_rows:
        return None
    names = pc.fill_null(judgements["annotator"], _UNNAMED)
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(names).to_pylist()}
    order = sorted(counts, key=lambda name: (-counts[name], name))
    raters = [_rater(name, judgements.filter(pc.equal(names, name))) for name in order[:MAX_RATERS]]
    by_day = Counter(str(day) for day in judgements["acted_at"].drop_null().cast(pa.date32()).to_pylist())
    days = sorted(by_day)[-_MAX_DAYS:]
    median_s, hours = _seconds(judgements)
    return Pace(
        raters,
        len(order) - len(raters),
        [Bar(day, {"human": by_day[day]}) for day in days],
        by_day.total() - sum(by_day[day] for day in days),
        median_s,
        hours,
    )


def _rater(name: str, rows: pa.Table) -> RaterPace:
    origins = pc.list_flatten(rows["origins"])
    unchanged_count = (
        pc.sum(pc.equal(pc.struct_field(origins, "origin"), "prediction")).as_py() if len(origins) else None
    )
    unchanged = None if unchanged_count is None else unchanged_count / len(origins)
    return RaterPace(name, rows.num_rows, len(rows) - rows["cannot_judge"].null_count, *_seconds(rows), unchanged)


def _seconds(rows: pa.Table) -> tuple[float | None, float | None]:
    """Return the median time of a judgement in seconds, and of all together in hours."""
    seconds = np.asarray(rows["lead_time_s"].drop_null())
    return (float(np.median(seconds)), float(seconds.sum() / 3600)) if len(seconds) else (None, None)


def costs(prelabels: pa.Table) -> list[dict[str, Any]]:
    """Return for each labeller its answers, tokens and cost in USD (None where no price is known)."""
    grouped = prelabels.group_by("labeller").aggregate(
        [([], "count_all"), ("tokens_in", "sum"), ("tokens_out", "sum"), ("usd", "sum"), ("usd", "count")]
    )
    rows = [
        {
            "labeller": row["labeller"] or "not stated",
            "answers": row["count_all"],
            "tokens_in": row["tokens_in_sum"],
            "tokens_out": row["tokens_out_sum"],
            "usd": row["usd_sum"] if row["usd_count"] else None,
            "per_answer": row["usd_sum"] / row["usd_count"] if row["usd_count"] else None,
        }
        for row in grouped.to_pylist()
    ]
    paid = [row for row in rows if row["tokens_in"] or row["usd"]]
    return sorted(paid, key=lambda row: (-(row["usd"] or 0.0), row["labeller"]))
