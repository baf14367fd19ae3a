"""What a recipe asks for today: the work of every stage by identity."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from curate.corpus.ledger import Ledger
from curate.corpus.spec import parent_column
from curate.corpus.view import Corpus
from curate.files import digest
from curate.pipeline.listing import Listing, read_listing, store_listing
from curate.recipe import LoadedRecipe
from curate.stages.capabilities import Discovered, Dividing
from curate.stages.contract import BatchStage, Stage, Tools
from curate.storage.workspace import Workspace

ANSWERS = "answers.sqlite"
"""The workspace's file of model replies."""


class BatchWork(NamedTuple):
    """The inputs of a batch stage in order, with the id of each and the identity of the work on it."""

    stage: BatchStage
    inputs: pa.Table
    ids: list[str]
    works: list[str]

    def ledger(self, corpus: Corpus) -> Ledger:
        """Return the record of which work is done."""
        stage = self.stage
        live = corpus.live[stage.writes[0]]
        return Ledger(
            corpus.workspace, corpus.labels, stage=stage.stage, writes=stage.writes, live=live, retried=stage.retried
        )


class Step(NamedTuple):
    """A stage and its work; None for a driver stage, and if the stage was not to look for inputs."""

    stage: Stage
    work: BatchWork | None


def make_tools(loaded: LoadedRecipe, workspace: Workspace, *, answers: Path | None = None) -> Tools:
    """Return what the stages of a recipe work with; ``answers`` is for the holder of the workspace's lock."""
    recipe = loaded.recipe
    split = next((stage.split_settings(recipe.seed) for stage in recipe.stages if isinstance(stage, Dividing)), None)
    raw = tuple(dict.fromkeys((*loaded.raw, *workspace.raw_folders(loaded.path))))
    return Tools(
        workspace.blobs, loaded.labels, loaded.folder, recipe.seed, recipe.recipe, answers, split, recipe.stages, raw
    )


def open_corpus(loaded: LoadedRecipe, workspace: Workspace) -> Corpus:
    """Return the rows that the recipe in its present form has made so far. Needs no raw files after the first run.

    Raises ``WorkspaceUnusable`` for the workspace of another recipe.
    """
    workspace.check_recipe(loaded.recipe.recipe)
    corpus = Corpus(workspace, loaded.labels, {})
    for _ in walk(loaded, corpus):
        pass
    return corpus


def walk(
    loaded: LoadedRecipe, corpus: Corpus, *, discovers: Callable[[str], bool] = lambda _: False, stores: bool = False
) -> Iterator[Step]:
    """Yield the stages in order. Finish a stage before asking for the next: its rows decide the next inputs.

    Stages for whose name ``discovers`` is true look for their inputs outside the workspace; for others, the listing of
    the last run counts. With ``stores``, that listing is replaced; the caller holds the workspace's lock.
    """
    tools, stages = make_tools(loaded, corpus.workspace), loaded.recipe.stages
    works: dict[int, BatchWork | None] = {}
    for index, stage in enumerate(stages):
        if isinstance(stage, BatchStage) and index not in works:
            # Stages of one name share their tables: none may take another's rows for leftovers.
            siblings = {i: s for i, s in enumerate(stages) if isinstance(s, BatchStage) and s.stage == stage.stage}
            is_listed = isinstance(stage, Discovered) and not discovers(stage.stage)
            listed = read_listing(corpus.workspace) if is_listed else {}
            identities = {i: sibling.identity(tools) for i, sibling in siblings.items()}
            live: set[str] = set()
            for i, sibling in siblings.items():
                work = None if identities[i] in listed else _find_work(sibling, identities[i], corpus, tools)
                works[i] = work
                live.update(listed[identities[i]] if work is None else work.works)
            if stores and isinstance(stage, Discovered) and not is_listed:
                new = {identities[i]: work for i in siblings if (work := works[i])}
                listings = [Listing(stage.stage, identity, work.ids, work.works) for identity, work in new.items()]
                store_listing(corpus.workspace, stage.stage, listings)
            corpus.live.update(dict.fromkeys(stage.writes, frozenset(live)))
        yield Step(stage, works.get(index))


def _find_work(stage: BatchStage, identity: str, corpus: Corpus, tools: Tools) -> BatchWork:
    if isinstance(stage, Discovered):
        inputs = stage.discover(tools)
    elif stage.reads in corpus.live:
        inputs = stage.inputs(corpus.read(stage.reads), tools)
    else:
        raise ValueError(f"stage {stage.stage} reads {stage.reads}, which no stage before it writes")
    used = stage.columns_used()
    columns = used if used is not None else [name for name in inputs.column_names if name != "work"]
    works = [digest([f"{stage.stage}:{identity}", row]) for row in inputs.select(list(columns)).to_pylist()]
    return BatchWork(stage, inputs, inputs[parent_column(stage.writes[0])].to_pylist(), works)
