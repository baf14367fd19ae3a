"""``curate run``, ``plan``, ``check``, ``status``, ``demo`` and ``unlock``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from curate.cli import StopFlag
from curate.cli.options import (
    WORKSPACE,
    Json,
    OptionalRecipe,
    RayAddress,
    Settings,
    Where,
    Workers,
    Workspace,
    next_command,
    open_executor,
    recipe_of,
)
from curate.errors import Interrupted

if TYPE_CHECKING:
    from curate.pipeline import Run

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file, or the name of a shipped recipe.")]
_TOO_MANY_REJECTED = 3
_GO_ON = "run the same command again to go on"


def run_command(
    recipe: RecipeFile,
    workspace: Workspace = WORKSPACE,
    settings: Settings = None,
    until: Annotated[str | None, typer.Option("--until", metavar="STAGE", help="Stop after this stage.")] = None,
    only: Annotated[str | None, typer.Option("--only", metavar="STAGE", help="Run this stage alone.")] = None,
    workers: Workers = None,
    executor: Where = "local",
    ray_address: RayAddress = None,
    max_rejected: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a stage's inputs that may be rejected before exit code 3.")
    ] = 0.5,
    json: Json = False,
) -> None:
    """Run what is missing of a recipe; run it again at any time to go on."""
    run = _Options(settings, until, only, workers, executor, ray_address, max_rejected, json)
    _run(recipe, workspace, run)


def demo_command(workspace: Workspace = WORKSPACE, workers: Workers = None, json: Json = False) -> None:
    """Run the shipped quickstart recipe on its sample: clips and posts to a release, without network or keys."""
    from curate.cli.output import say

    _run(Path("quickstart"), workspace, _Options(workers=workers, json=json))
    if not json:
        say(f"next:    {next_command('annotate up', workspace)}     (people correct the labels in Label Studio)")


def plan_command(
    recipe: RecipeFile, workspace: Workspace = WORKSPACE, settings: Settings = None, json: Json = False
) -> None:
    """Show what a run would do: how many rows each stage has, what is done, what is left."""
    from curate.cli.output import say, show_json, show_table
    from curate.pipeline import plan
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe, settings or ())
    with _scratch(workspace) as place:
        plans = plan(loaded, Opened(place))
    if json:
        show_json({"recipe": loaded.recipe.recipe, "stages": [p._asdict() for p in plans]})
        return
    show_table(["stage", "inputs", "done", "to do", ""], plans)
    if not any(p.todo or p.note.startswith("depends") for p in plans):
        say("Nothing to do: every row is up to date.")


@contextmanager
def _scratch(workspace: str) -> Iterator[str]:
    """The workspace or, so that looking makes none, an empty one that is gone afterwards."""
    from curate.storage.workspace import Workspace as Opened

    if Opened.exists(workspace):
        yield workspace
        return
    with TemporaryDirectory(prefix="curate-plan-") as folder:
        yield folder


def check_command(recipe: RecipeFile, settings: Settings = None, json: Json = False) -> None:
    """Check a recipe, its label schema and its files; list every problem with file and line."""
    from curate.cli.output import say, show_json
    from curate.recipe import load_recipe

    loaded = load_recipe(recipe, settings or ())
    stages = [stage.stage for stage in loaded.recipe.stages]
    if json:
        show_json({"recipe": loaded.recipe.recipe, "labels": loaded.labels.name, "stages": stages, "problems": []})
        return
    say(f"{recipe}: no problems; {' > '.join(stages)}; labels {loaded.labels.name}: {', '.join(loaded.labels.fields)}")


def status_command(recipe: OptionalRecipe = None, workspace: Workspace = WORKSPACE, json: Json = False) -> None:
    """Show what the workspace holds: rows by table, rejections by reason, labels, releases."""
    from curate.cli.output import counted, say, show_json, show_table
    from curate.llm.labellers.protocol import OUTCOMES
    from curate.pipeline import status
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace))
    now = status(loaded, Opened(workspace, create=False))
    if json:
        show_json(now._asdict())
        return
    say(f"recipe {now.recipe} in {now.workspace}\n")
    details = {
        "items": counted(now.units),
        "annotations": counted(now.annotations),
        "labels": ", ".join(f"{n:,} by {'people' if k == 'human' else 'models'}" for k, n in now.labels.items()),
    }
    show_table(["table", "rows", ""], [(name, rows, details.get(name, "")) for name, rows in now.tables.items()])
    if now.prelabels:
        outcomes = [each for each in OUTCOMES if any(each in counts for counts in now.prelabels.values())]
        shown = [(name, *(counts.get(outcome, 0) for outcome in outcomes)) for name, counts in now.prelabels.items()]
        say("")
        show_table(["labeller", *outcomes], shown)
    if now.rejections:
        rows = [(stage, reason, n) for stage, reasons in now.rejections.items() for reason, n in reasons.items()]
        say("")
        show_table(["rejected by", "reason", "rows"], rows)
    say(f"\nreleases: {', '.join(now.releases) or 'none yet'}")


def unlock_command(
    workspace: Workspace = WORKSPACE,
    certain: Annotated[
        bool, typer.Option("--certain", help="The run is dead, though it ran on another machine.")
    ] = False,
) -> None:
    """Free a workspace behind a URL that a killed run left locked; nothing that it finished is lost."""
    from curate.cli.output import say
    from curate.storage.workspace import Workspace as Opened

    left = Opened(workspace, create=False).unlock(certain=certain)
    say(f"Freed: it was locked by {left}." if left else "It is not locked.")


class _Options(NamedTuple):
    settings: list[str] | None = None
    until: str | None = None
    only: str | None = None
    workers: int | None = None
    executor: str = "local"
    ray_address: str | None = None
    max_rejected: float = 1.0
    json: bool = False


def _run(recipe: Path, workspace: str, options: _Options) -> None:
    from curate.cli.output import error_document, show_error, show_json
    from curate.cli.progress import ProgressLines
    from curate.pipeline import attempt
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe, options.settings or ())
    executor = open_executor(options.executor, options.workers, options.ray_address)
    opened = Opened(workspace)
    progress = ProgressLines()
    stop = StopFlag(progress.stopping)
    stop.install()
    only = {"until": options.until, "only": options.only}
    try:
        with progress:
            done = attempt(loaded, opened, executor=executor, listener=progress, stop=stop, **only)
    except KeyboardInterrupt as error:
        raise Interrupted("stopped at once; what is finished is kept", hint=_GO_ON) from error
    finally:
        executor.close()
    if options.json:
        failure = error_document(done.error) if done.error else {}
        document: dict[str, Any] = {"recipe": done.recipe, "run_id": done.run_id, "changed": done.changed}
        stages = [asdict(result) for result in done.stages]
        show_json({**failure, **document, "stages": stages, "release": done.release, "report": done.report})
    else:
        _show(done, workspace)
    if done.error:
        show_error(done.error)
        raise typer.Exit(done.error.exit_code)
    if done.rejected_share > options.max_rejected:
        raise typer.Exit(_TOO_MANY_REJECTED)


def _show(done: "Run", workspace: str) -> None:
    from curate.cli.output import account_of, say, show_account, show_missing

    if not done.changed and not done.error:
        say("Nothing to do: everything is up to date.")
    show_account(account_of(done.stages))
    show_missing(done.stages, workspace=workspace)
    if done.release and not done.error:
        say(f"release: {done.release}")
    if done.report:
        say(f"report:  {done.report}")
