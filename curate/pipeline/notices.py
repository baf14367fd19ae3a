"""What the settings of a recipe's stages need their user to know before a run."""

from curate.document import load_document
from curate.recipe import LoadedRecipe
from curate.stages.contract import Tools
from curate.storage.blobs import Blobs


def list_notices(loaded: LoadedRecipe) -> list[str]:
    """Return the notices of all stages, each with file and line of its stage. Needs no workspace."""
    document, recipe = load_document(loaded.path), loaded.recipe
    tools = Tools(Blobs(loaded.folder), loaded.labels, loaded.folder, recipe.seed, recipe.recipe, stages=recipe.stages)
    return [
        f"{document.location(('stages', index))}: {notice}"
        for index, stage in enumerate(recipe.stages)
        for notice in stage.notices(tools)
    ]
