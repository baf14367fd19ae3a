"""Judgements of people put into a workspace without a server."""

from collections.abc import Iterable
from pathlib import Path

from curate.corpus.judgements import Judgement
from curate.pipeline import open_corpus
from curate.recipe import LoadedRecipe, load_recipe
from curate.storage.workspace import Workspace
from tests.support.builders import make_posts
from tests.support.runs import run_quietly


def make_posts_workspace(folder: Path, count: int, *, until: str = "prelabel") -> tuple[LoadedRecipe, Workspace]:
    """A workspace with so many posts that the offline labeller has labelled, and its recipe."""
    recipe = make_posts(folder, count)
    run_quietly(recipe, folder / "ws", until=until)
    return load_recipe(recipe), Workspace(folder / "ws")


def item_ids(loaded: LoadedRecipe, workspace: Workspace) -> list[str]:
    return open_corpus(loaded, workspace).read("items", ["item_id"])["item_id"].to_pylist()


def judge(loaded: LoadedRecipe, workspace: Workspace, judgements: Iterable[Judgement]) -> None:
    """Store judgements as an import would."""
    corpus = open_corpus(loaded, workspace)
    corpus.append("annotations", [judgement.to_row(loaded.labels) for judgement in judgements], metadata={})
