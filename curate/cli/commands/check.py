"""``curate check``: every problem of a recipe."""

from curate.cli.options import WORKSPACE, Json, RawFolders, RecipeFile, Settings, Workspace


def check_command(
    recipe: RecipeFile,
    workspace: Workspace = WORKSPACE,
    settings: Settings = None,
    raw: RawFolders = None,
    json: Json = False,
) -> None:
    """Check a recipe, its label schema, its first raw files, and whether stored judgements fit; list every problem."""
    from curate.cli.output import say, show_json
    from curate.notebook.runs import check_stored, load
    from curate.pipeline.first_files import check_first_files
    from curate.pipeline.notices import list_notices

    loaded = load(recipe, workspace, settings=settings or (), raw=raw or ())
    stages = [stage.stage for stage in loaded.recipe.stages]
    check_stored(loaded, workspace)
    notices = [*list_notices(loaded), *check_first_files(loaded)]
    if json:
        document = {"recipe": loaded.recipe.recipe, "labels": loaded.labels.name, "stages": stages, "problems": []}
        show_json({**document, "notices": notices})
        return
    for notice in notices:
        say(f"note: {notice}")
    say(f"{recipe}: no problems; {' > '.join(stages)}; labels {loaded.labels.name}: {', '.join(loaded.labels.fields)}")
