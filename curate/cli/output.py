"""All that the command line prints: results on stdout, progress and problems on stderr."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table

from curate.cli.options import next_command
from curate.corpus.advice import advise
from curate.errors import CurateError
from curate.sentences import count_of, verb_of

if TYPE_CHECKING:
    from curate.llm.money.account import UsageTotals
    from curate.pipeline import StageResult

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
_NAME_WIDTH = 24
_MAX_CHARS = 200
_CONTROL = re.compile(r"[^\n\t -~\u00a0-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\U0010ffff]")
"""Control characters, lone surrogates and marks that turn the direction of what follows."""


def escape(text: str) -> str:
    """Return text that a terminal shows as it is: no markup, and control characters as ``\\x1b``."""
    return escape_markup(_CONTROL.sub(lambda match: _escaped(match[0]), text))


def _escaped(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{ord(char):04x}"


def say(text: str) -> None:
    """Print a line on stdout."""
    out.print(escape(text))


def note(text: str) -> None:
    """Print a line about progress on stderr."""
    err.print(escape(text), style="dim")


def claim_stdout() -> None:
    """Let only this program's own output reach stdout: what native libraries print there goes to stderr."""
    sys.stdout.flush()
    with suppress(OSError, ValueError):
        claimed = os.dup(1)
        os.dup2(2, 1)
        sys.stdout = os.fdopen(claimed, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)


def show_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    # JSON itself escapes control characters below space, and not those above "~".
    print(_CONTROL.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text))


def show_error(error: CurateError) -> None:
    """Print an error with a line for each problem, and the next step, on stderr."""
    err.print(f"[bold red]error:[/] {escape(error.message)}")
    for problem in getattr(error, "problems", ()):
        err.print(f"  {escape(problem)}")
    if error.hint:
        err.print(f"[bold]next:[/] {escape(error.hint)}")


def show_incomplete(reasons: Iterable[str]) -> None:
    """Print why a run ends with exit code 3, on stderr."""
    for reason in reasons:
        err.print(f"[bold yellow]exit 3:[/] finished, but {escape(reason)}")


