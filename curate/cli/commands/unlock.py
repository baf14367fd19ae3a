"""``curate unlock``: free a workspace behind a URL."""

from typing import Annotated

import typer

from curate.cli.options import WORKSPACE, Workspace


def unlock_command(
    workspace: Workspace = WORKSPACE,
    certain: Annotated[
        bool, typer.Option("--certain", help="The run is dead, though it ran on another machine.")
    ] = False,
) -> None:
    """Free a workspace behind a URL that a killed run left locked; nothing that it finished is lost."""
    from curate.cli.output import say
    from curate.storage.workspace import Workspace as Opened

    holder = Opened(workspace, create=False).unlock(certain=certain)
    say(f"Freed: it was locked by {holder}." if holder else "It is not locked.")
