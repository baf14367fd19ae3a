"""Run a recipe: walk its stages, do what is missing, and keep a record."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Protocol

from curate.corpus.live import hash_works
from curate.corpus.schema_fit import refuse_misfits
from curate.corpus.stored import remove_unused_blobs
from curate.corpus.tombstones import Tombstones
from curate.corpus.view import Corpus
from curate.document import nearest
from curate.errors import CurateError, Interrupted, InvalidInput
from curate.executors import Executor, collecting_garbage_less
from curate.llm.money.account import UsageTotals
from curate.pipeline.commit import Commits
from curate.pipeline.drive import Means, drive
from curate.pipeline.record import Run, RunRecord, StageResult
from curate.pipeline.rejected import sum_up_rejections
from curate.pipeline.settled import Settled, SettledStage
from curate.pipeline.walk import ANSWERS, BatchWork, Step, make_tools, walk
from curate.recipe import LoadedRecipe
from curate.release.versions import Releases
from curate.stages.capabilities import Concluded
from curate.stages.contract import DriverStage, Stage, Tools
from curate.storage.workspace import Workspace

SAVE_EVERY_S = 60.0
_SAVE_SHARE = 20
"""Saving takes at most a twentieth of the time."""


class Listener(Protocol):
    """Follows the progress of a run."""

    def files_fetched(self, done: int, total: int, size_bytes: int) -> None: ...
    def stage_started(self, name: str, total: int, done: int) -> None: ...
    def stage_advanced(self, name: str, inputs: float, account: Mapping[str, UsageTotals]) -> None: ...
    def stage_finished(self, result: StageResult) -> None: ...


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

    Raises the error that ended the run early: ``Interrupted`` when ``stop()`` became true.
    """
    result = attempt(loaded, workspace, executor=executor, listener=listener, until=until, only=only, stop=stop)
    if result.error is not None:
        raise result.error
    return result


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
    """Do what is missing, and return what was done also if an error ended the run: it is in ``Run.error``.

    Raises only problems that show before anything is begun, such as ``WorkspaceBusy``.
    """
    names = [stage.stage for stage in loaded.recipe.stages]
    for option, name in (("--until", until), ("--only", only)):
        if name is not None and name not in names:
            raise InvalidInput(f"{option} {name}: the recipe has no such stage{nearest(name, names)}")
    with workspace.lock(), collecting_garbage_less():
        Tombstones.read(workspace).check_finished()
        workspace.check_recipe(loaded.recipe.recipe)
        refuse_misfits(workspace, loaded.labels)
        workspace.claim(loaded.recipe.recipe, loaded.path, loaded.raw)
        record = RunRecord(loaded, workspace)
        corpus = Corpus(workspace, loaded.labels, {})
        tools = make_tools(loaded, workspace, answers=workspace.local_file(ANSWERS), fetches=True)
        performer = _Performer(corpus, Means(executor, tools, stop), listener, record)
        ended = Run(loaded.recipe.recipe, record.run_id, record.results)
        try:
            try:
                _perform_stages(loaded, corpus, performer, until=until, only=only)
            except CurateError as error:
                record.ended = error.message
                raise
            finally:
                record.write()
        except CurateError as error:
            ended.error = error
        try:
            ended.report = record.write_report(corpus)
            ended.release = _newest_release(workspace, loaded.recipe.recipe)
        except CurateError as error:
            ended.error = ended.error or error
        return ended


def _perform_stages(
    loaded: LoadedRecipe, corpus: Corpus, performer: "_Performer", *, until: str | None, only: str | None
) -> None:
    stages = loaded.recipe.stages
    names = [stage.stage for stage in stages]
    last = len(names) - 1 if until is None else max(i for i, name in enumerate(names) if name == until)
    settled = Settled(stages, corpus, performer.tools)
    settled_stages = settled.read() if only is None else {}
    steps = walk(
        loaded,
        corpus,
        discovers=lambda name: only in (None, name),
        stores=True,
        stop=performer.stop,
        fetching=performer.files_fetched,
        settled=settled_stages,
    )
    for index, step in enumerate(steps):
        if only in (None, step.stage.stage):
            done = performer.perform(step)
            if done is not None and only is None and not settled_stages:
                settled.add(index, done)
        if index == last:
            break
        del step  # with its inputs, before those of the next stage are read


def _newest_release(workspace: Workspace, recipe: str) -> str | None:
    releases = Releases(workspace.releases)
    manifests = releases.manifests(recipe)
    return releases.location(manifests[-1].version) if manifests else None


