"""Judgements never leave silently: those that the present items leave out are counted and said."""

from curate.corpus.live import LiveWork
from curate.corpus.set_aside import SetAside, set_aside
from curate.corpus.spec import open_table
from curate.corpus.view import Corpus
from curate.labels import load_labels
from curate.pipeline import open_corpus, plan
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.release.test_export import make_release
from tests.support.builders import make_recipe
from tests.support.release_builders import LIVE, make_corpus
from tests.support.runs import run_quietly


def test_nothing_is_set_aside_while_all_judged_items_are_made(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6)
    assert set_aside(made.corpus) == SetAside(0, 0, ())
    assert "set aside" not in (make_release(made)[1] / "README.md").read_text()


def test_judged_items_that_are_not_made_any_more_are_counted_and_named_in_the_card(tmp_path):
    made = make_corpus(tmp_path / "ws", items=6)
    items = made.corpus.table("items")
    kept = [row | {"work": "new"} for row in items.read().to_pylist() if row["item_id"] == "item-0000"]
    items.commit(kept, replacing=["items-work"], metadata={})
    corpus = Corpus(made.corpus.workspace, made.corpus.labels, LIVE | {"items": LiveWork.of(["new"])})
    # Of three judged items two are gone; each has two judgements that were not taken back.
    assert set_aside(corpus) == SetAside(2, 4, ())
    card = (make_release(made._replace(corpus=corpus))[1] / "README.md").read_text()
    assert "2 items that people judged" in card


def test_judgements_under_another_label_schema_are_named(tmp_path):
    made = make_corpus(tmp_path / "ws", items=2)
    other = load_labels("text_quality.v1")
    act = {"annotation_id": "a", "judgement_id": "j", "item_id": "item-0000", "annotator": "ada", "action": "created"}
    open_table(made.corpus.workspace, "annotations", other).commit([act], metadata={})
    result = set_aside(made.corpus)
    assert result.other_schemas == ("text_quality.v1",)
    assert result.sentences() == [
        "judgements under label schema text_quality.v1 are set aside: this recipe uses another label schema "
        "(`curate labels migrate --from` carries them over)"
    ]


def test_a_plan_says_what_a_changed_setting_may_set_aside(tmp_path):
    (tmp_path / "posts.jsonl").write_text('{"text": "I am so happy. We meet at five."}\n')
    stages = [
        {"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"},
        {"stage": "preprocess"},
        {"stage": "prelabel", "model": "offline"},
        {"stage": "aggregate"},
    ]
    recipe = make_recipe(tmp_path, *stages)
    run_quietly(recipe, tmp_path / "w")
    workspace, loaded = Workspace(tmp_path / "w"), load_recipe(recipe)
    corpus = open_corpus(loaded, workspace)
    (item,) = corpus.read("items").to_pylist()
    act = {"annotation_id": "a", "judgement_id": "j", "item_id": item["item_id"], "annotator": "ada"}
    corpus.table("annotations").commit([act | {"action": "created", "emotion": ["fear"]}], metadata={})
    assert "that people judged" not in str(plan(loaded, workspace))
    stages[1] |= {"posts": "sentences"}
    loaded = load_recipe(make_recipe(tmp_path, *stages))
    entry = next(entry for entry in plan(loaded, workspace) if entry.stage == "aggregate")
    assert "1 item that people judged (1 judgement) is not made by these settings so far" in entry.note
    done = run_quietly(loaded.path, tmp_path / "w")
    assert "1 item that people judged (1 judgement) is set aside" in done.stages[-1].message
