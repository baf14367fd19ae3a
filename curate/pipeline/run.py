"""Run a recipe: do what is missing, commit it, and keep a record."""

import json
import platform
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from curate import __version__
from curate.corpus.ledger import Entry, Ledger
from curate.corpus.spec import parent_column
from curate.corpus.view import Corpus
from curate.document import nearest
from curate.errors import CurateError, Interrupted, InvalidInput
from curate.executors import Executor, WorkerDied, collecting_seldom
from curate.executors.local import LocalExecutor
from curate.files import digest
from curate.llm.money.account import UsageTotals
from curate.pipeline.plan import ANSWERS, BatchWork, Step, make_tools, walk
from curate.pipeline.tasks import Advance, Flow
from curate.recipe import LoadedRecipe, dump_recipe
from curate.release.versions import Releases
from curate.report.run import write_report
from curate.stages.contract import DriverStage, Outcome, Task, run_recall, run_task
from curate.stages.prelabel.summary import Proposals
from curate.storage.workspace import Workspace

_COMMIT_EVERY_S = 2.0
_COMMIT_EVERY_ROWS = 5_000
_RECALL_ROWS = 1_000
_SAVE_EVERY_S = 60.0
_SAVE_SHARE = 20
"""Saving takes at most a twentieth of the time."""


class Listener(Protocol):
    """Whoever wants to know how a run goes on."""

    def stage_started(self, name: str, total: int, done: int) -> None: ...
    def stage_advanced(self, name: str, inputs: float, account: Mapping[str, UsageTotals]) -> None: ...
    def stage_finished(self, result: "StageResult") -> None: ...


@dataclass
class StageResult:
    """What a stage did: inputs found done, done now and rejected now, rows kept, seconds, and a line for the user.

    ``left`` inputs were not come to, as it ended before.
    """

    stage: str
    inputs: int = 0
    skipped: int = 0
    left: int = 0
    rows: int = 0
    rejected: int = 0
    rejected_in_all: int = 0
    seconds: float = 0.0
    message: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    """What it made, by kind; of proposals made now, the items by outcome."""
    reason: str = ""
    """The commonest reason for which an item has no proposal: its outcome and the detail."""
    failed: int = 0
    """Items of which an answer is missing for no fault of theirs: the next run asks again."""
    changed: bool = False
    account: dict[str, UsageTotals] = field(default_factory=dict)
    """What each labeller that is paid for was asked and cost, by its name."""


@dataclass
class Run:
    """A run that has ended: its report on this disk (None where nothing was done), and the newest release's place."""

    recipe: str
    run_id: str
    stages: list[StageResult]
    report: Path | None = None
    release: str | None = None
    error: CurateError | None = None
    """What ended it before its end; everything finished is kept all the same."""

    @property
    def changed(self) -> bool:
        """Whether anything new came of it."""
        return any(result.changed for result in self.stages)

    @property
    def rejected_share(self) -> float:
        """The largest share of its inputs that any stage rejected (0-1)."""
        return max((r.rejected_in_all / r.inputs for r in self.stages if r.inputs), default=0.0)


