"""What a run of a recipe would do, stage by stage."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.schema_fit import refuse_misfits
from curate.corpus.set_aside import set_aside
from curate.corpus.spec import parent_column
from curate.corpus.view import Corpus
from curate.pipeline.listing import read_listing
from curate.pipeline.settled import Settled
from curate.pipeline.walk import ANSWERS, BatchWork, Step, make_tools, walk
from curate.recipe import LoadedRecipe
from curate.sentences import count_of, verb_of
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

    Raises ``WorkspaceUnusable`` for the workspace of another recipe, and ``InvalidInput`` for stored judgements that do
    not fit the label schema.
    """
    workspace.check_recipe(loaded.recipe.recipe)
    refuse_misfits(workspace, loaded.labels)
    corpus = Corpus(workspace, loaded.labels, {})
    answers = workspace.local / ANSWERS
    tools = make_tools(loaded, workspace, answers=answers if answers.is_file() else None)
    plans: list[StagePlan] = []
    steps: list[Step] = []
    settled = Settled(loaded.recipe.stages, corpus, tools).read()
    for step in walk(loaded, corpus, discovers=lambda _: True, settled=settled):
        steps.append(step)
        waiting = [earlier.stage for earlier in plans if earlier.changes and earlier.stage != step.stage.stage]
        plans.append(_plan_step(step, waiting, corpus, tools))
    noted = (_add_notes(entry, step.stage.notices(tools)) for entry, step in zip(plans, steps, strict=True))
    return _with_set_aside(_with_missing(list(noted), steps, corpus), corpus)


def _plan_step(step: Step, waiting: Sequence[str], corpus: Corpus, tools: Tools) -> StagePlan:
    """Return the plan of a stage after those whose names are ``waiting`` because they would change something."""
    stage, work, settled = step
    name = stage.stage
    if settled is not None:
        return StagePlan(name, settled.inputs, settled.inputs, 0, "", False)
    if work is None:
        if waiting or not isinstance(stage, DriverStage):
            return StagePlan(name, None, None, None, _DEPENDS)
        forecast = stage.foresee(corpus, tools)
        return StagePlan(name, None, None, None, forecast.message, forecast.changes)
    if waiting:
        return StagePlan(name, None, None, None, _waits_for(waiting[-1], work, corpus, tools))
    todo, total = work.ledger(corpus).progress(work.works).todo, len(work.works)
    cost = _cost(work, todo, corpus, tools) if todo else ""
    unlisted = list(stage.unlisted(tools)) if isinstance(stage, Discovered) else []
    note = "; ".join(filter(None, (cost, *unlisted)))
    return StagePlan(name, total, total - len(todo), len(todo), note, bool(todo or unlisted))


def _with_missing(plans: Sequence[StagePlan], steps: Sequence[Step], corpus: Corpus) -> list[StagePlan]:
    """Return the plans with a note on the raw files that the last run found and this one would not."""
    noted = list(plans)
    for name in {step.stage.stage for step in steps if isinstance(step.stage, Discovered)}:
        works = {index: step.work for index, step in enumerate(steps) if step.stage.stage == name and step.work}
        if works and (missing := _count_missing(list(works.values()), corpus)):
            gone = f"{count_of(missing, 'input')} {verb_of(missing, 'is', 'are')} gone since the last run"
            note = f"{gone}: what was made of {verb_of(missing, 'it', 'them')} leaves the next release"
            noted[max(works)] = _add_notes(noted[max(works)], [note])._replace(changes=True)
    return noted


def _with_set_aside(plans: Sequence[StagePlan], corpus: Corpus) -> list[StagePlan]:
    """Return the plans with a note, at the stage that would use them, on judgements that may be set aside."""
    forecast = set_aside(corpus).forecast()
    index = next((i for i, entry in enumerate(plans) if entry.stage == "aggregate"), len(plans) - 1)
    return [_add_notes(entry, [forecast] if i == index else []) for i, entry in enumerate(plans)]


def _count_missing(works: Sequence[BatchWork], corpus: Corpus) -> int:
    """Return how many inputs of the last run, of which rows were stored, are not among those of ``works``."""
    table = works[0].stage.writes[0]
    parent = parent_column(table)
    listed = [chunk for identities in read_listing(corpus.workspace).values() for chunk in identities.chunks]
    rows = corpus.table(table).read([parent, "work"])
    rows = rows.filter(pc.is_in(rows["work"], value_set=pa.chunked_array(listed, pa.string())))
    present = pa.chunked_array([chunk for work in works for chunk in work.ids.chunks], pa.string())
    return len(rows.filter(pc.invert(pc.is_in(rows[parent], value_set=present)))[parent].unique())


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
