"""What becomes of each fault: a table, tested by test_faults.py; ``python -m tests.llm.fault_matrix`` prints it."""

import json
import os
import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tests.llm.fault_rows import COUNT, HIT, TRIES, Row, batch_rows, is_counted, rows, services
from tests.support.asking import GOOD, KEY, AskResult, ask_items, make_settings
from tests.support.asking import rows as table_rows
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import Fault


class Played(NamedTuple):
    """What several runs over eight items came to: each run's result, the tries for the one item in each, the tokens
    that the double billed after each, and the entries of the ledger at the end."""

    runs: list[AskResult]
    tries: list[int]
    billed: list[int]
    ledger: list[dict[str, Any]]
    is_paid: bool
    """Whether the service may bill its reply to the one item"""

    def booked(self, *states: str) -> int:
        """Return the tokens in the ledger's entries with these states."""
        return sum(entry["tokens_in"] + entry["tokens_out"] for entry in self.ledger if entry["state"] in states)

    @property
    def usd(self) -> float:
        return sum(entry["usd"] for entry in self.ledger)

    @property
    def outcome(self) -> str:
        """How the item ended in the first run, and in the last if that differs."""
        ends = [f"ends: {type(run.error).__name__}" if run.error else _outcome(run) for run in self.runs]
        return ends[0] if ends[0] == ends[-1] else f"{ends[0]}, then {ends[-1]}"

    @property
    def lost(self) -> int:
        return sum(run.lost for run in self.runs)

    def problems(self, *, is_exact: bool) -> list[str]:
        """Return in what the ledger and the bill differ, or what was bought twice; empty as it has to be."""
        settled, unsure, reserved = self.booked("settled"), self.booked("lost"), self.booked("reserved")
        billed = self.billed[-1]
        problems = [f"{self.lost} items are lost"] if self.lost else []
        problems += ["a reservation is left open"] if reserved else []
        if not settled <= billed <= settled + unsure and is_exact:
            problems.append(f"{billed} tokens were billed, {settled} booked and {unsure} more may have been")
        if billed > settled + unsure:
            problems.append(f"{billed} tokens were billed, and only {settled + unsure} booked")
        if self.is_paid and "error" not in self.outcome and self.billed[-1] != self.billed[0]:
            problems.append("an answer was bought again")
        return problems


def _outcome(run: AskResult) -> str:
    reply = run.replies[HIT]
    return "no reply" if reply is None else reply.outcome


def play(row: Row, folder: Path, *, mode: str = "online", runs: int = 1) -> Played:
    """Return what comes of asking about eight items, ``runs`` times, while the service does this to one of them."""
    hit = f"item {HIT} of {COUNT}"
    with ChatDouble() as double:
        double.on(hit, *row.plays)
        return _play(double, folder, runs, hit, row, mode=mode)


def play_service(name: str, folder: Path, *, runs: int = 3) -> Played:
    """Return what comes of batches about eight items while the service does this."""
    with ChatDouble() as double:
        services()[name](double)
        return _play(double, folder, runs, f"item {HIT} of {COUNT}", Row("", (Fault(),), "ok", 1, 1), mode="batch")


def _play(double: ChatDouble, folder: Path, runs: int, hit: str, row: Row, **options: Any) -> Played:
    double.answer = lambda body: json.dumps(GOOD[row.labels])
    settings = make_settings(double, tries=TRIES, request_timeout_s=0.5 if row.plays[0].hang else 20.0, **options)
    results: list[AskResult] = []
    tries: list[int] = []
    billed: list[int] = []
    for _ in range(runs):
        results.append(ask_items(folder, settings, [f"item {at} of {COUNT}" for at in range(COUNT)], labels=row.labels))
        lines = [line["body"] for batch in double.batches.values() for line in batch["lines"]]
        tries.append(sum(hit in json.dumps(body) for body in (*(call.body for call in double.calls), *lines)))
        billed.append(double.tokens["in"] + double.tokens["out"])
    tries = [count - before for before, count in pairwise((0, *tries))]
    return Played(results, tries, billed, table_rows(folder, "spend"), row.charged > 0)


def main() -> None:
    """Print the table as Markdown: every fault online and, where it can happen there, in a batch; three runs each."""
    os.environ["OPENAI_API_KEY"] = KEY
    print(
        "Eight items, one of which meets the fault; three runs. Tries for that item in each; tokens that the service\n"
        "billed, those in the ledger, and those that may have been billed for attempts without a reply.\n"
    )
    print("| fault | mode | outcome | tries | billed | booked | maybe | USD | items lost | problems |")
    print("|---|---|---|--:|--:|--:|--:|--:|--:|---|")
    cases = [
        *((row.fault, "online", partial(play, row, runs=3), is_counted(row)) for row in rows()),
        *((row.fault, "batch", partial(play, row, mode="batch", runs=3), is_counted(row)) for row in batch_rows()),
        *((name, "batch", partial(play_service, name), True) for name in services()),
    ]
    for fault, mode, run, is_exact in cases:
        with tempfile.TemporaryDirectory() as folder:
            played = run(folder=Path(folder))
        tries = " + ".join(map(str, played.tries))
        tokens = f"{played.billed[-1]} | {played.booked('settled')} | {played.booked('lost')}"
        problems = "; ".join(played.problems(is_exact=is_exact))
        cells = (fault, mode, played.outcome, tries, tokens, f"{played.usd:.6f}", played.lost, problems)
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