def run(
    loaded: LoadedRecipe,
    workspace: Workspace,
    *,
    executor: Executor,
    listener: Listener,
    until: str | None = None,
    only: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Do what is missing. Everything finished is kept, whatever happens.

    Raises what ended it before its end: ``Interrupted`` when ``stop()`` became true.
    """
    done = attempt(loaded, workspace, executor=executor, listener=listener, until=until, only=only, stop=stop)
    if done.error is not None:
        raise done.error
    return done


def attempt(
    loaded: LoadedRecipe,
    workspace: Workspace,
    *,
    executor: Executor,
    listener: Listener,
    until: str | None = None,
    only: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Do what is missing, and tell how far it came also where an error ended it, which is in ``Run.error``.

    Raises what is wrong before anything is begun, such as ``WorkspaceBusy``.
    """
    names = [stage.stage for stage in loaded.recipe.stages]
    for option, name in (("--until", until), ("--only", only)):
        if name is not None and name not in names:
            raise InvalidInput(f"{option} {name}: the recipe has no such stage{nearest(name, names)}")
    with workspace.lock(), collecting_seldom():
        workspace.claim(loaded.recipe.recipe, loaded.path)
        return _Driver(loaded, workspace, executor, listener, stop).run(until, only)


class _Driver:
    """One run: the only place that commits."""

    def __init__(
        self,
        loaded: LoadedRecipe,
        workspace: Workspace,
        executor: Executor,
        listener: Listener,
        stop: Callable[[], bool],
    ) -> None:
        self.loaded, self.workspace, self.executor, self.listener, self.stop = (
            loaded, workspace, executor, listener, stop,
        )  # fmt: skip
        started = datetime.now(UTC)
        self.run_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        self.folder = workspace.runs.child(self.run_id)
        self.results: list[StageResult] = []
        self.ended: str | None = None
        self.save_at = time.monotonic() + _SAVE_EVERY_S
        self.tools = make_tools(loaded, workspace, answers=workspace.local_file(ANSWERS))

    def run(self, until: str | None, only: str | None) -> Run:
        corpus = Corpus(self.workspace, self.loaded.labels, {})
        done = Run(self.loaded.recipe.recipe, self.run_id, self.results)
        try:
            try:
                self._walk(corpus, until, only)
            except CurateError as error:
                self.ended = error.message
                raise
            finally:
                self._record()
        except CurateError as error:
            done.error = error
        try:
            done.report = self._report(corpus)
            done.release = self._newest_release()
        except CurateError as error:
            done.error = done.error or error
        return done

    def _walk(self, corpus: Corpus, until: str | None, only: str | None) -> None:
        for step in walk(self.loaded, corpus):
            name = step.stage.stage
            if only is None or name == only:
                self._perform(step, corpus)
            if name == until and step.stage is [s for s in self.loaded.recipe.stages if s.stage == name][-1]:
                break

    def _report(self, corpus: Corpus) -> Path | None:
        if not self.folder.path.is_dir():
            return None
        with self.folder.errors():
            report = write_report(self.folder.path / "report.html", corpus, self._as_dict())
            self.folder.save(["report.html"])
        return report

    def _newest_release(self) -> str | None:
        releases = Releases(self.workspace.releases)
        made = releases.manifests(self.loaded.recipe.recipe)
        return releases.place(made[-1].version) if made else None

    def _perform(self, step: Step, corpus: Corpus) -> None:
        result = StageResult(step.stage.stage)
        began, is_whole = time.monotonic(), False
        try:
            if step.batch is not None:
                self._run_batches(step.batch, corpus, result)
            elif isinstance(step.stage, DriverStage):
                self.listener.stage_started(step.stage.stage, 0, 0)
                receipt = step.stage.perform(corpus, self.tools)
                result.changed, result.message, result.counts = receipt.changed, receipt.message, dict(receipt.counts)
            is_whole = True
        finally:
            result.seconds = round(time.monotonic() - began, 3)
            self.results.append(result)
            if result.changed or any(spent.requests or spent.tokens_in for spent in result.account.values()):
                self._log("stage", **asdict(result))
                self.workspace.save_local_files()
            if is_whole or result.left:
                self.listener.stage_finished(result)
        if self.stop():
            raise Interrupted("stopped; what is finished is kept", hint="run the same command again to go on")

    def _run_batches(self, work: BatchWork, corpus: Corpus, result: StageResult) -> None:
        stage, ledger = work.stage, work.ledger(corpus)
        result.message = "; ".join(stage.notices(self.tools))
        todo = [index for index, one in enumerate(work.works) if not ledger.is_done(one)]
        result.inputs, result.skipped, result.left = len(work.works), len(work.works) - len(todo), len(todo)
        self.listener.stage_started(stage.stage, result.inputs, result.skipped)
        waiting: list[Entry] = []
        proposals = Proposals()
        last = time.monotonic()
        try:
            with closing(self._advances(work, todo, corpus, result)) as advances:
                for batch, inputs, outcome in advances:
                    if outcome is not None:
                        result.left -= len(batch)
                        waiting += _entries(work, batch, outcome)
                    self.listener.stage_advanced(stage.stage, inputs, result.account)
                    is_time = len(waiting) >= _COMMIT_EVERY_ROWS or time.monotonic() - last >= _COMMIT_EVERY_S
                    if waiting and is_time:
                        self._commit(ledger, waiting, result, proposals)
                        waiting, last = [], time.monotonic()
                    self._save_in_time()
        finally:
            if waiting:
                self._commit(ledger, waiting, result, proposals)
        if todo:
            with self.workspace.folder.errors():
                ledger.compact()
        result.changed |= stage.conclude(corpus, self.tools)
        result.rejected_in_all = sum(one in ledger.dropped for one in work.works)

    def _save_in_time(self) -> None:
        """Now and then, what a machine that is lost would take with it: what models replied, and the account."""
        began = time.monotonic()
        if began >= self.save_at:
            self.workspace.save_local_files()
            ended = time.monotonic()
            self.save_at = ended + max(_SAVE_EVERY_S, _SAVE_SHARE * (ended - began))

    def _advances(
        self, work: BatchWork, todo: Sequence[int], corpus: Corpus, result: StageResult
    ) -> Generator[Advance]:
        """How the inputs to do get on, made here by the stage itself or by the executor's workers."""
        stage = work.stage
        if not todo:
            return
        inputs = work.inputs.take(pa.array(todo))
        if stage.recalls(inputs, self.tools):
            known: set[int] = set()
            for advance in self._recall(work, todo, result):
                known.update(advance.batch)
                yield advance
            todo = [at for at in todo if at not in known]
            if not todo or self.stop():
                return
            inputs = work.inputs.take(pa.array(todo))
        account: dict[str, UsageTotals] = {}
        streamed = stage.stream(inputs, corpus, self.tools, account=account, stop=self.stop)
        if streamed is not None:
            before, places = dict(result.account), iter(todo)
            try:
                with closing(streamed):
                    for count, outcome in streamed:
                        _add(result.account, before, account)
                        yield Advance(list(islice(places, count)), count, outcome)
            finally:
                _add(result.account, before, account)
            return
        flow = Flow(stage, work.inputs, list(stage.cut(work.inputs, todo)), self.tools)
        results = self.executor.map(run_task, flow.tasks(), resources=stage.resources, stop=self.stop)
        try:
            yield from flow.follow(results)
        finally:
            flow.discard()

    def _recall(self, work: BatchWork, todo: Sequence[int], result: StageResult) -> Iterator[Advance]:
        """What is known without asking anybody, made by workers of this machine: others lack the stored replies."""
        batches = [todo[at : at + _RECALL_ROWS] for at in range(0, len(todo), _RECALL_ROWS)]
        tasks = (Task(work.stage, work.inputs.take(pa.array(batch)), self.tools) for batch in batches)
        executor = self.executor if isinstance(self.executor, LocalExecutor) else LocalExecutor(1)
        made = executor.map(run_recall, tasks, resources=work.stage.resources, stop=self.stop)
        for batch, recalled in zip(batches, made, strict=False):
            if not isinstance(recalled, WorkerDied):  # else `stream` does it all the same
                _add(result.account, dict(result.account), recalled.account)
                yield Advance([batch[at] for at in recalled.known], len(recalled.known), recalled.outcome)

    def _commit(self, ledger: Ledger, entries: Sequence[Entry], result: StageResult, proposals: Proposals) -> None:
        works = digest(sorted(entry.work for entry in entries))
        metadata = {"run_id": self.run_id, "stage": result.stage, "fingerprint": works}
        kept, rejected = ledger.commit(entries, metadata=metadata)
        result.rows += kept
        result.rejected += rejected
        result.changed = True
        if "prelabels" in ledger.tables:
            proposals.add(entries)
            result.counts, result.reason, result.failed = proposals.counts, proposals.reason, proposals.failed
        self._log("commit", stage=result.stage, inputs=len(entries), rows=kept, rejected=rejected, fingerprint=works)

    def _log(self, event: str, **about: Any) -> None:
        folder = self.folder.path
        with self.folder.errors():
            if not folder.is_dir():
                folder.mkdir(parents=True)
                (folder / "recipe.yaml").write_text(dump_recipe(self.loaded.recipe), encoding="utf-8")
            now = datetime.now(UTC).isoformat("T", "milliseconds")
            with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps({"at": now, "event": event, **about}, ensure_ascii=False) + "\n")

    def _record(self) -> None:
        if self.folder.path.is_dir():
            with self.folder.errors():
                text = json.dumps(self._as_dict(), indent=2, ensure_ascii=False)
                (self.folder.path / "run.json").write_text(text + "\n", encoding="utf-8")
                self.folder.save(["recipe.yaml", "log.jsonl", "run.json"])

    def _as_dict(self) -> dict[str, Any]:
        packages = ("av", "deltalake", "onnxruntime", "polars", "pyarrow")
        return {
            "run_id": self.run_id,
            "recipe": self.loaded.recipe.recipe,
            "recipe_file": self.loaded.path.name,
            "labels": {"name": self.loaded.labels.name, "sha256": self.loaded.labels.sha256},
            "stages": [asdict(result) for result in self.results],
            "ended": self.ended,
            "versions": {
                "curate": __version__,
                "python": platform.python_version(),
                **{name: version_of(name) for name in packages},
            },
        }


