"""Whether the first raw files of a recipe are what its stages and its label schema need."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from curate.corpus.sources import RawFolders
from curate.document import load_document
from curate.errors import InvalidInput
from curate.labels import LabelSchema
from curate.recipe import LoadedRecipe
from curate.sentences import count_of, verb_of
from curate.stages.capabilities import Discovered, Divided, FirstFile


def check_first_files(loaded: LoadedRecipe) -> list[str]:
    """Open the first files of each stage that finds any, and return a notice for each ending of which some are no use.

    Raises ``InvalidInput`` with place and next step for a stage none of whose first files gives an item.
    """
    document = load_document(loaded.path)
    raw = RawFolders(loaded.folder, loaded.raw)
    divided = next((stage for stage in loaded.recipe.stages if isinstance(stage, Divided)), None)
    notices, problems = [], []
    for index, stage in enumerate(loaded.recipe.stages):
        if not isinstance(stage, Discovered):
            continue
        place = document.location(("stages", index))
        opened = [_judged(file, divided, loaded.labels) for file in stage.first_files(raw)]
        useless = [file for file in opened if file.problem]
        if useless and len(useless) == len(opened):
            problems.append(f"{place}: {_sentence(useless, len(opened))}")
            continue
        for ending in dict.fromkeys(map(_ending, useless)):
            all_opened = sum(_ending(file) == ending for file in opened)
            notices.append(f"{place}: {_sentence([file for file in useless if _ending(file) == ending], all_opened)}")
    if problems:
        hint = "correct the files, their names in the recipe, or the label schema"
        raise InvalidInput(
            f"recipe {loaded.path} has {count_of(len(problems), 'problem')}", problems=tuple(problems), hint=hint
        )
    return notices


def _judged(file: FirstFile, divided: Divided | None, labels: LabelSchema) -> FirstFile:
    if file.source is None or divided is None:
        return file
    reason = divided.unsuited(file.source, labels)
    return file._replace(problem=reason or None)


def _sentence(useless: Sequence[FirstFile], opened: int) -> str:
    first = useless[0]
    reason = (first.problem or "").removeprefix(f"{first.file}: ").removeprefix(f"{first.file} ")
    if opened == 1:
        return f"{first.file} gives no item: {reason}"
    kind = count_of(opened, "post" if "#" in first.file else "file")
    if len(useless) == opened:
        return f"none of the first {kind} gives an item, such as {first.file}: {reason}"
    verb = verb_of(len(useless), "gives", "give")
    return f"{len(useless)} of the first {kind} {verb} no item, such as {first.file}: {reason}"


def _ending(file: FirstFile) -> str:
    return PurePosixPath(file.file.partition("#")[0]).suffix.lower()
