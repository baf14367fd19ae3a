"""The recipes that ship with curate."""

from pathlib import Path
from typing import Any, NamedTuple

from curate.document import read_text
from curate.recipe import Recipe, find_recipe, load_recipe, shipped_recipes


class ShippedRecipe(NamedTuple):
    """A recipe that ships: its name, itself, and what its label schema asks of which units."""

    name: str
    recipe: Recipe
    units: tuple[str, ...]
    fields: tuple[str, ...]

    @property
    def licences(self) -> tuple[str, ...]:
        """The licences of what it takes in, by their SPDX names."""
        licences = (getattr(stage, "licence", None) for stage in self.recipe.stages)
        return tuple(dict.fromkeys(filter(None, licences)))

    def facts(self) -> dict[str, Any]:
        """Return what there is to know of the recipe, as plain data."""
        header = self.recipe.model_dump(mode="json", exclude={"stages", "seed", "recipe"})
        stages = [stage.stage for stage in self.recipe.stages]
        shape = {"units": list(self.units), "fields": list(self.fields), "licences": list(self.licences)}
        return {"name": self.name, **header, **shape, "stages": stages}


def list_recipes() -> list[ShippedRecipe]:
    """Return the shipped recipes: the quickstart first, then those of published corpora by name."""
    return [_load(name, path) for name, path in shipped_recipes().items()]


def show_recipe(name: Path) -> tuple[ShippedRecipe, str]:
    """Return a recipe, shipped or at a path, and its text. Raises ``InvalidInput`` if there is none."""
    path = find_recipe(name)
    return _load(path.name.removesuffix(".yaml"), path), read_text(path)


def _load(name: str, path: Path) -> ShippedRecipe:
    loaded = load_recipe(path, check_sources=False)
    return ShippedRecipe(name, loaded.recipe, tuple(loaded.labels.units), tuple(loaded.labels.fields))
