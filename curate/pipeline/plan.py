"""What a run of a recipe would do, stage by stage."""

from typing import NamedTuple

import pyarrow as pa

from curate.corpus.view import Corpus
from curate.pipeline.settled import Settled
from curate.pipeline.walk import ANSWERS, BatchWork, make_tools, walk
from curate.recipe import LoadedRecipe
from curate.stages.capabilities import Priced
from curate.stages.contract import Tools
from curate.storage.workspace import Workspace


class StagePlan(NamedTuple):
    """What a stage would do. The counts are None if they depend on what an earlier stage has yet to make."""

    stage: str
    total: int | None
    done: int | None
    todo: int | None
    note: str = ""


def plan(loaded: LoadedRecipe, workspace: Workspace) -> list[StagePlan]:
    """Return what a run would do, without doing it."""
    corpus = Corpus(workspace, loaded.labels, {})
    answers = workspace.local / ANSWERS
    tools = make_tools(loaded, workspace, answers=answers if answers.is_file() else None)
    plans: list[StagePlan] = []
    waiting: list[str] = []
    settled = Settled(loaded.recipe.stages, corpus, tools).read()
    for stage, work, done in walk(loaded, corpus, discovers=lambda _: True, settled=settled):
        name = stage.stage
        if done is not None:
            plans.append(StagePlan(name, done.inputs, done.inputs, 0))
        elif work is None:
            plans.append(StagePlan(name, None, None, None, "runs once, on the driver"))
        elif before := [unfinished for unfinished in waiting if unfinished != name]:
            plans.append(StagePlan(name, None, None, None, _waits_for(before[-1], work, corpus, tools)))
            waiting.append(name)
        else:
            todo, total = work.ledger(corpus).progress(work.works).todo, len(work.works)
            waiting += [name] if todo else []
            cost = _cost(work, todo, corpus, tools) if todo else ""
            plans.append(StagePlan(name, total, total - len(todo), len(todo), cost))
    return plans


def _waits_for(before: str, work: BatchWork, corpus: Corpus, tools: Tools) -> str:
    """Return that a stage depends on others and, if it asks a paid service, how to learn the cost."""
    note = "depends on the stages before it"
    cost = _cost(work, [], corpus, tools)
    return f"{note}; {cost}: to see the cost, `curate run RECIPE --until {before}`, then plan again" if cost else note


def _cost(work: BatchWork, todo: list[int], corpus: Corpus, tools: Tools) -> str:
    if not isinstance(work.stage, Priced):
        return ""
    return work.stage.estimate(work.inputs.take(pa.array(todo, pa.int64())), corpus, tools)
