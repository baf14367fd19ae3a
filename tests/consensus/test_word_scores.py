"""Precision, recall and F of sets of words, by hand and by properties."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from curate.cli.app import app
from curate.consensus.word_scores import paired_words, word_scores
from curate.errors import InvalidInput
from curate.labels import load_taxonomy
from curate.labels.word_groups import group_words
from curate.pipeline import open_corpus
from curate.pipeline.scores import score_words
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.support.asking import KEY
from tests.support.builders import make_posts, make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.label_files import write_asset
from tests.support.runs import run_quietly

PARROTT = load_taxonomy("parrott.v1")
EKMAN = load_taxonomy("ekman7.v1")
WORDS = st.lists(st.sampled_from(["joyful", "furious", "anger", "sad", "grief", "blorp", "Fear"]), min_size=1)


def scores(pairs, *wheels, level=None):
    return list(word_scores("emotions", "model", pairs, wheels, level=level))


def test_words_are_compared_as_they_are_without_a_wheel():
    pairs = [(["Sad", "angry", "tired"], ["sad", "angry"]), (["happy"], ["glad", "calm"])]
    (score,) = scores(pairs)
    assert (score.wheel, score.items, score.unknown) == ("words", 2, 0)
    assert score.precision == pytest.approx((2 / 3 + 0) / 2)
    assert score.recall == pytest.approx((1 + 0) / 2)
    assert score.f == pytest.approx(2 * (1 / 3) * 0.5 / (1 / 3 + 0.5))
    assert score.low <= score.f <= score.high


def test_words_of_one_group_are_the_same_and_unknown_ones_stand_for_themselves():
    pairs = [(["fury", "blorp"], ["rage"])]
    (leaves,) = scores(pairs, PARROTT)
    (roots,) = scores(pairs, PARROTT, level=1)
    assert (leaves.precision, leaves.recall) == (0, 0)
    assert (roots.precision, roots.recall, roots.unknown) == (0.5, 1, 1)
    assert group_words(["fury", "rage"], PARROTT, level=1).labels == ("anger",)
    (same,) = scores([(["blorp"], ["Blorp "])], PARROTT)
    assert same.f == 1


def test_several_wheels_are_averaged():
    pairs = [(["fury"], ["rage"]), (["joy", "fear"], ["joy"])]
    first, second, mean = scores(pairs, PARROTT, EKMAN, level=1)
    assert (first.wheel, second.wheel, mean.wheel) == ("parrott.v1", "ekman7.v1", "mean of 2")
    for name in ("precision", "recall", "f"):
        assert getattr(mean, name) == pytest.approx((getattr(first, name) + getattr(second, name)) / 2)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=8))
def test_turning_the_sides_round_swaps_precision_and_recall(pairs):
    (one,) = scores(pairs, PARROTT, level=1)
    (other,) = scores([pair[::-1] for pair in pairs], PARROTT, level=1)
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert one.f == pytest.approx(other.f)
    (equal,) = scores([(pair[0], pair[0]) for pair in pairs], PARROTT, level=1)
    assert (equal.precision, equal.recall, equal.f) == (1, 1, 1)
    (again,) = scores(pairs, PARROTT, level=1)
    assert again == one, "the interval is drawn by a fixed seed"


def test_only_items_with_words_on_both_sides_count():
    assert paired_words({"b": ["x"], "a": ["y"], "c": None}, {"a": ["z"], "b": None, "d": ["w"]}) == [(["z"], ["y"])]


SCHEMA = """\
name: words.v1
unit: post
fields:
  words: {type: open_set, required: true}
"""


def test_a_models_words_are_scored_by_those_of_people(tmp_path, monkeypatch):
    write_asset(tmp_path, "labels", "words.v1", SCHEMA)
    (tmp_path / "words.csv").write_text(
        'id,text,rater,words\n1,Hey you!,r1,"[""A word of joy""]"\n2,Go on.,r1,"[""a word of rest"",""calm""]"\n',
        "utf-8",
    )
    table = {"table": "words.csv", "item": {"id": "id", "text": "text"}, "rater": "rater", "long": {"words": "words"}}
    recipe = make_recipe(
        tmp_path,
        {"stage": "ingest", "licence": "CC0-1.0", "tables": [table]},
        {"stage": "preprocess"},
        {"stage": "prelabel", "model": "openai/gpt-5-mini"},
        {"stage": "annotate", "server": False},
        {"stage": "aggregate"},
        labels="words.v1",
    )
    with ChatDouble(key=KEY) as double:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", double.url)
        run_quietly(recipe, tmp_path / "w")
    loaded, workspace = load_recipe(recipe), Workspace(tmp_path / "w")
    corpus = open_corpus(loaded, workspace)
    given = {row["item_id"]: row["words"] for row in corpus.read("prelabels", ["item_id", "words"]).to_pylist()}
    said = {row["item_id"]: row["words"] for row in corpus.read("labels", ["item_id", "words"]).to_pylist()}
    assert all(given.values())
    precisions = [
        len({w.lower() for w in given[item]} & {w.lower() for w in said[item]}) / len(given[item]) for item in said
    ]
    done = CliRunner().invoke(app, ["scores", str(recipe), "-w", str(tmp_path / "w"), "--words", "--json"])
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["field"], row["wheel"], row["items"]) == ("words", "words", 2)
    assert row["precision"] == pytest.approx(sum(precisions) / 2)
    shown = CliRunner().invoke(app, ["scores", str(recipe), "-w", str(tmp_path / "w"), "--words", "--by", "parrott.v1"])
    assert "parrott.v1" in shown.output
    wrong = CliRunner().invoke(app, ["scores", str(recipe), "-w", str(tmp_path / "w"), "--level", "1"])
    assert wrong.exit_code != 0
    with pytest.raises(InvalidInput, match="has no free words"):
        score_words(load_recipe(make_posts(tmp_path / "p", 1)), workspace)
