"""``curate preview``: contact sheets to look at."""

from pathlib import Path
from typing import Annotated

import typer

from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace, recipe_of
from curate.sentences import count_of


def preview_command(
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    source: Annotated[
        str, typer.Option("--source", metavar="GLOB", help="Only files that match, e.g. '*news*'.")
    ] = "*",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where to write.", show_default="<workspace>/previews"),
    ] = None,
    json: Json = False,
) -> None:
    """Write a page (HTML) per source and one that lists them: sound, words, shots, faces, and labels so far."""
    from curate.cli.output import say, show_json
    from curate.pipeline.preview import write_previews
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), check_sources=False)
    opened = Opened(workspace, create=False)
    written = write_previews(loaded, opened, out or opened.local / "previews", source=source)
    if json:
        show_json({"previews": [str(path) for path in written]})
        return
    say(f"{written[0]} lists {count_of(len(written) - 1, 'preview')}:")
    for path in written[1:]:
        say(f"  {path}")
