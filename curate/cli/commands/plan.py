"""``curate plan``: what a run would do."""

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from curate.cli.options import WORKSPACE, Json, RawFolders, RecipeFile, Settings, Workspace, raw_folders


def plan_command(
    recipe: RecipeFile,
    workspace: Workspace = WORKSPACE,
    settings: Settings = None,
    raw: RawFolders = None,
    json: Json = False,
) -> None:
    """Show what a run would do: how many rows each stage has, what is done, what is left."""
    from curate.cli.output import say, show_json, show_table
    from curate.pipeline import plan
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe, settings or (), raw=raw_folders(raw, recipe, workspace))
    with _existing_or_empty(workspace) as root:
        plans = plan(loaded, Opened(root))
    if json:
        show_json({"recipe": loaded.recipe.recipe, "stages": [stage._asdict() for stage in plans]})
        return
    show_table(["stage", "inputs", "done", "to do", ""], [stage[:5] for stage in plans])
    if not any(stage.changes for stage in plans):
        say("Nothing to do: every row is up to date.")


@contextmanager
def _existing_or_empty(workspace: str) -> Iterator[str]:
    """Yield the workspace, or an empty one for the moment: planning creates none."""
    from curate.storage.workspace import Workspace as Opened

    if Opened.exists(workspace):
        yield workspace
        return
    with TemporaryDirectory(prefix="curate-plan-") as folder:
        yield folder
