"""``curate labels`` as a user meets it."""

import json
from xml.etree import ElementTree as ET

import pytest

TAXONOMY = (
    "taxonomy: mine.v1\ntitle: Mine\nlabels: [good, bad]\nmaps:\n  sentiment3.v1: {kind: one_to_one, lossy: false, "
)
TAXONOMY += "labels: {good: positive, bad: negative}}\n"
SCHEMA = "name: judged.v1\nunit: post\nfields:\n  mood: {type: category, taxonomy: mine.v1, required: true}\n"


@pytest.fixture
def own(tmp_path):
    """A folder with a label schema and a taxonomy of the user's own."""
    for folder, name, text in (("taxonomies", "mine.v1", TAXONOMY), ("labels", "judged.v1", SCHEMA)):
        path = tmp_path / "schemas" / folder / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


def test_list_tells_the_shipped_from_the_own(run_curate, own):
    (own / "beside.v1.yaml").write_text("taxonomy: beside.v1\ntitle: Beside\nlabels: []\n")
    (own / "recipe.yaml").write_text("recipe: r\n")
    done = json.loads(run_curate("labels", "list", "--json").stdout)
    taxonomies = {row["name"]: row for row in done["taxonomies"]}
    schemas = {row["name"]: row for row in done["label_schemas"]}
    assert (taxonomies["goemotions.v1"]["size"], taxonomies["goemotions.v1"]["from"]) == (28, "shipped")
    assert taxonomies["mine.v1"]["from"] == "schemas/taxonomies/mine.v1.yaml"
    assert taxonomies["beside.v1"]["title"] == "1 problem: curate labels check beside.v1.yaml"
    assert schemas["judged.v1"]["size"] == 1
    assert schemas["utterance_emotion.v1"]["from"] == "shipped"
    shown = run_curate("labels", "list").stdout
    assert "recipe" not in shown.split("Taxonomies")[0]
    assert [line.split()[:3] for line in shown.splitlines() if line.startswith("meld7")] == [
        ["meld7.v1", "7", "shipped"]
    ]


def test_show_prints_trees_parts_and_fields(run_curate, own):
    tree = run_curate("labels", "show", "plutchik24.v1").stdout
    assert "├ serenity" in tree
    assert "└ ecstasy" in tree
    assert "maps to plutchik8.v1: many to one, lossy" in tree
    assert "[joy + trust]" in run_curate("labels", "show", "plutchik_dyads24.v1").stdout
    fields = run_curate("labels", "show", "judged.v1").stdout
    assert "judged.v1" in fields
    assert "one of good, bad (Mine)" in fields
    whole = json.loads(run_curate("labels", "show", "mine.v1", "--json").stdout)
    assert [label["name"] for label in whole["labels"]] == ["good", "bad"]
    assert whole["maps"]["sentiment3.v1"]["labels"] == {"good": ["positive"], "bad": ["negative"]}
    wrong = run_curate("labels", "show", "goemotoins.v1")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "named 'goemotoins.v1'; did you mean goemotions.v1?" in wrong.stderr


def test_map_says_the_way_and_what_is_lost(run_curate, own):
    chain = run_curate("labels", "map", "ravdess8.v1", "sentiment3.v1").stdout
    assert chain.startswith("ravdess8.v1 > ekman7.v1 > sentiment3.v1: many to one, lossy, one way\n")
    assert "(dropped)" in chain
    done = json.loads(run_curate("labels", "map", "mine.v1", "sentiment3.v1", "--json").stdout)
    assert done["labels"] == {"good": ["positive"], "bad": ["negative"]}
    assert (done["lossy"], done["one_way"], done["unreached"], done["via"]) == (False, True, ["neutral"], [])
    failed = run_curate("labels", "map", "facs.v1", "ekman7.v1", "--json")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["error"].startswith("no map leads from facs.v1 to ekman7.v1")


def test_check_names_file_and_line(run_curate, own):
    taxonomy, schema = own / "schemas/taxonomies/mine.v1.yaml", own / "schemas/labels/judged.v1.yaml"
    assert "no problems; taxonomy mine.v1: 2 labels" in run_curate("labels", "check", taxonomy).stdout
    done = json.loads(run_curate("labels", "check", schema, "--json").stdout)
    assert (done["kind"], done["name"], done["problems"]) == ("label schema", "judged.v1", [])
    taxonomy.write_text(TAXONOMY.replace("bad: negative", "bad: awful"))
    schema.write_text(SCHEMA.replace("mine.v1", "mien.v1"))
    broken = run_curate("labels", "check", taxonomy)
    assert broken.returncode == 1
    assert f"{taxonomy}:5: bad -> awful is a dead end" in broken.stderr
    assert f"{schema}:4: " in run_curate("labels", "check", schema).stderr
    for name, says in [("none.yaml", "is not a file"), ("a.yml", "does not end in .yaml"), ("e.v1.yaml", "is empty")]:
        if name != "none.yaml":
            (own / name).write_text("")
        done = run_curate("labels", "check", name)
        assert done.returncode == 1
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_compile_prints_each_form(run_curate, own):
    def compiled(*arguments):
        done = run_curate("labels", "compile", "judged.v1", "--to", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert compiled("arrow") == "mood: string\n"
    assert json.loads(compiled("llm"))["additionalProperties"] is False
    assert "`good`, `bad`" in compiled("card")
    config = ET.fromstring(compiled("ui"))
    choices = [choice.get("value") for choice in config.iter("Choice")]
    assert choices[:2] == ["good", "bad"]
    assert next(config.iter("Text")) is not None, "a post is shown by the text layout"
    (own / "look.xml").write_text('<View><Audio name="a" value="$audio"/><Fields toName="a"/></View>')
    controls = ET.fromstring(compiled("ui", "--layout", "look.xml")).iter("Choices")
    assert {tag.get("name"): tag.get("toName") for tag in controls} == {"mood": "a", "cannot_judge": "a"}
    for layout, says in [("txt", "did you mean text?"), ("none.xml", "none.xml cannot be read: No such file")]:
        wrong = run_curate("labels", "compile", "judged.v1", "--to", "ui", "--layout", layout)
        assert wrong.returncode == 1
        assert says in wrong.stderr
    assert run_curate("labels", "compile", "judged.v1", "--to", "paper").returncode == 2


def test_check_proves_that_a_config_of_ones_own_asks_for_the_schema(run_curate, own):
    config = own / "form.xml"
    config.write_text(run_curate("labels", "compile", "judged.v1", "--to", "ui").stdout)
    assert "no problems" in run_curate("labels", "check", config, "--labels", "judged.v1").stdout
    assert "name it with --labels NAME" in run_curate("labels", "check", config).stderr
    config.write_text(config.read_text().replace('value="bad"', 'value="worse"'))
    wrong = run_curate("labels", "check", config, "--labels", "judged.v1")
    assert wrong.returncode == 1
    assert "form.xml" in wrong.stderr
    assert "worse" in wrong.stderr or "bad" in wrong.stderr
