"""``curate errata``: what turned out to be wrong, noted for every later release."""

from typing import Annotated

import typer

from curate.cli.options import WORKSPACE, Json, Workspace, recipe_of

app = typer.Typer(no_args_is_help=True, help="Note what turned out to be wrong; every later release says it.")


@app.command("add")
def add_command(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[ITEM] TEXT", help="The id of an item, or its beginning, and what is wrong with it."),
    ],
    release: Annotated[
        str | None, typer.Option("--release", metavar="VERSION", help="It is about this release, not about an item.")
    ] = None,
    workspace: Workspace = WORKSPACE,
) -> None:
    """Note an erratum of an item or a release: the next release has it in errata.jsonl and in its card."""
    from curate.cli.output import say
    from curate.pipeline.errata import note_erratum
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    opened = Opened(workspace, create=False)
    loaded = load_recipe(recipe_of(None, workspace), check_sources=False)
    erratum = note_erratum(loaded, opened, words, release=release)
    subject = f"item {erratum.item_id}" if erratum.item_id else f"release {erratum.release}"
    say(f"erratum {erratum.erratum_id} of {subject} is noted: {erratum.text}")


@app.command("list")
def list_command(workspace: Workspace = WORKSPACE, json: Json = False) -> None:
    """List the errata, oldest first."""
    from curate.cli.output import say, show_json, show_table
    from curate.corpus.errata import read_errata
    from curate.storage.workspace import Workspace as Opened

    errata = read_errata(Opened(workspace, create=False))
    if json:
        show_json([erratum._asdict() for erratum in errata])
    elif errata:
        rows = [
            (erratum.erratum_id, erratum.item_id or f"release {erratum.release}", erratum.added_on, erratum.text)
            for erratum in errata
        ]
        show_table(["erratum", "about", "added", "what is wrong"], rows)
    else:
        say("no erratum yet")
