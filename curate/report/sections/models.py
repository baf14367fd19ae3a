"""What models were asked, what they answered, and what it cost."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.advice import advise

_EXAMPLES = 3

Row = dict[str, Any]


def proposal_outcomes(prelabels: pa.Table) -> Mapping[str, Any]:
    """Return counts of outcomes by labeller, the outcomes in order, the commonest reasons of failures, and advice."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in _count(prelabels, "labeller", "outcome"):
        counts[row["labeller"]][row["outcome"]] = row["count_all"]
    outcomes = {outcome for by_outcome in counts.values() for outcome in by_outcome}
    return {
        "counts": dict(sorted(counts.items())),
        "outcomes": sorted(outcomes, key=lambda outcome: (outcome not in ("ok", "clue"), outcome)),
        "failures": _failures(prelabels),
        "advice": [(name, advice) for name, by_outcome in sorted(counts.items()) if (advice := advise(by_outcome))],
    }


def accounts(stages: Sequence[Mapping[str, Any]]) -> list[tuple[str, Row]]:
    """Return the account of each labeller that was asked in this run."""
    keys = ("requests", "from_cache", "retries", "tokens_in", "tokens_out", "usd", "lost_usd")
    return [
        (name, {key: account.get(key) for key in keys})
        for stage in stages
        for name, account in (stage.get("account") or {}).items()
    ]


def _failures(prelabels: pa.Table) -> list[Row]:
    """Return the commonest reasons of each labeller and outcome, and the number of answers with other reasons."""
    failed = prelabels.filter(pc.invert(pc.is_in(prelabels["outcome"], pa.array(["ok", "clue"]))))
    reasons_by_outcome: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for row in _count(failed, "labeller", "outcome", "detail"):
        reason = (row["detail"] or "no reason given", row["count_all"])
        reasons_by_outcome[row["labeller"], row["outcome"]].append(reason)
    rows = []
    for (labeller, outcome), reasons in sorted(reasons_by_outcome.items()):
        reasons.sort(key=lambda reason: (-reason[1], reason[0]))
        rest = sum(count for _, count in reasons[_EXAMPLES:])
        listed = [*reasons[:_EXAMPLES], *([("for other reasons", rest)] if rest else [])]
        rows += [
            {"labeller": labeller, "outcome": outcome, "answers": count, "reason": reason} for reason, count in listed
        ]
    return rows


def _count(prelabels: pa.Table, *columns: str) -> list[Row]:
    rows: list[Row] = prelabels.group_by(list(columns)).aggregate([([], "count_all")]).to_pylist()
    return rows
