"""``curate verify``: whether everything stored is as it was written."""

from typing import Annotated

import typer

from curate.cli.options import WORKSPACE, Json, Workspace

_DAMAGED = 1


def verify_command(
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH]",
            help="A workspace, the folder of a release, or hf://NAME@TAG.",
            show_default="the workspace",
        ),
    ] = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> None:
    """Verify tables, media, model replies and releases; list each damage with the next step, and exit with 1."""
    from curate.cli.output import counted, say, show_json
    from curate.pipeline.verify import verify

    result = verify(path or workspace, workspace=workspace)
    if json:
        damages = [damage._asdict() for damage in result.damages]
        show_json({"location": result.location, "checked": result.checked, "damages": damages})
    else:
        for damage in result.damages:
            say(f"damaged: {damage.place}: {damage.problem}")
            say(f"         next: {damage.next_step}")
        releases = ", every byte and row of releases as it was made" if result.checked.get("releases") else ""
        outcome = counted({"damages": len(result.damages)}) if result.damages else f"no damage{releases}"
        say(f"{result.location}: verified {counted(result.checked)}; {outcome}")
    if result.damages:
        raise typer.Exit(_DAMAGED)
