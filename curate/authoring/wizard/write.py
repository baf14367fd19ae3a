"""Write a proposal: the recipe, its label schema and taxonomies, and the schema that editors complete it with."""

import json
from pathlib import Path

from curate.authoring.schema import recipe_schema
from curate.authoring.wizard.propose import Proposal
from curate.errors import InvalidInput
from curate.files import write_whole
from curate.recipe import load_recipe
from curate.sentences import count_of

SCHEMA = "recipe.schema.json"


def write_proposal(proposal: Proposal) -> list[Path]:
    """Write the files of a proposal, and return their paths, the recipe first.

    Nothing is overwritten, and nothing stays if the recipe would not pass ``curate check``. Raises ``InvalidInput``.
    """
    folder = proposal.folder
    paths = [folder / name for name in proposal.files]
    if existing := [path for path in paths if path.exists() or path.is_symlink()]:
        raise InvalidInput(
            f"{existing[0]} exists already and is not overwritten", hint="choose another --name, or remove it"
        )
    written: list[Path] = []
    try:
        for path, text in zip(paths, proposal.files.values(), strict=True):
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
        load_recipe(paths[0])
    except BaseException as error:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InvalidInput(f"{folder} cannot be written to: {error.strerror}", hint="check the folder") from error
        if not isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"no recipe for {folder}: the proposal has {count_of(len(error.problems) or 1, 'problem')}",
            problems=error.problems or (error.message,),
            hint="write one by hand: `curate recipes settings ingest` lists what it may say",
        ) from error
    schema = folder / SCHEMA
    if not schema.exists() and not schema.is_symlink():
        write_whole(schema, json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n")
    return paths
