"""Several prelabel stages in a recipe: each has a budget of its own, which other stages do not move."""

from pathlib import Path

import pytest

from curate.errors import Interrupted
from curate.pipeline import plan
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.support.asking import always_good, rows
from tests.support.builders import make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.posts import Posts
from tests.support.runs import run_quietly

MINI = {"model": "openai/gpt-5-mini", "max_tokens": 200}
LARGE = {"model": "openai/gpt-5", "name": "large", "max_tokens": 200}
AGAIN = {**MINI, "temperature": 0.5}


def stage(*labellers, **settings):
    return {"stage": "prelabel", "labellers": list(labellers), **settings}


class Recipe:
    """A recipe over six posts, with the prelabel stages that each call names."""

    def __init__(self, corpus: Posts) -> None:
        self.folder = corpus.folder
        self.workspace = Workspace(corpus.folder / "ws")

    def write(self, *stages) -> Path:
        ingest = {"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"}
        return make_recipe(self.folder, ingest, {"stage": "preprocess"}, *stages)

    def run(self, *stages):
        return run_quietly(self.write(*stages), self.workspace.local)

    def budgets(self, *stages) -> list[str]:
        """What the plan says of the budget of each prelabel stage that has something to do."""
        plans = plan(load_recipe(self.write(*stages)), self.workspace)
        return [entry.note.rpartition("; ")[2] for entry in plans if entry.stage == "prelabel" and entry.todo]

    def spent(self) -> dict[str, float]:
        """US dollars by account."""
        totals: dict[str, float] = {}
        for row in rows(self.workspace.local, "spend"):
            totals[row["pot"]] = totals.get(row["pot"], 0.0) + (row["usd"] or 0.0)
        return totals


@pytest.fixture
def recipe(corpus: Posts, double: ChatDouble) -> Recipe:
    always_good(double)
    return Recipe(corpus)


@pytest.mark.parametrize("second", [LARGE, AGAIN], ids=["another model", "the same model"])
def test_each_stage_spends_its_own_budget(recipe: Recipe, second) -> None:
    recipe.run(stage(MINI, budget={"usd": 1.0}), stage(second))
    spent = recipe.spent()
    assert sorted(spent) == ["prelabel", "prelabel-2"]
    # What the first has spent is more than the second may, whose own spending fits.
    tight = spent["prelabel-2"] * 1.5
    later = {**second, "seed": 1}
    told = recipe.budgets(stage(MINI, budget={"usd": 1.0}), stage(later, budget={"usd": tight}))
    assert told == [f"the budget has {tight / 3:.4f} of {tight:g} USD left: the run will stop early"]
    with pytest.raises(Interrupted, match="the budget is spent"):
        recipe.run(stage(MINI, budget={"usd": 1.0}), stage(later, budget={"usd": tight}))
    assert recipe.spent()["prelabel"] == pytest.approx(spent["prelabel"])
    assert recipe.spent()["prelabel-2"] <= tight


def test_the_money_of_a_stage_stays_with_it_when_others_come_and_go(recipe: Recipe) -> None:
    recipe.run(stage(MINI))
    first = recipe.spent()
    assert list(first) == ["prelabel"]
    # Another stage before it, with a budget below what the first has spent.
    recipe.run(stage(LARGE), stage(MINI))
    both = recipe.spent()
    assert both["prelabel"] == first["prelabel"]
    usd = 2 * both["prelabel-2"]
    (told,) = recipe.budgets(stage({**LARGE, "seed": 1}, budget={"usd": usd}), stage(MINI))
    assert told.startswith(f"the budget has {usd / 2:.4f} of {usd:g} USD left")
    # The first one is gone: what it spent is not the other's.
    (told,) = recipe.budgets(stage({**LARGE, "seed": 1}, budget={"usd": usd}))
    assert told.startswith(f"the budget has {usd / 2:.4f} of {usd:g} USD left")


def test_a_stage_whose_model_is_replaced_keeps_its_account(recipe: Recipe) -> None:
    recipe.run(stage(MINI))
    spent = recipe.spent()["prelabel"]
    (told,) = recipe.budgets(stage(LARGE, budget={"usd": 10 * spent}))
    assert f"the budget has {9 * spent:.4f} of" in told
