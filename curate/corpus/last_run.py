"""The recipe that a workspace was last run with, as the run recorded it."""

from typing import Any

import yaml

from curate.errors import WorkspaceUnusable
from curate.storage.workspace import Workspace

_MAX_BYTES = 4_000_000
_FILE = "recipe.yaml"


def last_recipe(workspace: Workspace) -> dict[str, Any]:
    """Return the recipe of the newest run, with all settings filled in.

    Raises ``WorkspaceUnusable`` if there is none, or none that can be read.
    """
    names = workspace.runs.glob(f"*/{_FILE}")
    if not names:
        raise WorkspaceUnusable(
            f"{workspace.location} has no run yet, so nothing can be derived from it",
            hint="run its own recipe first: `curate run RECIPE -w WORKSPACE`",
        )
    newest = max(names)
    try:
        data = workspace.runs.read(newest)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it has {len(data):,} bytes")
        recipe = yaml.safe_load(data.decode("utf-8"))
        if not isinstance(recipe, dict) or not isinstance(recipe.get("labels"), str):
            raise yaml.YAMLError("it is not a recipe")
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise WorkspaceUnusable(
            f"{workspace.location}/runs/{newest} cannot be read: {error}", hint="run the recipe of that workspace again"
        ) from error
    return recipe