class _Performer:
    """Performs the stages of one run."""

    def __init__(self, corpus: Corpus, means: Means, listener: Listener, record: RunRecord) -> None:
        self._corpus, self._means, self._listener, self._record = corpus, means, listener, record
        self._save_at = time.monotonic() + SAVE_EVERY_S

    @property
    def tools(self) -> Tools:
        """What stages work with."""
        return self._means.tools

    @property
    def stop(self) -> Callable[[], bool]:
        """Becomes true when the user stops the run."""
        return self._means.stop

    @property
    def files_fetched(self) -> Callable[[int, int, int], None]:
        """Follows what listings fetch from elsewhere."""
        return self._listener.files_fetched

    def perform(self, step: Step) -> SettledStage | None:
        """Do what a stage has to do, and return what to note of a batch stage with nothing left to do.

        Raises ``Interrupted`` if the run was stopped meanwhile.
        """
        result = StageResult(step.stage.stage)
        began, is_whole = time.monotonic(), False
        settled: SettledStage | None = None
        try:
            if step.settled is not None:
                self._skip(step.stage, step.settled, result)
            elif step.work is not None:
                settled = self._run_batches(step.work, result)
            elif isinstance(step.stage, DriverStage):
                self._run_once(step.stage, result)
            is_whole = True
        finally:
            result.seconds = round(time.monotonic() - began, 3)
            self._record.results.append(result)
            if result.changed or any(spent.requests or spent.tokens_in for spent in result.account.values()):
                self._record.log("stage", **asdict(result))
                self._corpus.workspace.save_local_files()
            if is_whole or result.left:
                self._listener.stage_finished(result)
        if self._means.stop():
            raise Interrupted("stopped; what is finished is kept", hint="run the same command again to go on")
        return settled

    def _skip(self, stage: Stage, settled: SettledStage, result: StageResult) -> None:
        result.message = "; ".join(stage.notices(self.tools))
        result.inputs = result.skipped = settled.inputs
        result.rejected_in_all, result.rejection = settled.rejected, settled.rejection
        result.repeats, result.forgotten, result.unused_parts = settled.repeats, settled.forgotten, settled.unused_parts
        self._listener.stage_started(stage.stage, result.inputs, result.skipped)

    def _run_once(self, stage: DriverStage, result: StageResult) -> None:
        self._listener.stage_started(stage.stage, 0, 0)
        # Workers started for the stages before would only take up memory.
        self._means.executor.close()
        receipt = stage.perform(self._corpus, self._means.tools._replace(stop=self.stop))
        result.changed, result.message, result.counts = receipt.changed, receipt.message, dict(receipt.counts)

    def _run_batches(self, work: BatchWork, result: StageResult) -> SettledStage | None:
        stage, ledger, corpus = work.stage, work.ledger(self._corpus), self._corpus
        result.message = "; ".join(stage.notices(self.tools))
        todo, dropped = ledger.progress(work.works)
        result.inputs, result.skipped, result.left = len(work.works), len(work.works) - len(todo), len(todo)
        self._listener.stage_started(stage.stage, result.inputs, result.skipped)
        commits = Commits(work, ledger, corpus.labels, result, self._record)
        if todo:
            try:
                with closing(drive(work, todo, corpus, self._means, result)) as advances:
                    for advance in advances:
                        if advance.outcome is not None:
                            commits.add(advance.batch, advance.outcome)
                        self._listener.stage_advanced(stage.stage, advance.inputs, result.account)
                        commits.commit_if_due()
                        self._save_if_due()
            finally:
                commits.commit()
            with corpus.workspace.folder.errors():
                ledger.compact()
            remove_unused_blobs(corpus.workspace, commits.forgotten_blobs)
        if isinstance(stage, Concluded):
            result.changed |= stage.conclude(corpus, self.tools)
        result.rejected_in_all = dropped + result.rejected
        rejected = sum_up_rejections(corpus, stage.stage, work.works)
        result.repeats, result.forgotten, result.rejection, result.unused_parts = rejected
        if result.left or commits.retried:
            return None
        summary = (result.inputs, result.rejected_in_all, *rejected)
        return SettledStage(*summary, hash_works(work.works))

    def _save_if_due(self) -> None:
        """Now and then save what would be lost with this machine: model replies and what they cost."""
        began = time.monotonic()
        if began >= self._save_at:
            self._corpus.workspace.save_local_files()
            ended = time.monotonic()
            self._save_at = ended + max(SAVE_EVERY_S, _SAVE_SHARE * (ended - began))
