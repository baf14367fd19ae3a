"""Run and plan recipes; the commands ``curate run`` and ``curate plan`` are thin over these."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from curate.corpus.schema_fit import refuse_misfits
from curate.errors import InvalidInput
from curate.executors.open import open_executor
from curate.llm.money.account import UsageTotals
from curate.pipeline import Listener, Run, StagePlan, StageResult, attempt
from curate.pipeline import plan as plan_stages
from curate.recipe import LoadedRecipe, find_recipe, load_recipe
from curate.storage.workspace import Workspace

WORKSPACE = "curate-workspace"


class _Silent:
    def files_fetched(self, done: int, total: int, size_bytes: int) -> None: ...
    def stage_started(self, name: str, total: int, done: int) -> None: ...
    def stage_advanced(self, name: str, inputs: float, account: Mapping[str, UsageTotals]) -> None: ...
    def stage_finished(self, result: StageResult) -> None: ...


def run(
    recipe: str | Path,
    workspace: str | Path = WORKSPACE,
    *,
    settings: Sequence[str] = (),
    raw: Sequence[str | Path] = (),
    until: str | None = None,
    only: str | None = None,
    workers: int | None = 1,
    executor: str = "local",
    ray_address: str | None = None,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
    private_links: bool = False,
    check: bool = True,
) -> Run:
    """Do what is missing of a recipe, and return what each stage did, the report's path and the newest release.

    ``recipe`` is a file or the name of a shipped recipe, ``settings`` are overrides such as
    ``stages.prelabel.model=offline``, and ``raw`` are folders that may be read besides the recipe's. ``until`` ends
    after a stage, and ``only`` runs one alone. ``workers`` are processes: 1 stays in this one, and None takes one a
    core; with several, a script needs ``if __name__ == "__main__":``. ``executor`` is ``local`` or ``ray``.
    ``listener`` follows the progress. When ``stop()`` becomes true, the run ends in an orderly way.
    ``private_links`` allows links to this machine and to private networks.

    Everything finished is kept, whatever happens. An error that ends the run early is raised, or without ``check`` is
    in ``Run.error``. Raises ``InvalidInput`` with every mistake of the recipe, and ``WorkspaceBusy`` while another run
    holds the workspace.
    """
    loaded = load(recipe, workspace, settings=settings, raw=raw, check_sources=only is None)
    loaded = loaded._replace(private_links=private_links)
    opened = open_executor(executor, workers, ray_address)
    try:
        follower = listener or _Silent()
        done = attempt(
            loaded, Workspace(workspace), executor=opened, listener=follower, until=until, only=only, stop=stop
        )
    finally:
        opened.close()
    if check and done.error is not None:
        raise done.error
    return done


def plan(
    recipe: str | Path,
    workspace: str | Path = WORKSPACE,
    *,
    settings: Sequence[str] = (),
    raw: Sequence[str | Path] = (),
) -> list[StagePlan]:
    """Return what a run would do, stage by stage: inputs, how many are done, and what requests would cost.

    Makes no workspace. The arguments and errors are those of ``run``.
    """
    return plan_loaded(load(recipe, workspace, settings=settings, raw=raw), workspace)


def plan_loaded(loaded: LoadedRecipe, workspace: str | Path) -> list[StagePlan]:
    """Return what a run of a recipe would do. Makes no workspace."""
    with _existing_or_empty(workspace) as root:
        return plan_stages(loaded, Workspace(root))


def check_stored(loaded: LoadedRecipe, workspace: str | Path) -> None:
    """Raise ``InvalidInput`` if a workspace of this recipe holds judgements that do not fit its label schema."""
    opened = Workspace(workspace, create=False) if Workspace.is_at(workspace) else None
    if opened is not None and opened.recipe == loaded.recipe.recipe:
        refuse_misfits(opened, loaded.labels)


def load(
    recipe: str | Path,
    workspace: str | Path,
    *,
    settings: Sequence[str] = (),
    raw: Sequence[str | Path] = (),
    check_sources: bool = True,
) -> LoadedRecipe:
    """Return a recipe that may read the ``raw_folders``. Raises ``InvalidInput`` for every mistake of the recipe."""
    folders = raw_folders(raw, recipe, workspace)
    return load_recipe(Path(recipe), settings, check_sources=check_sources, raw=folders)


def raw_folders(named: Sequence[str | Path], recipe: str | Path, workspace: str | Path) -> tuple[Path, ...]:
    """Return the folders named for raw files, and those that the workspace remembers for this recipe.

    Raises ``InvalidInput`` for a folder that does not exist.
    """
    for folder in named:
        if not Path(folder).is_dir():
            raise InvalidInput(
                f"--raw {folder}: there is no such folder", hint="name the folder that has the raw files"
            )
    opened = Workspace(workspace, create=False) if Workspace.is_at(workspace) else None
    before = opened.raw_folders(find_recipe(Path(recipe))) if opened else ()
    return tuple(dict.fromkeys((*(Path(folder).absolute() for folder in named), *before)))


def load_remembered(
    recipe: str | Path | None, workspace: str | Path, *, settings: Sequence[str] = ()
) -> tuple[LoadedRecipe, Workspace]:
    """Return a recipe and its workspace without looking at raw files; by default the recipe that was run last.

    Raises ``WorkspaceUnusable`` if there is no workspace, and ``InvalidInput`` if it does not say which recipe to use.
    """
    if recipe is None:
        recipe = remembered_recipe(workspace)
    return load_recipe(Path(recipe), settings, check_sources=False), Workspace(workspace, create=False)


def remembered_recipe(workspace: str | Path) -> Path:
    """Return the recipe that a workspace was last run with. Raises ``InvalidInput`` if it names none that exists."""
    file = Workspace(workspace, create=False).recipe_file
    if file is None or not Path(file).is_file():
        reason = f"its recipe {file} does not exist" if file else "it has not been run with a recipe yet"
        raise InvalidInput(f"workspace {workspace} does not say which recipe to use: {reason}", hint="name the recipe")
    return Path(file)


@contextmanager
def _existing_or_empty(workspace: str | Path) -> Iterator[str | Path]:
    """Yield the workspace, or an empty one for the moment: planning creates none."""
    if Workspace.exists(workspace):
        yield workspace
        return
    with TemporaryDirectory(prefix="curate-plan-") as folder:
        yield folder
