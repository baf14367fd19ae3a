"""What a recipe asks for today: the work of every stage by identity, and how much of it is done."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from curate.corpus.ledger import Ledger
from curate.corpus.view import Corpus
from curate.files import digest
from curate.recipe import LoadedRecipe
from curate.stages.contract import BatchStage, Stage, Tools
from curate.stages.export import Export
from curate.storage.workspace import Workspace

ANSWERS = "answers.sqlite"
"""The workspace's file of what models replied."""


class StagePlan(NamedTuple):
    """What a stage would do. ``todo`` is None where that depends on what an earlier stage has yet to make."""

    stage: str
    total: int | None
    done: int | None
    todo: int | None
    note: str = ""


def make_tools(loaded: LoadedRecipe, workspace: Workspace, *, answers: Path | None = None) -> Tools:
    """What the stages of a recipe work with; ``answers`` is for who holds the workspace's lock."""
    recipe = loaded.recipe
    split = next((stage.split_settings(recipe.seed) for stage in recipe.stages if isinstance(stage, Export)), None)
    return Tools(workspace.blobs, loaded.labels, loaded.folder, recipe.seed, recipe.recipe, answers, split)


def open_corpus(loaded: LoadedRecipe, workspace: Workspace) -> Corpus:
    """The rows that the recipe, as it stands now, has made so far."""
    corpus = Corpus(workspace, loaded.labels, {})
    for _ in walk(loaded, corpus):
        pass
    return corpus


def plan(loaded: LoadedRecipe, workspace: Workspace) -> list[StagePlan]:
    """What a run would do, stage by stage, without doing it."""
    corpus = Corpus(workspace, loaded.labels, {})
    known = workspace.local / ANSWERS
    tools = make_tools(loaded, workspace, answers=known if known.is_file() else None)
    plans: list[StagePlan] = []
    waiting: list[str] = []
    for step in walk(loaded, corpus):
        if step.batch is None:
            plans.append(StagePlan(step.stage.stage, None, None, None, "runs once, on the driver"))
        elif before := [name for name in waiting if name != step.stage.stage]:
            plans.append(StagePlan(step.stage.stage, None, None, None, _until(before[-1], step.batch, corpus, tools)))
            waiting.append(step.stage.stage)
        else:
            ledger = step.batch.ledger(corpus)
            missing = [at for at, work in enumerate(step.batch.works) if not ledger.is_done(work)]
            total, todo = len(step.batch.works), len(missing)
            waiting += [step.stage.stage] if todo else []
            cost = step.batch.stage.estimate(step.batch.inputs.take(missing), corpus, tools) if missing else ""
            plans.append(StagePlan(step.stage.stage, total, total - todo, todo, cost))
    return plans


def _until(before: str, batch: "BatchWork", corpus: Corpus, tools: Tools) -> str:
    """That a stage waits for another and, where it is to cost something, how to learn how much."""
    told = "depends on the stages before it"
    if not (asks := batch.stage.estimate(batch.inputs.slice(0, 0), corpus, tools)):
        return told
    return f"{told}; {asks}: to see the cost, `curate run RECIPE --until {before}`, then plan again"


class Step(NamedTuple):
    """A stage; for a batch stage also its inputs and the identity of the work on each."""

    stage: Stage
    batch: "BatchWork | None"


class BatchWork(NamedTuple):
    """The inputs of a batch stage in order, with the id of each and the identity of the work on it."""

    stage: BatchStage
    inputs: pa.Table
    ids: list[str]
    works: list[str]

    def ledger(self, corpus: Corpus) -> Ledger:
        """Which of the work is done."""
        live = corpus.live[self.stage.writes[0]]
        stage = self.stage
        return Ledger(
            corpus.workspace, corpus.labels, stage=stage.stage, writes=stage.writes, live=live, retried=stage.retried
        )


def walk(loaded: LoadedRecipe, corpus: Corpus) -> Iterator[Step]:
    """The stages in order. Whoever asks for the next one has done what there was to do for the last."""
    tools = make_tools(loaded, corpus.workspace)
    known: dict[int, BatchWork] = {}
    for index, stage in enumerate(loaded.recipe.stages):
        if not isinstance(stage, BatchStage):
            yield Step(stage, None)
            continue
        if index not in known:
            # Stages of one kind share their tables: none may take another's rows for left-overs.
            current = corpus.read(stage.reads) if stage.reads in corpus.live else pa.table({})
            for other, sibling in enumerate(loaded.recipe.stages):
                if isinstance(sibling, BatchStage) and sibling.stage == stage.stage:
                    inputs = sibling.inputs(current, tools)
                    ids = inputs.column(0).to_pylist()
                    known[other] = BatchWork(sibling, inputs, ids, _works(sibling, inputs, tools))
            live = frozenset(w for work in known.values() if work.stage.stage == stage.stage for w in work.works)
            corpus.live.update(dict.fromkeys(stage.writes, live))
        yield Step(stage, known[index])


def _works(stage: BatchStage, inputs: pa.Table, tools: Tools) -> list[str]:
    identity = f"{stage.stage}:{stage.identity(tools)}"
    used = stage.columns_used()
    names = used if used is not None else [name for name in inputs.column_names if name != "work"]
    return [digest([identity, row]) for row in inputs.select(list(names)).to_pylist()]
