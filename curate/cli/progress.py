"""The progress of a run, on stderr."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from curate.cli.output import describe, describe_spending, err, escape
from curate.sentences import count_of

if TYPE_CHECKING:
    from curate.llm.money.account import UsageTotals
    from curate.pipeline import StageResult

STOPPING = "stopping: waiting for work in progress; Ctrl-C again stops at once"
_NAME, _COUNT, _TIME = 11, 11, 7
_BAR, _SHORT_BAR, _WIDE = 28, 10, 110
_ECHO = 4
"""Columns left free on the right: the terminal echoes ``^C`` there, which must not start a line of its own."""
_SAY_EVERY_S = 30.0
"""How often a line says what was fetched, where there is no terminal"""


class _Lines(Progress):
    """One line for each stage, never wider than the terminal, and a notice below them."""

    notice = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield _Narrower(self.make_tasks_table(self.tasks))
        if self.notice:
            yield _Narrower(Text(self.notice, overflow="ellipsis", no_wrap=True))


class _Narrower(NamedTuple):
    """A renderable that leaves room on the right for the echo of Ctrl-C."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.inner, options.update(width=max(options.max_width - _ECHO, 1)))


class ProgressLines:
    """Shows a run on stderr: a bar for each stage on a terminal, a line for each elsewhere."""

    def __init__(self) -> None:
        # Not `err`: it does not wrap, and a line that is too long breaks the display.
        console = Console(stderr=True, highlight=False, emoji=False)
        self._is_shown = console.is_interactive
        bar = _BAR if console.width >= _WIDE else _SHORT_BAR
        self._progress = _Lines(
            TextColumn("{task.description}", table_column=Column(min_width=_NAME, no_wrap=True)),
            BarColumn(bar_width=bar, table_column=Column(width=bar, no_wrap=True)),
            MofNCompleteColumn(table_column=Column(min_width=_COUNT, no_wrap=True)),
            TimeElapsedColumn(table_column=Column(min_width=_TIME, no_wrap=True)),
            TextColumn("[dim]{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
            console=console,
            expand=True,
        )
        self._task: TaskID | None = None
        self._fetching: TaskID | None = None
        self._said_at = time.monotonic()

    def __enter__(self) -> "ProgressLines":
        if self._is_shown:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            self._progress.stop()

    def stopping(self) -> None:
        """Show that the first Ctrl-C was received. Safe in signal handlers: calls nothing that is not reentrant."""
        if self._progress.live.is_started:
            self._progress.notice = STOPPING  # the display's own thread shows it within a tenth of a second
        else:
            os.write(2, f"{STOPPING}\n".encode())

    def files_fetched(self, done: int, total: int, size_bytes: int) -> None:
        """See ``pipeline.Listener``."""
        size = f"{size_bytes / 1e6:,.1f} MB"
        if self._is_shown:
            if self._fetching is None:
                self._fetching = self._progress.add_task("fetching", total=total, note="")
            self._progress.update(self._fetching, total=total, completed=done, note=size)
            if done == total:
                self._progress.stop_task(self._fetching)
                self._fetching = None
        elif done == total or time.monotonic() - self._said_at > _SAY_EVERY_S:
            self._said_at = time.monotonic()
            err.print(f"{done:,} of {count_of(total, 'file')} asked for, {size} fetched")

    def stage_started(self, name: str, total: int, done: int) -> None:
        """See ``pipeline.Listener``."""
        self._task = self._progress.add_task(name, total=total or None, completed=done, note="")

    def stage_advanced(self, name: str, inputs: float, account: Mapping[str, "UsageTotals"]) -> None:
        """See ``pipeline.Listener``."""
        if self._task is not None:
            self._progress.update(self._task, advance=inputs, note=escape(describe_spending(account.values())))

    def stage_finished(self, result: "StageResult") -> None:
        """See ``pipeline.Listener``."""
        words = describe(result)
        if self._task is not None:
            words = "; ".join(filter(None, (words, describe_spending(result.account.values()))))
            total = result.inputs or 1
            self._progress.update(self._task, total=total, completed=total - result.left, note=escape(words))
            self._progress.stop_task(self._task)
            self._task = None
        if not self._is_shown:
            err.print(f"{result.stage:<11} {result.seconds:7.1f} s  {escape(words)}")
