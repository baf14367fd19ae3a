"""The documentation is built strictly, its blocks run, and its recipes are valid."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from curate.assets import list_assets
from curate.cli.app import app
from curate.labels import load_labels
from curate.recipe import load_recipe, shipped_recipes
from curate.stages import STAGES

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>run|file|equals)(?:: (?P<name>\S+))? -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.S
)


def blocks(page: Path) -> list[tuple[str | None, str, str, str]]:
    """Mark, name, language and text of each block."""
    return [
        tuple(match.group("mark", "name", "language", "text")) for match in _BLOCK.finditer(page.read_text("utf-8"))
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- " in page.read_text("utf-8")], ids=lambda p: p.stem)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CURATE_WORKSPACE", raising=False)
    marked = [block for block in blocks(page) if block[0]]
    assert len(marked) == page.read_text("utf-8").count("<!-- ")
    for mark, name, language, text in marked:
        if mark == "file":
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text, "utf-8")
        elif mark == "equals":
            assert yaml.safe_load(Path(name).read_text("utf-8")) == yaml.safe_load(text)
        elif mark == "run" and language == "python":
            exec(compile(text, str(page), "exec"), {})
        elif mark == "run":
            for line in text.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "curate"
                done = CliRunner().invoke(app, arguments, catch_exceptions=False)
                assert done.exit_code == 0, f"{line}\n{done.output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_recipes_and_label_schemas_are_valid(page, tmp_path):
    for _, name, language, text in blocks(page):
        document = yaml.safe_load(text) if language == "yaml" else {}
        if "fields" in document:
            (tmp_path / f"{document['name']}.yaml").write_text(text, "utf-8")
            assert load_labels(document["name"], tmp_path).fields
        elif "recipe" in document:
            path = tmp_path / f"{document['recipe']}.yaml"
            path.write_text(text, "utf-8")
            assert load_recipe(path, check_sources=False).recipe.stages, name


def test_each_label_schema_has_a_recipe():
    recipes = [yaml.safe_load(path.read_text("utf-8")) for path in shipped_recipes().values()]
    recipes += [yaml.safe_load(text) for page in PAGES for *_, language, text in blocks(page) if language == "yaml"]
    used = {recipe["labels"] for recipe in recipes if "recipe" in recipe}
    assert {Path(name).name.removesuffix(".yaml") for name in list_assets("schemas/labels", suffix=".yaml")} <= used


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_options_exist(page):
    """Every `curate …` on a page is a command, with options that it has."""
    from typer.main import get_command

    text = page.read_text("utf-8")
    lines = [line for *_, language, block in blocks(page) if language == "bash" for line in block.splitlines()]
    lines += re.findall(r"`(curate [^`]+)`", text)
    for line in (line for line in lines if line.startswith("curate ")):
        command, words = get_command(app), shlex.split(line)[1:]
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not getattr(command, "commands", None), line
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, line


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("mkdocs")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def test_the_site_is_built_without_a_warning(site):
    assert len(list(site.rglob("index.html"))) == len(PAGES) + 6


def test_the_reference_is_made_of_the_code(site):
    settings = (site / "reference" / "settings" / "index.html").read_text("utf-8")
    for kind in STAGES:
        for name in kind.model_fields:
            assert name == "stage" or f"<code>{name}</code>" in settings, (kind.kind(), name)
    commands = (site / "reference" / "commands" / "index.html").read_text("utf-8")
    assert "curate annotate push" in commands
    assert "<code>--max-rejected</code>" in commands
    tables = (site / "reference" / "tables" / "index.html").read_text("utf-8")
    assert "None" not in tables
    python = (site / "reference" / "python" / "index.html").read_text("utf-8")
    assert "CorpusFrames.judgements" in python
    assert "ODbL-1.0" in (site / "reference" / "recipes" / "index.html").read_text("utf-8")
