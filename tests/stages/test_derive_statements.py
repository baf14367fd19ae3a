"""Statements are true by the label and false by labels that nobody gave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.labels import load_labels
from curate.stages.derive.view import Draw
from curate.stages.derive.views.statements import Statements
from tests.support.parents import derive, make_answer, make_parent, make_schema

STATEMENT = load_labels("emotion_statement.v1")
POST = make_schema("post", emotion={"type": "category", "taxonomy": "ekman7.v1"})
MANY = make_schema("post", emotion={"type": "category", "taxonomy": "ekman7.v1", "multiple": True})
SAYS = {"view": "statements", "field": "emotion", "says": "The writer feels {label}."}


def make_item(item_id: str, label, *named: str):
    answers = [make_answer(f"r{n}", emotion=name) for n, name in enumerate(named)]
    return make_parent(item_id, *answers, label={"emotion": label, "soft": {}, "evidence": ["act-1"]}, text="x")


def test_one_true_statement_and_false_ones_that_nobody_named():
    view = Statements.model_validate({**SAYS, "wrong": 3, "words": {"anger": "angry"}})
    made, left_out = derive(view, STATEMENT, POST, [make_item("a", "anger", "anger", "anger", "fear")])
    verdicts = {item.facts["label"]: item.answers[0].values["holds"] for item in made}
    assert verdicts.pop("anger") == "True"
    assert set(verdicts.values()) == {"False"}
    assert len(verdicts) == 3
    assert "fear" not in verdicts, "one rater named it"
    assert made[0].statement == "The writer feels angry."
    assert (made[0].text, made[0].answers[0].evidence) == ("x", ("act-1",))
    assert left_out == []


def test_several_labels_are_several_truths_and_too_few_others_are_said():
    item = make_item("a", ["anger", "fear"])
    made, left_out = derive(Statements.model_validate({**SAYS, "wrong": 6}), STATEMENT, MANY, [item])
    assert [item.facts["label"] for item in made][:2] == ["anger", "fear"]
    assert len(made) == 7
    assert [out.reason for out in left_out] == ["filtered"]
    _, left_out = derive(Statements.model_validate(SAYS), STATEMENT, POST, [make_item("b", None)])
    assert [out.reason for out in left_out] == ["unlabelled"]


@given(st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1), st.integers(0, 99))
def test_what_is_drawn_for_an_item_depends_on_nothing_else(names, seed):
    view = Statements.model_validate({**SAYS, "wrong": 2})
    alone, _ = derive(view, STATEMENT, POST, [make_item("a", "anger")], Draw(seed))
    made, _ = derive(view, STATEMENT, POST, [make_item(name, "anger") for name in names], Draw(seed))
    among = [item.statement for item in made if item.parents[0].item_id == "a"]
    assert among in ([item.statement for item in alone], [])


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"says": "They feel it."}, "write {label} once in the sentence, where the label goes"),
        ({"true": "yes"}, "'yes' is not a label of holds: True, False, cannot tell"),
        ({"words": {"angry": "x"}}, "'angry' is not a label of emotion"),
        ({"into": "hold"}, "hold is not a field of emotion_statement.v1; did you mean holds?"),
    ],
)
def test_settings_that_cannot_work_are_named(settings, problem):
    view = Statements.model_validate({**SAYS, **settings})
    assert any(problem in sentence for _, sentence in view.problems(STATEMENT, POST))
