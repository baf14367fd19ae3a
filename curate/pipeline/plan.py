"""What a run of a recipe would do, stage by stage."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa

from curate.corpus.view import Corpus
from curate.pipeline.listing import count_missing
from curate.pipeline.walk import ANSWERS, BatchWork, Step, make_tools, walk
from curate.recipe import LoadedRecipe
from curate.stages.capabilities import Discovered, Priced
from curate.stages.contract import DriverStage, Tools
from curate.storage.workspace import Workspace

_DEPENDS = "depends on the stages before it"


class StagePlan(NamedTuple):
    """What a stage would do. The counts are None if they depend on what an earlier stage has yet to make."""

    stage: str
    total: int | None
    done: int | None
    todo: int | None
    note: str = ""
    changes: bool = True
    """Whether the run would or might change something here."""


def plan(loaded: LoadedRecipe, workspace: Workspace) -> list[StagePlan]:
    """Return what a run would do, without doing it.

    Raises ``WorkspaceUnusable`` for the workspace of another recipe.
    """
    workspace.check_recipe(loaded.recipe.recipe)
    corpus = Corpus(workspace, loaded.labels, {})
    answers = workspace.local / ANSWERS
    tools = make_tools(loaded, workspace, answers=answers if answers.is_file() else None)
    plans: list[StagePlan] = []
    steps: list[Step] = []
    for step in walk(loaded, corpus, discovers=lambda _: True):
        steps.append(step)
        waiting = [earlier.stage for earlier in plans if earlier.changes and earlier.stage != step.stage.stage]
        plans.append(_plan_step(step, waiting, corpus, tools))
    noted = (_add_notes(entry, step.stage.notices(tools)) for entry, step in zip(plans, steps, strict=True))
    return _with_missing(list(noted), steps, workspace)


def _plan_step(step: Step, waiting: Sequence[str], corpus: Corpus, tools: Tools) -> StagePlan:
    """Return the plan of a stage after those whose names are ``waiting`` because they would change something."""
    stage, work = step
    name = stage.stage
    if work is None:
        if waiting or not isinstance(stage, DriverStage):
            return StagePlan(name, None, None, None, _DEPENDS)
        forecast = stage.foresee(corpus, tools)
        return StagePlan(name, None, None, None, forecast.message, forecast.changes)
    if waiting:
        return StagePlan(name, None, None, None, _waits_for(waiting[-1], work, corpus, tools))
    ledger = work.ledger(corpus)
    todo = [index for index, identity in enumerate(work.works) if not ledger.is_done(identity)]
    cost = _cost(work, todo, corpus, tools) if todo else ""
    return StagePlan(name, len(work.works), len(work.works) - len(todo), len(todo), cost, bool(todo))


def _with_missing(plans: Sequence[StagePlan], steps: Sequence[Step], workspace: Workspace) -> list[StagePlan]:
    """Return the plans with a note on the raw files that the last run found and this one would not."""
    noted = list(plans)
    for name in {step.stage.stage for step in steps if isinstance(step.stage, Discovered)}:
        indices = [index for index, step in enumerate(steps) if step.stage.stage == name]
        ids = [input_id for index in indices if (work := steps[index].work) for input_id in work.ids]
        if missing := count_missing(workspace, name, ids):
            verb = "input is" if missing == 1 else "inputs are"
            note = f"{missing:,} {verb} gone since the last run: what was made of them leaves the next release"
            noted[indices[-1]] = _add_notes(noted[indices[-1]], [note])._replace(changes=True)
    return noted


def _add_notes(entry: StagePlan, notes: Iterable[str]) -> StagePlan:
    return entry._replace(note="; ".join(filter(None, (entry.note, *notes))))


def _waits_for(before: str, work: BatchWork, corpus: Corpus, tools: Tools) -> str:
    """Return that a stage depends on others and, if it asks a paid service, how to learn the cost."""
    cost = _cost(work, [], corpus, tools)
    until = f"{cost}: to see the cost, `curate run RECIPE --until {before}`, then plan again"
    return f"{_DEPENDS}; {until}" if cost else _DEPENDS


def _cost(work: BatchWork, todo: list[int], corpus: Corpus, tools: Tools) -> str:
    if not isinstance(work.stage, Priced):
        return ""
    return work.stage.estimate(work.inputs.take(pa.array(todo, pa.int64())), corpus, tools)
