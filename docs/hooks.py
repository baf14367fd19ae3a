"""The reference: pages that are made of the code whenever the documentation is built."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml
from mkdocs.structure.files import File, Files
from typer.main import get_command

import curate
from curate.assets import list_assets
from curate.authoring.catalogue import list_recipes
from curate.authoring.settings import SettingGroup, field_settings, recipe_settings, stage_settings
from curate.cli.app import app
from curate.labels import FIELD_TYPES
from curate.stages import STAGES


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the reference."""
    for name, make in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    return files


def settings_page() -> str:
    """Return every setting of a recipe and of its stages."""
    parts = ["# Recipes and stages", "The same in a terminal: `curate recipes settings STAGE`.", "## recipe"]
    parts += _group(recipe_settings())
    for kind in STAGES:
        parts.append(f"## {kind.kind()}")
        for group in stage_settings(kind.kind()):
            parts += [f"### {kind.kind()}: {group.place}"] if group.place else []
            parts += _group(group)
    return "\n\n".join(parts)


def fields_page() -> str:
    """Return the field types of label schemas with their settings."""
    parts = ["# Field types", "What a field of a label schema may be."]
    for kind in FIELD_TYPES:
        parts += [f"## {kind}", *_group(field_settings(kind))]
    return "\n\n".join(parts)


def tables_page() -> str:
    """Return the columns of each table of a workspace."""
    parts = ["# Tables", "What `curate.open_workspace(…).table(NAME)` gives; tables with labels have a column a field."]
    for name, path in list_assets("schemas/tables", suffix=".yaml").items():
        table = yaml.safe_load(path.read_text("utf-8"))
        rows = [(f"`{key}`", column["type"], column["description"]) for key, column in table["columns"].items()]
        parts += [f"## {name}", table["description"], _table(("column", "type", "meaning"), rows)]
    return "\n\n".join(parts)


def commands_page() -> str:
    """Return every command with its arguments and options."""
    parts = ["# Commands"]
    for path, command in _commands(get_command(app), ("curate",)):
        parts += [f"## {' '.join(path)}", _text(command.help or "")]
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        parts += [_table(("argument or option", "meaning", "default"), rows)] if rows else []
    return "\n\n".join(parts)


def python_page() -> str:
    """Return what `import curate` gives."""
    parts = ["# Python", "What `import curate` gives; nothing heavy is imported before a name is used."]
    for name in curate.__all__:
        value = getattr(curate, name)
        parts += [f"## {name}", *_documented(name, value)]
        if inspect.isclass(value):
            for key, member in vars(value).items():
                if not key.startswith("_") and member.__doc__:
                    parts += [f"### {name}.{key}", *_documented(key, member)]
    return "\n\n".join(parts)


def recipes_page() -> str:
    """Return a line for each shipped recipe, and where to get its raw data."""
    recipes = list_recipes()
    rows = [
        (f"`{r.name}`", ", ".join(r.units), ", ".join(r.fields), ", ".join(r.licences), r.recipe.access, r.recipe.title)
        for r in recipes
    ]
    parts = ["# Shipped recipes", "`curate recipes show NAME` prints one; nothing is downloaded."]
    parts.append(_table(("recipe", "unit", "fields", "licence", "access", "what"), rows))
    for shown in recipes:
        recipe = shown.recipe
        about = [
            recipe.description,
            recipe.source and f"Raw data: {recipe.source}",
            recipe.citation and f"Cite: {recipe.citation}",
        ]
        parts += [f"## {shown.name}", *map(_text, filter(None, about))]
    return "\n\n".join(parts)


PAGES = {
    "settings": settings_page,
    "fields": fields_page,
    "tables": tables_page,
    "commands": commands_page,
    "python": python_page,
    "recipes": recipes_page,
}


def _group(group: SettingGroup) -> list[str]:
    rows = [
        (f"`{row.name}`", row.type, f"`{row.default}`" if row.default else "", row.meaning) for row in group.settings
    ]
    return [_text(group.meaning), _table(("setting", "type", "default", "meaning"), rows)]


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, sub in command.commands.items():
        if getattr(sub, "commands", None):
            yield from _commands(sub, (*path, name))
        elif not sub.hidden:
            yield (*path, name), sub


def _parameter(parameter: Any) -> tuple[str, str, str]:
    names = (
        ", ".join(parameter.opts)
        if parameter.param_type_name == "option"
        else parameter.metavar or parameter.name.upper()
    )
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    is_shown = default is not None and default is not False and not callable(default) and default != ()
    return f"`{names}`", getattr(parameter, "help", None) or "", str(default) if is_shown else ""


def _documented(name: str, value: Any) -> list[str]:
    target = value.fget if isinstance(value, property) else value
    signature = "" if isinstance(value, property) or inspect.isclass(value) else str(inspect.signature(target))
    return [f"```python\n{name}{signature}\n```", _text(inspect.getdoc(target) or "")]


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return _text("" if value is None else str(value)).replace("\n", " ").replace("|", "&#124;")


def _text(text: str) -> str:
    """Return a docstring as Markdown: what looks like a tag or a link is shown as it is."""
    words = inspect.cleandoc(text).replace("``", "`")
    return "`".join(
        part if index % 2 else part.replace("<", "&lt;").replace("[", "&#91;").replace("*", "&#42;")
        for index, part in enumerate(words.split("`"))
    )
