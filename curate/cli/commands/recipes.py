"""``curate recipes``: the shipped recipes, every setting, and a recipe for a folder of one's own."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from curate.cli.help import WholeHelp
from curate.cli.options import Json, RecipeFile

app = typer.Typer(
    cls=WholeHelp,
    help="List shipped recipes and settings, and write a recipe for files of your own.",
    no_args_is_help=True,
)


@app.command("list")
def list_command(json: Json = False) -> None:
    """List the shipped recipes: what each rebuilds, its unit, fields and licence, and who can have the raw data."""
    from curate.authoring.catalogue import list_recipes
    from curate.cli.output import say, show_json, show_table

    recipes = list_recipes()
    if json:
        show_json([recipe.facts() for recipe in recipes])
        return
    rows = [
        (
            entry.name,
            ", ".join(entry.units),
            ", ".join(entry.fields),
            ", ".join(entry.licences),
            entry.recipe.access,
            entry.recipe.title,
        )
        for entry in recipes
    ]
    show_table(["recipe", "unit", "fields", "licence", "access", "what"], rows)
    say("\ncurate recipes show NAME prints one, and where to get its raw data.")


@app.command("show")
def show_command(name: RecipeFile, json: Json = False) -> None:
    """Print a recipe, and where to get its raw data."""
    from curate.authoring.catalogue import show_recipe
    from curate.cli.options import program
    from curate.cli.output import note, say, show_json

    entry, text = show_recipe(name)
    if json:
        show_json({**entry.facts(), "text": text})
        return
    say(text.rstrip())
    if entry.recipe.source:
        note(f"\nraw data: {' '.join(entry.recipe.source.split())}")
        note(f"then:     {program()} run {name} --raw FOLDER")


@app.command("settings")
def settings_command(
    stage: Annotated[
        str | None, typer.Argument(metavar="[STAGE]", help="A stage.", show_default="the recipe itself")
    ] = None,
    json: Json = False,
) -> None:
    """Print every setting of a stage with type, default and meaning."""
    from curate.authoring.settings import recipe_settings, stage_settings
    from curate.cli.output import say, show_json, show_table

    groups = [recipe_settings()] if stage is None else stage_settings(stage)
    if json:
        show_json([{**group._asdict(), "settings": [row._asdict() for row in group.settings]} for group in groups])
        return
    for group in groups:
        say(f"{group.place or stage or 'recipe'}: {group.meaning}\n")
        show_table(["setting", "type", "default", "meaning"], group.settings)
        say("")


@app.command("schema")
def schema_command() -> None:
    """Print the JSON schema of a recipe, with which editors complete and check recipes."""
    from curate.authoring.schema import recipe_schema
    from curate.cli.output import show_json

    show_json(recipe_schema())


@app.command("new")
def new_command(
    path: Annotated[
        Path, typer.Argument(metavar="FOLDER|TABLE", help="Your files, or a table of items or judgements.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The recipe's name.", show_default="the folder's")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="NAME", help="Label schema of what nobody has judged yet, e.g. post_reader.v1."
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="SPDX", help="Licence of the files, e.g. CC-BY-4.0.")
    ] = None,
    classes: Annotated[
        bool, typer.Option("--classes", help="The folders' names are labels of what is in them.")
    ] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Ask nothing, also on a terminal.")] = False,
    json: Json = False,
) -> None:
    """Write a recipe next to your files: look at them, say what is there, and propose a mapping."""
    from curate.authoring.wizard import propose, write_proposal
    from curate.cli.options import program
    from curate.cli.output import say, show_json

    chosen = {"name": name, "labels": labels, "licence": licence}
    proposal = propose(path, **chosen, classes=classes)
    is_asking = _is_terminal() and not (yes or json)
    if not json:
        for line in proposal.seen:
            say(f"seen:    {line}")
    if is_asking:
        chosen["name"] = typer.prompt("name of the recipe", default=proposal.recipe)
        if f"{proposal.labels}.yaml" not in proposal.files:
            chosen["labels"] = typer.prompt("label schema (curate labels list)", default=proposal.labels)
        chosen["licence"] = (
            typer.prompt("licence (SPDX, or nothing)", default=licence or "", show_default=False) or None
        )
        proposal = propose(path, **chosen, classes=classes)
    if not json:
        for line in proposal.notes:
            say(f"note:    {line}")
    if is_asking and not typer.confirm(f"write {', '.join(proposal.files)} to {proposal.folder}?", default=True):
        raise typer.Exit(1)
    written = write_proposal(proposal)
    if json:
        show_json({**proposal._asdict(), "folder": str(proposal.folder), "files": [str(file) for file in written]})
        return
    for file in written:
        say(f"written: {file}")
    say(f"next:    {program()} run {written[0]}")


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
