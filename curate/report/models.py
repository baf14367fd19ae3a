"""What models were asked, what came of it, and what it cost."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.report.words import show_count, show_text

_EXAMPLES = 3

Row = dict[str, Any]


def models_section(prelabels: pa.Table, stages: Sequence[Mapping[str, Any]]) -> str:
    """A table of outcomes by labeller, why answers failed, and the account of this run; empty where there is none."""
    return _outcomes(prelabels) + _account(stages)


def _outcomes(prelabels: pa.Table) -> str:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in prelabels.group_by(["labeller", "outcome"]).aggregate([([], "count_all")]).to_pylist():
        counts[row["labeller"]][row["outcome"]] = row["count_all"]
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in prelabels.filter(pc.not_equal(prelabels["outcome"], "ok")).to_pylist():
        known = reasons[row["labeller"], row["outcome"]]
        if row["detail"] and len(known) < _EXAMPLES:
            known.append(row["detail"])
    if not counts:
        return ""
    shown = sorted(
        {each for by_outcome in counts.values() for each in by_outcome}, key=lambda each: (each != "ok", each)
    )
    head = "".join(f'<th class="number">{show_text(each)}</th>' for each in shown)
    rows = "".join(
        f"<tr><th scope=row>{show_text(name)}</th>"
        + "".join(f'<td class="number">{show_count(counts[name][each])}</td>' for each in shown)
        + "</tr>"
        for name in sorted(counts)
    )
    told = "".join(
        f"<tr><th scope=row>{show_text(name)}</th><td>{show_text(outcome)}</td>"
        f"<td dir=auto>{show_text(detail)}</td></tr>"
        for (name, outcome), details in sorted(reasons.items())
        for detail in dict.fromkeys(details)
    )
    why = f'<p></p><div class="panel"><table><tbody>{told}</tbody></table></div>' if told else ""
    table = f"<table><thead><tr><th>labeller</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>Proposals</h2><div class="panel">{table}</div>{why}'


def _account(stages: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{show_text(name)}</th>"
        + "".join(
            f'<td class="number">{show_count(spent.get(key))}</td>'
            for key in ("requests", "from_cache", "retries", "tokens_in", "tokens_out")
        )
        + f'<td class="number">{_usd(spent.get("usd"))}</td></tr>'
        for stage in stages
        for name, spent in (stage.get("account") or {}).items()
    )
    if not rows:
        return ""
    names = ("asked", "from cache", "retries", "tokens in", "tokens out", "USD")
    head = "".join(f'<th class="number">{name}</th>' for name in names)
    table = f"<table><thead><tr><th>labeller</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>Asked and paid in this run</h2><div class="panel">{table}</div>'


def _usd(amount: float | None) -> str:
    return "price unknown" if amount is None else f"{amount:,.4f}"
