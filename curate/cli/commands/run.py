"""``curate run`` and ``curate demo``: do what is missing of a recipe."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from curate.cli.options import (
    INCOMPLETE,
    WORKSPACE,
    Executor,
    Json,
    PrivateLinks,
    RawFolders,
    RayAddress,
    RecipeFile,
    Settings,
    Workers,
    Workspace,
    next_command,
)

if TYPE_CHECKING:
    from curate.pipeline import Run


def run_command(
    recipe: RecipeFile,
    workspace: Workspace = WORKSPACE,
    settings: Settings = None,
    raw: RawFolders = None,
    until: Annotated[str | None, typer.Option("--until", metavar="STAGE", help="Stop after this stage.")] = None,
    only: Annotated[str | None, typer.Option("--only", metavar="STAGE", help="Run this stage alone.")] = None,
    workers: Workers = None,
    executor: Executor = "local",
    ray_address: RayAddress = None,
    max_rejected: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a stage's inputs that may be rejected before exit code 3.")
    ] = 0.5,
    private_links: PrivateLinks = False,
    json: Json = False,
) -> None:
    """Run what is missing of a recipe; run it again at any time to go on."""
    run = _Options(settings, until, only, workers, executor, ray_address, max_rejected, json, raw, private_links)
    _run(recipe, workspace, run)


def demo_command(workspace: Workspace = WORKSPACE, workers: Workers = None, json: Json = False) -> None:
    """Run the shipped quickstart recipe on its sample: clips and posts to a release, without network or keys."""
    from curate.cli.output import say

    _run(Path("quickstart"), workspace, _Options(workers=workers, json=json))
    if not json:
        say(f"next:    {next_command('annotate up', workspace)}     (people correct the labels in Label Studio)")


class _Options(NamedTuple):
    settings: list[str] | None = None
    until: str | None = None
    only: str | None = None
    workers: int | None = None
    executor: str = "local"
    ray_address: str | None = None
    max_rejected: float = 1.0
    json: bool = False
    raw: list[Path] | None = None
    private_links: bool = False


def _run(recipe: Path, workspace: str, options: _Options) -> None:
    from curate.cli.output import error_document, explain_incomplete, show_error, show_incomplete, show_json

    run = _attempt(recipe, workspace, options)
    incomplete = explain_incomplete(run.stages, max_rejected=options.max_rejected)
    if options.json:
        failure = error_document(run.error) if run.error else {}
        document = {"recipe": run.recipe, "run_id": run.run_id, "changed": run.changed}
        stages = [asdict(result) for result in run.stages]
        results = {"stages": stages, "incomplete": incomplete, "release": run.release, "report": run.report}
        show_json({**failure, **document, **results})
    else:
        _show(run, workspace)
    if run.error:
        show_error(run.error)
        raise typer.Exit(run.error.exit_code)
    if incomplete:
        show_incomplete(incomplete)
        raise typer.Exit(INCOMPLETE)


def _attempt(recipe: Path, workspace: str, options: _Options) -> "Run":
    from curate.memory import keep_pandas_out

    keep_pandas_out()  # Before modules that make arrays when they are imported
    from curate.cli.progress import ProgressLines
    from curate.cli.stopping import StopFlag
    from curate.errors import Interrupted
    from curate.notebook.runs import run as run_recipe

    progress = ProgressLines()
    stop = StopFlag(progress.stopping)
    stop.install()
    try:
        with progress:
            return run_recipe(
                recipe,
                workspace,
                settings=options.settings or (),
                raw=options.raw or (),
                until=options.until,
                only=options.only,
                workers=options.workers,
                executor=options.executor,
                ray_address=options.ray_address,
                listener=progress,
                stop=stop,
                private_links=options.private_links,
                check=False,
            )
    except KeyboardInterrupt as error:
        hint = "run the same command again to go on"
        raise Interrupted("stopped at once; what is finished is kept", hint=hint) from error


def _show(run: "Run", workspace: str) -> None:
    from curate.cli.output import say, show_account, show_missing
    from curate.pipeline import add_accounts

    if not run.changed and not run.error:
        say("Nothing to do: everything is up to date.")
    show_account(add_accounts(*(result.account for result in run.stages)))
    show_missing(run.stages, workspace=workspace)
    if run.release and not run.error:
        say(f"release: {run.release}")
    if run.report:
        say(f"report:  {run.report}")
