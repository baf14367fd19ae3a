"""A recipe: sources, a label schema and stages, read from YAML with file and line of every mistake."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from curate.assets import list_assets
from curate.corpus.credits import Credits
from curate.corpus.sources import RawFolders
from curate.document import Document, load_document, nearest, parse_model, parse_value, sort_problems
from curate.errors import InvalidInput
from curate.labels import LabelSchema, load_labels
from curate.sentences import count_of
from curate.stages import STAGES, writer_of
from curate.stages.capabilities import Discovered, Judged
from curate.stages.contract import BatchStage, Stage

_MAX_SHOWN = 120
_CORPORA = ("corpora", "recipes/corpora")

if TYPE_CHECKING:
    AnyStage = Stage
else:
    AnyStage = Annotated[reduce(or_, STAGES), Field(discriminator="stage")]


class Recipe(BaseModel):
    """What to build: data only, so that opening a stranger's recipe can run no code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")
    """The name of the corpus; a workspace holds one corpus."""
    title: str = Field(default="", max_length=200)
    """The corpus in a few words; by default the recipe's name."""
    description: str = Field(default="", max_length=5_000)
    """What the corpus holds, or what of a published corpus the recipe rebuilds."""
    authors: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(default=(), max_length=200)
    """Who made the corpus: ``Family name, given names``, or the name of an organisation."""
    citation: str = Field(default="", max_length=5_000)
    """How to cite the corpus: a reference as text or BibTeX."""
    contact: str = Field(default="", max_length=500)
    """Whom to ask, such as for a takedown: an e-mail address or a URL."""
    access: Literal["public", "restricted", "private"] | None = None
    """Who can have the raw data: anyone, those who agree to terms or ask for it, or nobody else."""
    source: str = Field(default="", max_length=5_000)
    """Where to get the raw data; nothing is downloaded."""
    labels: str = Field(pattern=r"^[a-z0-9_]+\.v\d+$")
    """The label schema, by name: shipped, or in ``schemas/labels`` next to the recipe."""
    seed: int = 0
    """The number on which every random choice depends, such as the splits."""
    stages: tuple[AnyStage, ...] = Field(min_length=1)
    """What is done, in the order of the pipeline."""

    @property
    def credits(self) -> Credits:
        """What a release says of its makers."""
        return Credits(self.title, self.description, self.authors, self.citation, self.contact)


class LoadedRecipe(NamedTuple):
    """A recipe, its label schema, and the folder that its paths start from."""

    recipe: Recipe
    labels: LabelSchema
    path: Path
    raw: tuple[Path, ...] = ()
    """Folders that the user named for raw files"""
    private_links: bool = False
    """Whether the user allowed links to this machine and private networks"""

    @property
    def folder(self) -> Path:
        """The folder of the recipe file, in which globs and the user's own schemas are looked up."""
        return self.path.parent


def load_recipe(
    path: Path, overrides: Sequence[str] = (), *, check_sources: bool = True, raw: Sequence[Path] = ()
) -> LoadedRecipe:
    """Return the recipe at ``path`` (or the shipped one of that name) with ``key=value`` overrides applied.

    Raw files may be in the recipe's folder and in the folders ``raw``. Raises ``InvalidInput`` that lists all problems
    at once; that raw files are missing or elsewhere only with ``check_sources``.
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
            problems.extend(error.problems or (f"{document.location(('labels',))}: {error.message}{hint}",))
    stages = _valid_stages(document)
    problems.extend(_order_problems(stages, document, complete=recipe is not None))
    for index, stage in stages.items():
        stage_problems = list(stage.problems(path.parent, labels))
        if check_sources:
            stage_problems.extend(stage.missing(RawFolders(path.parent, tuple(raw))))
        problems.extend(
            f"{document.location(('stages', index, *location))}: {problem}" for location, problem in stage_problems
        )
    if problems or recipe is None or labels is None:
        problems = sort_problems(problems)
        raise InvalidInput(f"recipe {path} has {count_of(len(problems), 'problem')}", problems=tuple(problems))
    return LoadedRecipe(recipe, labels, path, tuple(raw))


def find_recipe(path: Path) -> Path:
    """Return ``path`` itself, or the shipped recipe of that name (``quickstart``, ``recipes/quickstart.yaml``).

    Those of published corpora are in ``recipes/corpora`` and go by their names alone (``cremad``), too.
    """
    if path.is_file():
        return path.absolute()
    shipped = shipped_recipes()
    named = shipped.get(path.name.removesuffix(".yaml"))
    if named is not None:
        folders = ("", named.parent.name, *(_CORPORA if named.parent.name == "corpora" else ()))
        if path.parent in map(Path, folders):
            return named
    near = [str(file) for file in sorted(path.parent.glob("*.yaml"))] if path.parent.is_dir() else []
    raise InvalidInput(f"there is no recipe {path}{nearest(str(path), [*near, *shipped])}", hint="check the path")


def shipped_recipes() -> dict[str, Path]:
    """Return the path of each shipped recipe by name, those of published corpora last."""
    return {**list_assets("recipes", suffix=".yaml"), **list_assets("recipes/corpora", suffix=".yaml")}


def dump_recipe(recipe: Recipe) -> str:
    """Return the recipe as YAML with every default filled in."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _valid_stages(document: Document) -> dict[int, Stage]:
    """Return the stages that are valid by themselves, by index, so that one mistake does not hide the others."""
    raw = document.data.get("stages")
    adapter: TypeAdapter[Stage] = TypeAdapter(AnyStage)
    stages: dict[int, Stage] = {}
    for index, settings in enumerate(raw if isinstance(raw, list) else []):
        with suppress(ValidationError):
            stages[index] = adapter.validate_python(settings)
    return stages


