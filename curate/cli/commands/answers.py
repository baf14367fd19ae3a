"""``curate answers``: the labels that a release withholds."""

from pathlib import Path
from typing import Annotated

import typer

from curate.cli.options import WORKSPACE, Json, Workspace, recipe_of


def answers_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The Parquet file to write.")],
    release: Annotated[
        str | None, typer.Option("--release", metavar="VERSION", help="A release.", show_default="the newest")
    ] = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> None:
    """Write the labels of the split that a release withholds (`export: {hidden: test}`), as they are now."""
    from curate.cli.output import say, show_json
    from curate.pipeline.answers import write_answers
    from curate.recipe import load_recipe
    from curate.sentences import count_of
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(None, workspace), check_sources=False)
    answers = write_answers(loaded, Opened(workspace, create=False), file, version=release)
    if json:
        show_json(answers._asdict())
        return
    items = f"{count_of(answers.items, 'item')} of split {' and '.join(answers.splits)}"
    say(f"{file}: {items} of release {answers.version}, {answers.labelled:,} labelled")
