"""``curate plan``: what a run would do."""

from curate.cli.options import WORKSPACE, Json, RawFolders, RecipeFile, Settings, Workspace


def plan_command(
    recipe: RecipeFile,
    workspace: Workspace = WORKSPACE,
    settings: Settings = None,
    raw: RawFolders = None,
    json: Json = False,
) -> None:
    """Show what a run would do: how many rows each stage has, what is done, what is left."""
    from curate.cli.output import say, show_json, show_table
    from curate.notebook.runs import load, plan_loaded

    loaded = load(recipe, workspace, settings=settings or (), raw=raw or ())
    plans = plan_loaded(loaded, workspace)
    if json:
        show_json({"recipe": loaded.recipe.recipe, "stages": [stage._asdict() for stage in plans]})
        return
    show_table(["stage", "inputs", "done", "to do", ""], [stage[:5] for stage in plans])
    if not any(stage.changes for stage in plans):
        say("Nothing to do: every row is up to date.")
