"""Open the corpus that another recipe made, for a recipe that derives from it."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc

from curate.corpus.last_run import last_recipe
from curate.corpus.sources import RawFolders
from curate.corpus.spec import table_columns
from curate.corpus.tombstones import Tombstones
from curate.corpus.view import Corpus
from curate.document import load_document, parse_model
from curate.errors import InvalidInput, WorkspaceUnusable
from curate.labels import load_labels
from curate.recipe import LoadedRecipe, Recipe
from curate.stages.derive.stage import Derive
from curate.stages.export import Export
from curate.storage.delta import TableSpec
from curate.storage.workspace import Workspace


def open_parent(open_corpus: Callable[[LoadedRecipe, Workspace], Corpus], path: Path) -> Corpus:
    """Return the current rows of the workspace at ``path``, as its last run asked for them.

    Nothing is written there. Raises ``InvalidInput`` if its releases hide answers, which a derived one would show, and
    ``WorkspaceUnusable`` if there is no workspace, if no run has filled it, or if forgetting was interrupted in it.
    """
    workspace = Workspace(path, create=False)
    Tombstones.read(workspace).check_finished()
    recorded = last_recipe(workspace)
    file = Path(workspace.recipe_file or path / "recipe.yaml")
    try:
        recipe = Recipe.model_validate(recorded)
    except ValueError:
        # Some settings of tables have other names in a recipe than in its record.
        recipe = _from_file(file, path)
    hidden = [split for stage in recipe.stages if isinstance(stage, Export) for split in stage.hidden]
    if hidden:
        raise InvalidInput(
            f"the corpus in {path} hides the answers of its split {', '.join(hidden)}: what is derived from it would "
            "show them",
            hint="derive from a workspace whose export hides nothing, and keep what comes of it to yourselves",
        )
    return open_corpus(LoadedRecipe(recipe, load_labels(recipe.labels, file.parent), file), workspace)


def derived_keys(location: str, view: str) -> dict[str, tuple[str, ...]]:
    """Return the keys of all sources that a view derived in the workspace at ``location``, with their parents' ids."""
    workspace = Workspace(location, create=False)
    table = workspace.table(TableSpec("sources", table_columns("sources"), "source_id"))
    rows = table.read(["key", "derived", "parents"], matching=("kind", ["derived"]))
    is_own = pc.equal(pc.struct_field(rows["derived"], "view"), view)
    own = rows.filter(pc.fill_null(is_own, False))
    parents = ([parent["item_id"] for parent in row] for row in own["parents"].to_pylist())
    return {key: tuple(ids) for key, ids in zip(own["key"].to_pylist(), parents, strict=True)}


def forgotten_in_parents(loaded: LoadedRecipe, workspace: Workspace) -> list[Tombstones]:
    """Return the tombstones of each corpus that a recipe derives from. Raises ``InvalidInput`` if one is not there."""
    raw = RawFolders(loaded.folder, tuple(dict.fromkeys((*loaded.raw, *workspace.raw_folders(loaded.path)))))
    stages = [stage for stage in loaded.recipe.stages if isinstance(stage, Derive)]
    return [Tombstones.read(stage.open_workspace(raw)) for stage in stages]


def _from_file(file: Path, path: Path) -> Recipe:
    try:
        document = load_document(file)
        return parse_model(Recipe, document.data, document)
    except InvalidInput as error:
        raise WorkspaceUnusable(
            f"the recipe of workspace {path} cannot be read: {error.message}",
            hint="put it back where it was, and run it again",
        ) from error
