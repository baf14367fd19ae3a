"""All that the command line prints: results on stdout, progress and problems on stderr."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from curate.cli.options import next_command
from curate.errors import CurateError

if TYPE_CHECKING:
    from curate.llm.money.account import UsageTotals
    from curate.pipeline import StageResult

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
_NAME_WIDTH = 24
_MOST_CHARS = 200


def say(text: str) -> None:
    """A line for the user, on stdout."""
    out.print(escape(text))


def note(text: str) -> None:
    """A line on the way, on stderr."""
    err.print(escape(text), style="dim")


def show_json(document: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def show_error(error: CurateError) -> None:
    """What went wrong, every problem on a line of its own, and the next step."""
    err.print(f"[bold red]error:[/] {escape(error.message)}")
    for problem in getattr(error, "problems", ()):
        err.print(f"  {escape(problem)}")
    if error.hint:
        err.print(f"[bold]next:[/] {escape(error.hint)}")


def error_document(error: CurateError) -> dict[str, Any]:
    """The same as data, for ``--json``."""
    return {"error": error.message, "problems": list(getattr(error, "problems", ())), "hint": error.hint}


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """A plain table; numbers stand to the right."""
    rows = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        justify: Literal["right", "left"] = "right" if numeric else "left"
        # What a row is about stays on its line where the others can give way.
        least = 0 if index else min(_NAME_WIDTH, max((len(str(row[0])) for row in rows), default=0))
        table.add_column(column, overflow="fold", justify=justify, header_style="bold", min_width=least)
    for row in rows:
        table.add_row(
            *(escape("" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row)
        )
    out.print(table)


def counted(counts: Mapping[str, int]) -> str:
    """``3 sources, 12 items``."""
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


def show_account(account: Mapping[str, "UsageTotals"]) -> None:
    """What each labeller was asked and cost, where any was paid for."""
    rows = [
        (name, s.requests, s.from_cache, f"{s.tokens_in:,} / {s.tokens_out:,}", _cost(s), counted(s.outcomes))
        for name, s in account.items()
        if s.requests or s.from_cache or s.tokens_in or s.outcomes
    ]
    if rows:
        show_table(["labeller", "asked", "cached", "tokens in / out", "USD", "outcomes"], rows)


def describe_spending(account: Iterable["UsageTotals"]) -> str:
    """How asking goes on: requests, their rate, and the cost so far."""
    spent = list(account)
    if not spent:
        return ""
    known = [one.usd for one in spent if one.usd is not None]
    cost = f", {_usd(sum(known))} USD" if known else ""
    asked, cached = sum(one.requests for one in spent), sum(one.from_cache for one in spent)
    repeated = f", {cached:,} from cache" if cached else ""
    return f"{asked:,} asked{repeated}, {sum(one.per_s for one in spent):.1f}/s{cost}"


def _cost(spent: "UsageTotals") -> str:
    unsure = f" ({_usd(spent.lost_usd)} of it without a reply, maybe not charged)" if spent.lost_usd else ""
    return _usd(spent.usd) + unsure


def _usd(amount: float | None) -> str:
    return "price unknown" if amount is None else f"{amount:.4f}" if amount < 1 else f"{amount:,.2f}"


def describe(result: "StageResult") -> str:
    """What a stage did, in a few words."""
    if not result.inputs and (result.message or result.counts):
        return "; ".join(part for part in (result.message, counted(result.counts)) if part)
    new = result.inputs - result.skipped - result.left
    if not result.inputs:
        return "nothing to work on"
    words = [f"{result.skipped:,} done before"] if result.skipped else []
    words += [f"{new:,} new: {result.rows:,} rows{_outcomes(result)}"] if new else []
    if result.left:
        words.append(f"{result.left:,} left")
    if result.rejected_in_all:
        words.append(f"{result.rejected_in_all:,} rejected")
    return "; ".join(part for part in (", ".join(words), result.message) if part)


def _outcomes(result: "StageResult") -> str:
    """`` (38 ok, 2 refused)``, where not all are ok."""
    return f" ({counted(result.counts)})" if set(result.counts) - {"ok"} else ""


def show_missing(results: Iterable["StageResult"], *, workspace: str) -> None:
    """Tell where most items that a stage went through have no proposal, and why, and which are asked of again."""
    for result in results:
        asked = sum(result.counts.values())
        missing = asked - result.counts.get("ok", 0)
        if result.reason and 2 * missing > asked:
            note = f"{missing:,} of {asked:,} items have no proposal, most often {_short(result.reason)}"
            say(f"note:    {note}; see `{next_command('status', workspace)}` and the report")
        if result.failed:
            items = "item" if result.failed == 1 else "items"
            say(f"note:    an answer is missing for {result.failed:,} {items} (error); the next run asks again")


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _MOST_CHARS else f"{words[: _MOST_CHARS - 1]}…"
