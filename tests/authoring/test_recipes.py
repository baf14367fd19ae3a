"""Shipped recipes, settings and the schema of a recipe are what the code says they are."""

import json
from datetime import date

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from curate.authoring.catalogue import list_recipes
from curate.authoring.schema import meanings, recipe_schema
from curate.authoring.settings import REQUIRED, field_settings, recipe_settings, stage_settings
from curate.cli.app import app
from curate.errors import InvalidInput
from curate.labels import FIELD_TYPES
from curate.recipe import shipped_recipes
from curate.stages import STAGES


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["recipes", *arguments], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_every_shipped_recipe_says_what_it_rebuilds_and_where_its_data_are():
    recipes = list_recipes()
    assert [shown.name for shown in recipes] == list(shipped_recipes())
    for shown in recipes:
        recipe = shown.recipe
        facts = (recipe.title, recipe.description, recipe.access, shown.units, shown.fields, shown.licences)
        assert all(facts), shown.name
        assert shown.name == "quickstart" or (recipe.source and recipe.citation), shown.name


def test_list_and_show():
    listed = {entry["name"]: entry for entry in json.loads(invoke("list", "--json"))}
    assert listed["cremad"]["units"] == ["clip"]
    assert listed["cremad"]["licences"] == ["ODbL-1.0"]
    assert listed["cremad"]["fields"] == ["emotion"]
    line = next(line for line in invoke("list").splitlines() if line.startswith("cremad"))
    assert {"ODbL-1.0", "public"} <= set(line.split())
    shown = json.loads(invoke("show", "cremad", "--json"))
    assert shown["text"] == shipped_recipes()["cremad"].read_text("utf-8")
    assert "tabulatedVotes.csv" in shown["source"]
    assert "stage: annotate, server: false" in invoke("show", "recipes/corpora/cremad.yaml")


@pytest.mark.parametrize("stage", [kind.kind() for kind in STAGES])
def test_no_setting_lacks_a_type_or_a_meaning(stage):
    groups = stage_settings(stage)
    assert {row.name for row in groups[0].settings} >= {
        name for kind in STAGES if kind.kind() == stage for name in kind.model_fields if name != "stage"
    }
    for group in groups:
        assert group.meaning, (stage, group.place)
        for row in group.settings:
            assert "``" not in row.meaning
            assert row.meaning.strip(), f"{stage}: {group.place} {row.name} has no meaning"
            assert "any value" not in row.type, f"{stage}: {group.place} {row.name} has the type {row.type}"


@pytest.mark.parametrize("kind", list(FIELD_TYPES))
def test_no_setting_of_a_field_type_lacks_a_meaning(kind):
    group = field_settings(kind)
    assert group.meaning
    assert {row.name for row in group.settings} >= set(FIELD_TYPES[kind].model_fields) - {"name", "type"}
    assert not [row.name for row in group.settings if not row.meaning or "any value" in row.type]


def test_settings_are_those_of_the_code():
    groups = {group.place: {row.name: row for row in group.settings} for group in stage_settings("preprocess")}
    assert groups[""]["max_pause_s"][:3] == ("max_pause_s", "number, above 0 and up to 10", "0.3")
    assert groups["faces"]["keep"][:3] == ("keep", "best, frames, video", "best")
    assert groups["filters"]["min_brightness"].default == ""
    assert {row.name: row.default for row in stage_settings("publish")[0].settings}["repo"] == REQUIRED
    tables = {group.place: {row.name: row for row in group.settings} for group in stage_settings("ingest")}
    assert tables["tables.item"]["text"].type == "text or settings"
    assert {row.name for row in recipe_settings().settings} >= {"recipe", "title", "access", "labels", "stages"}
    assert "max_pause_s" in invoke("settings", "preprocess")
    assert json.loads(invoke("settings", "--json"))[0]["settings"][0]["name"] == "recipe"
    with pytest.raises(InvalidInput, match="did you mean preprocess"):
        stage_settings("preproces")


def test_meanings_of_inherited_settings_come_along():
    prelabel = next(kind for kind in STAGES if kind.kind() == "prelabel")
    assert set(meanings(prelabel)) >= {"labellers", "in_flight", "budget"}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(invoke("schema"))
    assert schema == recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_the_schema_accepts_every_shipped_recipe(name, validator):
    recipe = yaml.safe_load(shipped_recipes()[name].read_text("utf-8"))
    assert not [error.message for error in validator.iter_errors(_with_text_keys(recipe))]


def _with_text_keys(value):
    """What an editor makes of YAML: keys are texts, and so are dates."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_text_keys(member) for member in value]
    return value.isoformat() if isinstance(value, date) else value


@pytest.mark.parametrize(
    "stage",
    [
        {"stage": "preproces"},
        {"stage": "preprocess", "max_pause": 0.4},
        {"stage": "preprocess", "max_pause_s": 40},
        {"stage": "ingest", "files": 3},
        {"stage": "prelabel", "model": 3},
        {"stage": "export", "max_shard_mb": 0},
    ],
)
def test_the_schema_refuses_mistakes(stage, validator):
    good = {"recipe": "a", "labels": "utterance_emotion.v1", "stages": [{"stage": "prelabel", "model": "offline"}]}
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, "stages": [stage]})
