"""What models were asked, what came of it, and what it cost."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.report.words import show_count, show_text

_EXAMPLES = 3
_WHOLE_CHARS = 40

Row = dict[str, Any]


def models_section(prelabels: pa.Table, stages: Sequence[Mapping[str, Any]]) -> str:
    """A table of outcomes by labeller, why answers failed, and the account of this run; empty where there is none."""
    return _outcomes(prelabels) + _account(stages)


def _outcomes(prelabels: pa.Table) -> str:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in _counted(prelabels, "labeller", "outcome"):
        counts[row["labeller"]][row["outcome"]] = row["count_all"]
    if not counts:
        return ""
    shown = sorted(
        {each for by_outcome in counts.values() for each in by_outcome}, key=lambda each: (each != "ok", each)
    )
    head = "".join(f'<th class="number">{show_text(each)}</th>' for each in shown)
    rows = "".join(
        f"<tr>{_name(name)}"
        + "".join(f'<td class="number">{show_count(counts[name][each])}</td>' for each in shown)
        + "</tr>"
        for name in sorted(counts)
    )
    table = f"<table><thead><tr><th>labeller</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>Proposals</h2><div class="panel">{table}</div>{_reasons(prelabels)}'


def _reasons(prelabels: pa.Table) -> str:
    """Why answers are not usable: of each labeller and outcome the commonest reasons, and how many are left."""
    failed = prelabels.filter(pc.not_equal(prelabels["outcome"], "ok"))
    by_outcome: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for row in _counted(failed, "labeller", "outcome", "detail"):
        by_outcome[row["labeller"], row["outcome"]].append((row["detail"] or "no reason given", row["count_all"]))
    rows = []
    for (name, outcome), reasons in sorted(by_outcome.items()):
        reasons.sort(key=lambda reason: (-reason[1], reason[0]))
        shown, others = reasons[:_EXAMPLES], sum(count for _, count in reasons[_EXAMPLES:])
        shown += [("for other reasons", others)] if others else []
        rows += [
            f'<tr>{_name(name)}<td class="whole">{show_text(outcome)}</td>'
            f'<td class="number">{show_count(count)}</td><td dir=auto>{show_text(detail)}</td></tr>'
            for detail, count in shown
        ]
    if not rows:
        return ""
    head = '<thead><tr><th>labeller</th><th>outcome</th><th class="number">answers</th><th>reason</th></tr></thead>'
    table = f'<table class="reasons">{head}<tbody>{"".join(rows)}</tbody></table>'
    return f'<h3 class="below">Why answers are not usable</h3><div class="panel">{table}</div>'


def _counted(prelabels: pa.Table, *columns: str) -> list[Row]:
    rows: list[Row] = prelabels.group_by(list(columns)).aggregate([([], "count_all")]).to_pylist()
    return rows


def _name(labeller: str) -> str:
    """A labeller's cell; a name of usual length stays on one line."""
    kind = ' class="whole"' if len(labeller) <= _WHOLE_CHARS else ""
    return f"<th scope=row{kind}>{show_text(labeller)}</th>"


def _account(stages: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr>{_name(name)}"
        + "".join(
            f'<td class="number">{show_count(spent.get(key))}</td>'
            for key in ("requests", "from_cache", "retries", "tokens_in", "tokens_out")
        )
        + f'<td class="number">{_usd(spent.get("usd"))}</td><td>{_unsure(spent)}</td></tr>'
        for stage in stages
        for name, spent in (stage.get("account") or {}).items()
    )
    if not rows:
        return ""
    names = ("asked", "from cache", "retries", "tokens in", "tokens out", "USD")
    head = "".join(f'<th class="number">{name}</th>' for name in names) + "<th></th>"
    table = f"<table><thead><tr><th>labeller</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>Asked and paid in this run</h2><div class="panel">{table}</div>'


def _unsure(spent: Mapping[str, Any]) -> str:
    lost = spent.get("lost_usd")
    return f"{_usd(lost)} of it without a reply, maybe not charged" if lost else ""


def _usd(amount: float | None) -> str:
    return "price unknown" if amount is None else f"{amount:,.4f}"
