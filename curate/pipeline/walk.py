"""What a recipe asks for today: the work of every stage by identity."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pyarrow as pa

from curate.corpus.fetched import FETCHED
from curate.corpus.identity import row_works
from curate.corpus.ledger import Ledger
from curate.corpus.live import LiveWork
from curate.corpus.spec import parent_column
from curate.corpus.view import Corpus
from curate.memory import release_memory
from curate.pipeline.listing import read_listing, store_listing
from curate.pipeline.parents import derived_keys, open_parent
from curate.pipeline.settled import SettledStage
from curate.recipe import LoadedRecipe
from curate.stages.capabilities import Discovered, Enriched
from curate.stages.contract import BatchStage, Stage, Tools
from curate.storage.spool import spool_table
from curate.storage.workspace import Workspace

ANSWERS = "answers.sqlite"
"""The workspace's file of model replies."""


class BatchWork(NamedTuple):
    """The inputs of a batch stage in order, with the id of each and the identity of the work on it."""

    stage: BatchStage
    inputs: pa.Table
    ids: pa.ChunkedArray
    works: pa.ChunkedArray

    def ledger(self, corpus: Corpus) -> Ledger:
        """Return the record of which work is done."""
        stage = self.stage
        live = corpus.live[stage.writes[0]]
        return Ledger(
            corpus.workspace, corpus.labels, stage=stage.stage, writes=stage.writes, live=live, retried=stage.retried
        )


class Step(NamedTuple):
    """A stage and its work; None for a driver stage, if all is done, and if the stage was not to look for inputs."""

    stage: Stage
    work: BatchWork | None
    settled: SettledStage | None = None


def make_tools(
    loaded: LoadedRecipe, workspace: Workspace, *, answers: Path | None = None, fetches: bool = False
) -> Tools:
    """Return what the stages of a recipe work with; ``answers`` and ``fetches`` are for the holder of the lock."""
    recipe = loaded.recipe
    raw = tuple(dict.fromkeys((*loaded.raw, *workspace.raw_folders(loaded.path))))
    return Tools(
        workspace.blobs,
        loaded.labels,
        loaded.folder,
        recipe.seed,
        recipe.recipe,
        answers,
        recipe.stages,
        credits=recipe.credits,
        today=datetime.now(UTC).date(),
        raw_folders=raw,
        fetched=workspace.local_file(FETCHED) if fetches else workspace.local / FETCHED,
        fetches=fetches,
        private_links=loaded.private_links,
        parent=partial(open_parent, open_corpus),
        derived=partial(derived_keys, workspace.location),
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
    loaded: LoadedRecipe,
    corpus: Corpus,
    *,
    discovers: Callable[[str], bool] = lambda _: False,
    stores: bool = False,
    stop: Callable[[], bool] | None = None,
    fetching: Callable[[int, int, int], None] | None = None,
    settled: Mapping[int, SettledStage] = MappingProxyType({}),
) -> Iterator[Step]:
    """Yield the stages in order. Finish a stage before asking for the next: its rows decide the next inputs.

    Stages for whose name ``discovers`` is true look for their inputs outside the workspace; for others, the listing of
    the last run counts. With ``stores``, that listing is replaced and other machines may be asked; the caller holds the
    workspace's lock. Stages in ``settled`` (by index) look for nothing. When ``stop()`` becomes true, what asks other
    machines raises ``Interrupted``; ``fetching`` follows what it fetches (see ``Tools``).
    """
    tools = make_tools(loaded, corpus.workspace, fetches=stores)._replace(stop=stop, fetching=fetching)
    stages = loaded.recipe.stages
    works: dict[int, BatchWork] = {}
    begun: set[str] = set()
    for index, stage in enumerate(stages):
        if isinstance(stage, BatchStage) and stage.stage not in begun:
            begun.add(stage.stage)
            # Stages of one name share their tables: none may take another's rows for leftovers.
            siblings = {i: s for i, s in enumerate(stages) if isinstance(s, BatchStage) and s.stage == stage.stage}
            identities = {i: sibling.identity(tools) for i, sibling in siblings.items()}
            is_listed = isinstance(stage, Discovered) and not discovers(stage.stage)
            if index in settled:
                find = partial(_find_all, siblings, identities, corpus, tools)
                live = LiveWork(find, [settled[i].work_hash for i in siblings])
            else:
                listed = read_listing(corpus.workspace) if is_listed else {}
                new = {
                    i: find_work(s, identities[i], corpus, tools)
                    for i, s in siblings.items()
                    if identities[i] not in listed
                }
                identities_now = [new[i].works if i in new else listed[identities[i]] for i in siblings]
                live = LiveWork(partial(list, identities_now))
                if stores and isinstance(stage, Discovered) and not is_listed:
                    store_listing(corpus.workspace, stage.stage, {identities[i]: work.works for i, work in new.items()})
                works.update(new)
                del new, identities_now
            corpus.live.update(dict.fromkeys(stage.writes, live))
        yield Step(stage, works.pop(index, None), settled.get(index))


def find_work(stage: BatchStage, identity: str, corpus: Corpus, tools: Tools) -> BatchWork:
    """Return the work of a stage with this identity on what there is now."""
    if isinstance(stage, Discovered):
        inputs = spool_table(stage.discover(tools), corpus.workspace.local)
    elif stage.reads in corpus.live:
        columns = stage.columns_read(corpus.table(stage.reads).spec.schema.names)
        inputs = stage.inputs(corpus.read(stage.reads, columns), tools)
    else:
        raise ValueError(f"stage {stage.stage} reads {stage.reads}, which no stage before it writes")
    if isinstance(stage, Enriched):
        inputs = stage.enrich(inputs, corpus, tools)
    used = stage.columns_used()
    names = list(used) if used is not None else [name for name in inputs.column_names if name != "work"]
    works = row_works(f"{stage.stage}:{identity}", inputs.select(names))
    works = spool_table(pa.table({"work": works}), corpus.workspace.local)["work"]
    release_memory()
    return BatchWork(stage, inputs, inputs[parent_column(stage.writes[0])], works)


def _find_all(
    stages: Mapping[int, BatchStage], identities: Mapping[int, str], corpus: Corpus, tools: Tools
) -> list[pa.ChunkedArray]:
    return [find_work(stage, identities[index], corpus, tools).works for index, stage in stages.items()]
