"""A recipe: sources, a label schema and stages, read from YAML with every mistake told by file and line."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from curate.assets import list_assets, shipped
from curate.document import Document, load_document, nearest, parse_model, sort_problems
from curate.errors import InvalidInput
from curate.labels import LabelSchema, load_labels
from curate.stages.aggregate import Aggregate
from curate.stages.annotate import Annotate
from curate.stages.contract import BatchStage, Stage
from curate.stages.export import Export
from curate.stages.ingest.stage import Ingest
from curate.stages.prelabel.stage import Prelabel
from curate.stages.preprocess.stage import Preprocess
from curate.stages.publish import Publish

AnyStage = Annotated[
    Ingest | Preprocess | Prelabel | Annotate | Aggregate | Export | Publish, Field(discriminator="stage")
]
ORDER = ("ingest", "preprocess", "prelabel", "annotate", "aggregate", "export", "publish")
REPEATABLE = ("ingest", "prelabel")


class Recipe(BaseModel):
    """What to build: data only, so that opening a stranger's recipe can run no code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")
    labels: str = Field(pattern=r"^[a-z0-9_]+\.v\d+$")
    seed: int = 0
    stages: tuple[AnyStage, ...] = Field(min_length=1)


class LoadedRecipe(NamedTuple):
    """A recipe, its label schema, and the folder that its paths start from."""

    recipe: Recipe
    labels: LabelSchema
    path: Path

    @property
    def folder(self) -> Path:
        """The folder of the recipe file: globs and the user's own schemas are looked for here."""
        return self.path.parent


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """The recipe at ``path`` (or the shipped one of that name) with ``key=value`` overrides applied.

    Raises ``InvalidInput`` that lists all problems at once.
    """
    path = find_recipe(path)
    document = _override(load_document(path), overrides)
    problems: list[str] = []
    recipe: Recipe | None = None
    labels: LabelSchema | None = None
    try:
        recipe = parse_model(Recipe, document.data, document)
    except InvalidInput as error:
        problems.extend(error.problems)
    name = document.data.get("labels")
    if isinstance(name, str):
        try:
            labels = load_labels(name, path.parent)
        except InvalidInput as error:
            hint = f" ({error.hint})" if error.hint else ""
            problems.extend(error.problems or (f"{document.place(('labels',))}: {error.message}{hint}",))
    problems.extend(
        _stage_problems(_valid_stages(document), path.parent, labels, document, complete=recipe is not None)
    )
    if problems or recipe is None or labels is None:
        problems = sort_problems(problems)
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InvalidInput(f"recipe {path} has {count}", problems=tuple(problems))
    return LoadedRecipe(recipe, labels, path)


def find_recipe(path: Path) -> Path:
    """``path`` itself, or the shipped recipe of that name (``quickstart``, ``recipes/quickstart.yaml``)."""
    if path.is_file():
        return path.absolute()
    names = list_assets("recipes", suffix=".yaml")
    if path.name.removesuffix(".yaml") in names and path.parent in (Path(), Path("recipes")):
        return shipped("recipes") / f"{path.name.removesuffix('.yaml')}.yaml"
    near = [str(other) for other in sorted(path.parent.glob("*.yaml"))] if path.parent.is_dir() else []
    raise InvalidInput(f"there is no recipe {path}{nearest(str(path), [*near, *names])}", hint="check the path")


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every default filled in."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _valid_stages(document: Document) -> dict[int, Stage]:
    """The stages that can be read by themselves, by place, so that one mistake does not hide the others."""
    raw = document.data.get("stages")
    adapter: TypeAdapter[Stage] = TypeAdapter(AnyStage)
    found: dict[int, Stage] = {}
    for index, settings in enumerate(raw if isinstance(raw, list) else []):
        with suppress(ValidationError):
            found[index] = adapter.validate_python(settings)
    return found


def _stage_problems(
    stages: Mapping[int, Stage], folder: Path, labels: LabelSchema | None, document: Document, *, complete: bool
) -> list[str]:
    problems: list[str] = []
    seen: list[str] = []
    written: set[str] = set()
    for index, stage in stages.items():
        at = ("stages", index)
        if stage.stage in seen and stage.stage not in REPEATABLE:
            problems.append(f"{document.place(at)}: {stage.stage} is given twice; one is enough")
        if late := [name for name in seen if ORDER.index(name) > ORDER.index(stage.stage)]:
            problems.append(f"{document.place(at)}: {stage.stage} comes after {late[0]}; move it up")
        elif isinstance(stage, BatchStage):
            if complete and stage.reads not in written and not isinstance(stage, Ingest):
                maker = _writer_of(stage.reads)
                problems.append(
                    f"{document.place(at)}: {stage.stage} reads {stage.reads}, which no stage writes; add {maker}"
                )
            written.update(stage.writes)
        seen.append(stage.stage)
        problems.extend(f"{document.place((*at, *where))}: {what}" for where, what in stage.problems(folder, labels))
    return problems


def _writer_of(table: str) -> str:
    kinds: tuple[type[Stage], ...] = (Ingest, Preprocess, Prelabel)
    return next(kind.__name__.lower() for kind in kinds if issubclass(kind, BatchStage) and table in kind.writes)


def _override(document: Document, overrides: Sequence[str]) -> Document:
    data = deepcopy(document.data)
    places: dict[tuple[int | str, ...], str] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise InvalidInput(f"--set {override}: expected key=value", hint="e.g. --set stages.prelabel.model=offline")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InvalidInput(f"--set {override}: the value is not valid YAML", hint="quote it") from error
        places[_assign(data, key.split("."), value, override)] = f"--set {override}"
    return document._replace(data=data, overrides=places)


def _assign(data: dict[str, Any], keys: list[str], value: Any, override: str) -> tuple[int | str, ...]:
    target: Any = data
    where: list[int | str] = []
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(target, list):
            names = [str(s.get("stage")) if isinstance(s, Mapping) else "" for s in target]
            index = int(key) if key.isdecimal() else names.index(key) if key in names else -1
            if not 0 <= index < len(target):
                raise InvalidInput(f"--set {override}: the recipe has no stage {key!r}{nearest(key, names)}")
            where.append(index)
            target = target[index]
            continue
        if not isinstance(target, dict):
            raise InvalidInput(f"--set {override}: {'.'.join(keys[:depth])} has no settings of its own")
        where.append(key)
        if last:
            target[key] = value
        else:
            target = target.setdefault(key, {})
    return tuple(where)