def _add(account: dict[str, UsageTotals], before: Mapping[str, UsageTotals], more: Mapping[str, UsageTotals]) -> None:
    """Make ``account`` what it was before and more."""
    account.update({name: before[name] + spent if name in before else spent for name, spent in more.items()})


def _entries(work: BatchWork, batch: Sequence[int], outcome: Outcome | WorkerDied) -> list[Entry]:
    """The outcome of a batch taken apart by input. Raises ``RuntimeError`` where the stage broke its contract."""
    ids = [work.ids[at] for at in batch]
    works = [work.works[at] for at in batch]
    if isinstance(outcome, WorkerDied):
        return [Entry(i, w, {}, [(i, "crashed", outcome.detail)]) for i, w in zip(ids, works, strict=True)]
    rows: dict[str, dict[str, list[Mapping[str, Any]]]] = {i: {} for i in ids}
    rejected: dict[str, list[tuple[str, str, str]]] = {i: [] for i in ids}
    for table in work.stage.writes:
        parent = parent_column(table)
        for row in outcome.rows.get(table, []):
            rows[row[parent]].setdefault(table, []).append(row)
    for rejection in outcome.rejections:
        rejected[rejection.parent_id].append((rejection.subject, rejection.reason, rejection.detail))
    entries = []
    for input_id, own_work in zip(ids, works, strict=True):
        kept = rows[input_id].get(work.stage.writes[0])
        if not kept and not any(subject == input_id for subject, *_ in rejected[input_id]):
            raise RuntimeError(f"stage {work.stage.stage} neither kept nor rejected {input_id}")
        entries.append(Entry(input_id, own_work, rows[input_id], rejected[input_id]))
    return entries