def _order_problems(stages: Mapping[int, Stage], document: Document, *, complete: bool) -> Iterator[str]:
    """Yield stages out of order or given twice and, if all stages are ``complete``, tables that nothing writes."""
    before: list[Stage] = []
    for index, stage in stages.items():
        location = document.location(("stages", index))
        if not stage.repeatable and any(earlier.stage == stage.stage for earlier in before):
            yield f"{location}: {stage.stage} is given twice; one is enough"
        if followers := [earlier for earlier in before if STAGES.index(type(earlier)) > STAGES.index(type(stage))]:
            yield f"{location}: {stage.stage} comes after {followers[0].stage}; move it up"
        elif rival := next((earlier for earlier in before if _both_write(earlier, stage)), None):
            names = f"{stage.stage} and {rival.stage}"
            yield f"{location}: {names} both write {stage.writes[0]}; give each a recipe of its own"
        elif complete and (table := _unwritten(stage, before)):
            writer = writer_of(table)
            step = f"; add {writer.kind()}" if writer else ""
            yield f"{location}: {stage.stage} reads {table}, which no stage writes{step}"
        if complete and isinstance(stage, Judged) and stage.has_judgements:
            takes_in = writer_of("annotations")
            if takes_in is not None and not any(isinstance(candidate, takes_in) for candidate in stages.values()):
                name = takes_in.kind()
                yield f"{location}: its tables hold judgements that no stage takes in; add {name}"
        before.append(stage)


def _both_write(first: Stage, second: Stage) -> bool:
    """Return whether stages of two kinds fill the same table, so that each would take the other's rows for old."""
    are_batch = isinstance(first, BatchStage) and isinstance(second, BatchStage)
    return are_batch and first.stage != second.stage and not {*first.writes}.isdisjoint(second.writes)


def _unwritten(stage: Stage, before: Sequence[Stage]) -> str | None:
    """Return the table that a stage reads and no stage before it writes."""
    if not isinstance(stage, BatchStage) or isinstance(stage, Discovered):
        return None
    return None if any(stage.reads in earlier.writes for earlier in before) else stage.reads


def _override(document: Document, overrides: Sequence[str]) -> Document:
    data = deepcopy(document.data)
    origins: dict[tuple[int | str, ...], str] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise InvalidInput(f"--set {override}: expected key=value", hint="e.g. --set stages.prelabel.model=offline")
        try:
            value = parse_value(text)
        except ValueError as error:
            quoted = override if len(override) <= _MAX_SHOWN else f"{override[:_MAX_SHOWN]}…"
            raise InvalidInput(f"--set {quoted}: {error}", hint="quote it") from error
        origins[_assign(data, key.split("."), value, override)] = f"--set {override}"
    return document._replace(data=data, overrides=origins)


def _assign(data: dict[str, Any], keys: list[str], value: Any, override: str) -> tuple[int | str, ...]:
    """Set a value in the nested data, and return its location."""
    *parents, name = keys
    target: Any = data
    location: list[int | str] = []
    for depth, key in enumerate(parents):
        if isinstance(target, list):
            stages = [str(stage.get("stage")) if isinstance(stage, Mapping) else "" for stage in target]
            index = int(key) if key.isdecimal() else stages.index(key) if key in stages else -1
            if not 0 <= index < len(target):
                raise InvalidInput(f"--set {override}: the recipe has no stage {key!r}{nearest(key, stages)}")
            location.append(index)
            target = target[index]
        else:
            location.append(key)
            target = _settings(target, keys[:depth], override).setdefault(key, {})
    if isinstance(target, list):
        hint = f"e.g. --set {'.'.join(keys)}.<setting>=<value>"
        raise InvalidInput(f"--set {override}: {'.'.join(keys)} is not a setting", hint=hint)
    _settings(target, parents, override)[name] = value
    return (*location, name)


def _settings(target: Any, keys: Sequence[str], override: str) -> dict[str, Any]:
    if not isinstance(target, dict):
        raise InvalidInput(f"--set {override}: {'.'.join(keys)} has no settings of its own")
    return target
