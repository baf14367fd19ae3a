"""Options and arguments that several commands share."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

Workspace = Annotated[
    str,
    typer.Option(
        "-w",
        "--workspace",
        metavar="FOLDER|URL",
        help="Workspace folder, or a URL such as s3://bucket/prefix.",
        envvar="CURATE_WORKSPACE",
        show_default="./curate-workspace",
    ),
]
Executor = Annotated[
    str, typer.Option("--executor", metavar="local|ray", help="Where the work runs; ray needs the extra `ray`.")
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", help="A running Ray cluster.", show_default="one for this run, on this machine"),
]
RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file, or the name of a shipped recipe.")]
OptionalRecipe = Annotated[
    Path | None, typer.Argument(metavar="[RECIPE]", help="Recipe file.", show_default="the workspace's last one")
]
WORKSPACE = "curate-workspace"
INCOMPLETE = 3
"""The exit code of what finished but left something out."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. stages.export.release=2.0.0."),
]
RawFolders = Annotated[
    list[Path] | None,
    typer.Option(
        "--raw",
        metavar="FOLDER",
        help="Where raw files are, and may be read, besides the recipe's folder; the workspace remembers it.",
    ),
]
PrivateLinks = Annotated[
    bool, typer.Option("--private-links", help="Fetch links to this machine and private networks, too.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Worker processes; 1 runs in this one.", show_default="one a core"),
]


def program() -> str:
    """Return how the user calls curate: its name if that is on the PATH, else what was typed."""
    typed = sys.argv[0]
    if Path(typed).name != "curate":
        return "python -m curate"
    path = shutil.which("curate")
    return "curate" if path and Path(path).samefile(typed) else typed


def next_command(command: str, workspace: str) -> str:
    """Return a command to type next, in the same workspace."""
    option = "" if workspace in (WORKSPACE, os.environ.get("CURATE_WORKSPACE")) else f" -w {workspace}"
    return f"{program()} {command}{option}"


def recipe_of(recipe: Path | None, workspace: str) -> Path:
    """Return the recipe that was named, or the one that the workspace was last run with."""
    from curate.notebook.runs import remembered_recipe

    return recipe if recipe is not None else remembered_recipe(workspace)
