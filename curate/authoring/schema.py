"""The JSON schema of a recipe, with the meaning of each setting: what the code says of it."""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from curate.recipe import Recipe

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema() -> dict[str, Any]:
    """Return the JSON schema of a recipe (draft 2020-12), for editors that complete and check YAML files."""
    return {"$schema": DIALECT, **described_schema(Recipe), "title": "A recipe of curate"}


def described_schema(model: Any) -> dict[str, Any]:
    """Return the JSON schema of a model or another type, in which each setting has its meaning as description."""
    return TypeAdapter(model).json_schema(schema_generator=_Described)


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the text below each setting in the code of a model and of those that it inherits from, on one line."""
    texts: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        # Models that pydantic makes of generic ones have no code.
        if not issubclass(owner, BaseModel) or owner is BaseModel or "[" in owner.__name__:
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        for setting, text in pairwise(definition.body if isinstance(definition, ast.ClassDef) else []):
            if isinstance(setting, ast.AnnAssign) and isinstance(setting.target, ast.Name):
                match text:
                    case ast.Expr(value=ast.Constant(value=str(meaning))):
                        texts[setting.target.id] = _line(meaning)
    return texts


def _line(docstring: str) -> str:
    """Return a docstring on one line, with names as Markdown has them."""
    return " ".join(docstring.split()).replace("``", "`")


class _Described(GenerateJsonSchema):
    """Adds what the code says of each setting, and of each group of settings."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        written = super().model_schema(schema)
        for name, meaning in meanings(schema["cls"]).items():
            if name in written.get("properties", {}):
                written["properties"][name]["description"] = meaning
        if "description" in written:
            written["description"] = _line(written["description"])
        return written
