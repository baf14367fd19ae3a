"""Recipes: every mistake at once, by file and line, and overrides."""

import pytest

from curate.errors import InvalidInput
from curate.recipe import dump_recipe, load_recipe
from tests.support.builders import make_posts, make_recipe

BROKEN = """recipe: Bad Name
labels: utterance_emoton.v1
sed: 3
stages:
  - stage: ingst
    files: "x/*.mp4"
  - {stage: ingest, files: "nothing/*.mp4"}
  - stage: preprocess
    max_pause: 0.3
    faces: {min_face: 3}
  - stage: prelabel
    model: gpt
  - stage: export
    split: {train: 0.5}
  - stage: aggregate
    method: x
"""


def problems_of(path, *overrides) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load_recipe(path, overrides)
    return list(caught.value.problems) or [caught.value.message]


def test_all_problems_at_once_in_order_of_their_lines(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(BROKEN)
    problems = problems_of(path)
    expected = [
        (1, "recipe is 'Bad Name'"),
        (2, "did you mean utterance_emotion.v1?"),
        (3, "sed is not a setting; did you mean seed?"),
        (5, "'ingst' is not a stage; did you mean ingest?"),
        (7, "nothing/*.mp4"),
        (9, "max_pause is not a setting of preprocess; did you mean max_pause_s?"),
        (10, "min_face is not a setting of faces; did you mean min_face_px?"),
        (12, "model is 'gpt'; valid: offline, lexicon, vader, textblob"),
        (14, "add up to 0.5"),
        (16, "method is 'x'; valid: majority"),
    ]
    assert len(problems) == len(expected), problems
    for problem, (line, says) in zip(problems, expected, strict=True):
        assert problem.startswith(f"{path}:{line}: "), problem
        assert says in problem


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("- a\n", ":1: expected `name: value` lines"),
        ("\tx: [", ":1: not valid YAML"),
        ("recipe: a\nrecipe: b\n", ":2: recipe is given twice (first on line 1)"),
        ("recipe: &x a\nlabels: [*x, *x]\n", "aliases|stages is missing"),
        ("x: &x [1]\ny: *x\n", "aliases (*name) are not allowed"),
        ("recipe: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("recipe: a\nlabels: utterance_emotion.v1\nstages: []\n", "stages needs at least 1 entry"),
        ("recipe: a\nlabels: utterance_emotion.v1\nstages: [{}]\n", "needs `stage: <name>`"),
        ("recipe: a\nlabels: utterance_emotion.v1\nstages: [7]\n", ":3: "),
        ("recipe: a\nlabels: ../../etc/passwd\nstages: [{stage: preprocess}]\n", "labels is '../../etc/passwd'"),
    ],
)
def test_hostile_files(tmp_path, text, says):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    said = "\n".join(problems_of(path))
    assert any(part in said for part in says.split("|")), said


def test_binary_and_missing_files(tmp_path):
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "not UTF-8" in problems_of(tmp_path / "b.yaml")[0]
    assert "did you mean" in problems_of(tmp_path / "c.yaml")[0]
    assert "valid: quickstart" in problems_of(tmp_path / "none" / "zzz.yaml")[0]


def test_stages_need_their_order(tmp_path):
    late = make_recipe(tmp_path / "a", {"stage": "export"}, {"stage": "aggregate"})
    assert "aggregate comes after export; move it up" in problems_of(late)[0]
    twice = make_posts(tmp_path / "b", 1, extra=[{"stage": "export"}])
    assert "export is given twice" in problems_of(twice)[0]
    alone = make_recipe(tmp_path / "c", {"stage": "prelabel"})
    assert "prelabel reads items, which no stage writes; add preprocess" in problems_of(alone)[0]


def test_overrides(posts_recipe):
    loaded = load_recipe(posts_recipe, ["stages.export.release=7.0.0", "seed=3", "stages.1.max_pause_s=0.5"])
    assert loaded.recipe.seed == 3
    assert loaded.recipe.stages[-1].release == "7.0.0"
    assert "max_pause_s: 0.5" in dump_recipe(loaded.recipe)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seed", "expected key=value"),
        ("seed=many", "--set seed=many: seed must be a whole number, not 'many'"),
        ("sed=1", "--set sed=1: sed is not a setting; did you mean seed?"),
        ("stages.exprt.release=1", "has no stage 'exprt'; did you mean export?"),
        ("stages.export.relese=v1", "relese is not a setting of export; did you mean release?"),
        ("recipe.x=1", "recipe has no settings"),
        ("seed=[", "not valid YAML"),
        ("stages.export={release: 7.0.0}", "stages.export is not a setting"),
        ("stages=[]", "stages needs at least 1 entry"),
        ("recipe.x.y=1", "recipe has no settings"),
    ],
)
def test_broken_overrides(posts_recipe, override, says):
    assert says in problems_of(posts_recipe, override)[0]


def test_the_shipped_recipes_are_valid():
    from curate.assets import list_assets

    for path in list_assets("recipes", suffix=".yaml").values():
        load_recipe(path)


@pytest.mark.parametrize("model", ["offline", "lexicon", "openai/gpt-5-mini", "replay"])
def test_the_recipe_that_a_run_records_can_be_run(posts_recipe, tmp_path, model):
    """With every default filled in it means the same, and so does a second round."""
    loaded = load_recipe(posts_recipe, [f"stages.prelabel.model={model}"])
    recorded = posts_recipe.with_name("recorded.yaml")
    recorded.write_text(dump_recipe(loaded.recipe))
    again = load_recipe(recorded)
    assert again.recipe == loaded.recipe
    assert dump_recipe(again.recipe) == recorded.read_text()
