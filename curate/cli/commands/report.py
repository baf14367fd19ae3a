"""``curate report``: what a corpus holds, as one page."""

from pathlib import Path
from typing import Annotated

import typer

from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace


def report_command(
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to write.", show_default="<workspace>/report.html"),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, max=100_000, metavar="N", help="Draws for the 95 % intervals of agreement.")
    ] = 200,
    media_mb: Annotated[
        int, typer.Option("--media-mb", min=0, max=2_000, metavar="N", help="Sound and video in the page, in MB.")
    ] = 12,
    json: Json = False,
) -> None:
    """Write a page (HTML) on the corpus: funnel, labels, agreement, model against people, pace, splits, items."""
    from curate.cli.output import say, show_json
    from curate.notebook.runs import load_remembered
    from curate.pipeline.report import write_corpus_report

    loaded, opened = load_remembered(recipe, workspace)
    written = write_corpus_report(loaded, opened, out, draws=bootstrap, media_mb=media_mb)
    if json:
        show_json({"report": str(written)})
    else:
        say(f"report: {written}")