def error_document(error: CurateError) -> dict[str, Any]:
    """Return an error as data, for ``--json``."""
    return {"error": error.message, "problems": list(getattr(error, "problems", ())), "hint": error.hint}


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table without lines; numbers are aligned to the right."""
    rows = [list(row) for row in rows]
    table = Table(
        title=title and escape(title),
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 3, 0, 0),
    )
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        justify: Literal["right", "left"] = "right" if numeric else "left"
        # The first column is not wrapped as long as others can be.
        width = 0 if index else min(_NAME_WIDTH, max((len(str(row[0])) for row in rows), default=0))
        table.add_column(escape(column), overflow="fold", justify=justify, header_style="bold", min_width=width)
    for row in rows:
        table.add_row(
            *(escape("" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row)
        )
    out.print(table)


def counted(counts: Mapping[str, int]) -> str:
    """Return counts as words: ``1 source, 12 items``. Names that end in ``s`` are plurals."""
    return ", ".join(
        f"{number:,} {name[:-1] if number == 1 and name.endswith('s') else name}" for name, number in counts.items()
    )


def show_account(account: Mapping[str, "UsageTotals"]) -> None:
    """Print the requests and cost of each labeller, if there are any."""
    rows = [
        (name, s.requests, s.from_cache, f"{s.tokens_in:,} / {s.tokens_out:,}", _cost(s), counted(s.outcomes))
        for name, s in account.items()
        if s.requests or s.from_cache or s.tokens_in or s.outcomes
    ]
    if rows:
        show_table(["labeller", "asked", "cached", "tokens in / out", "USD", "outcomes"], rows)


def describe_spending(account: Iterable["UsageTotals"]) -> str:
    """Return the requests so far, their rate and cost: ``120 asked, 3.5/s, 0.0120 USD``."""
    usages = list(account)
    if not usages:
        return ""
    amounts = [usage.usd for usage in usages if usage.usd is not None]
    cost = f", {_usd(sum(amounts))} USD" if amounts else ""
    requests, cached = sum(usage.requests for usage in usages), sum(usage.from_cache for usage in usages)
    repeated = f", {cached:,} from cache" if cached else ""
    return f"{requests:,} asked{repeated}, {sum(usage.per_s for usage in usages):.1f}/s{cost}"


def _cost(usage: "UsageTotals") -> str:
    lost = f" ({_usd(usage.lost_usd)} of it without a reply, maybe not charged)" if usage.lost_usd else ""
    return _usd(usage.usd) + lost


def _usd(amount: float | None) -> str:
    return "price unknown" if amount is None else f"{amount:.4f}" if amount < 1 else f"{amount:,.2f}"


def describe(result: "StageResult") -> str:
    """Return what a stage did, in a few words."""
    if not result.inputs and (result.message or result.counts):
        return "; ".join(part for part in (result.message, counted(result.counts)) if part)
    new = result.inputs - result.skipped - result.left
    if not result.inputs:
        return "nothing to work on"
    words = [f"{result.skipped:,} done before"] if result.skipped else []
    words += [f"{new:,} new: {result.rows:,} rows{_outcomes(result)}"] if new else []
    if result.left:
        words.append(f"{result.left:,} left")
    if rejected := result.rejected_in_all - result.left_out:
        words.append(f"{rejected:,} rejected")
    if result.repeats:
        words.append(f"{count_of(result.repeats, 'duplicate')} left out")
    if result.forgotten:
        words.append(f"{result.forgotten:,} forgotten")
    return "; ".join(part for part in (", ".join(words), result.message) if part)


def _outcomes(result: "StageResult") -> str:
    """Return `` (38 ok, 2 refused)``; empty if all are ok."""
    return f" ({counted(result.counts)})" if set(result.counts) - {"ok"} else ""


def show_missing(results: Iterable["StageResult"], *, workspace: str) -> None:
    """Print what stages rejected or left without a proposal and why, and what the next run tries again."""
    status, rest = next_command("status", workspace), next_command("status --rejected", workspace)
    for result in results:
        if result.rejection:
            rejected = f"{result.rejected_in_all - result.left_out:,} of {count_of(result.inputs, 'input')}"
            say(f"note:    {result.stage} rejected {rejected}, most often {shorten(result.rejection)}")
            say(f"         `{rest}` lists every rejection")
        if result.unused_parts:
            say(f"note:    {result.stage} could not use {shorten(result.unused_parts)}")
            say(f"         `{rest}` lists them")
        if result.crashed:
            crashed = f"{count_of(result.crashed, 'input')} of {result.stage} missing (crashed)"
            say(f"warning: {crashed}: the worker was killed, often for lack of memory; run again with --workers 1")
        total = sum(result.counts.values())
        missing = total - result.counts.get("ok", 0)
        if result.reason and 2 * missing > total:
            note = f"{missing:,} of {count_of(total, 'item')} have no proposal, most often {shorten(result.reason)}"
            say(f"note:    {note}; see `{status}` and the report")
        if advice := advise(result.counts) if result.stage == "prelabel" else "":
            say(f"next:    {advice}")
        if result.unavailable:
            files = f"{count_of(result.unavailable, 'file')} {verb_of(result.unavailable, 'was', 'were')}"
            say(f"note:    {files} out of reach in {result.stage}; mount the disk or put them back, then run again")
        if result.failed:
            say(f"note:    an answer is missing for {count_of(result.failed, 'item')} (error); the next run asks again")


def explain_incomplete(results: Iterable["StageResult"], *, max_rejected: float) -> list[str]:
    """Return why a run that finished ends with exit code 3: a sentence for each cause, none if it is complete."""
    reasons = []
    for result in results:
        if result.rejected_share > max_rejected:
            share = f"{result.stage} rejected {result.rejected_share:.0%} of its inputs"
            reasons.append(f"{share}, more than --max-rejected {max_rejected:g} allows")
        if result.crashed:
            reasons.append(f"{count_of(result.crashed, 'input')} of {result.stage} missing: the worker was killed")
        if result.unavailable:
            reasons.append(f"{count_of(result.unavailable, 'file')} out of reach in {result.stage}")
    return reasons


def shorten(text: str) -> str:
    """Return text as one line of bounded length."""
    words = " ".join(text.split())
    return words if len(words) <= _MAX_CHARS else f"{words[: _MAX_CHARS - 1]}…"
