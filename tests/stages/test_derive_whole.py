"""Views that keep items whole: dialogues, conflicts, compounds, differences and shifts, each with its right values."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.labels import load_labels
from curate.stages.derive.views.compound import Compound
from curate.stages.derive.views.conflict import Conflict, distance_of
from curate.stages.derive.views.dialogues import Dialogues
from curate.stages.derive.views.difference import Difference
from curate.stages.derive.views.open_vocabulary import OpenVocabulary
from curate.stages.derive.views.shift import Shift
from tests.support.parents import derive, make_answer, make_parent, make_schema

POST = make_schema(
    "post",
    emotion={"type": "category", "taxonomy": "ekman7.v1"},
    valence={"type": "scale", "minimum": 1, "maximum": 5},
)
CLIP = load_labels("acted_emotion.v1")


def turn(item_id: str, speaker: str | None, start_s: float, *answers, **row):
    return make_parent(
        item_id, *answers, source_id="film", speaker=speaker, text=f"says {item_id}", start_s=start_s,
        end_s=start_s + 1, **row
    )  # fmt: skip


def sentences(view, labels, parent) -> list[str]:
    return [sentence for _, sentence in view.problems(labels, parent)]


# Dialogues


def test_turns_before_and_after_are_shown_in_order_of_time():
    turns = [turn("c", "A", 4.0), turn("a", "A", 0.0, make_answer("r", emotion="anger")), turn("b", "B", 2.0)]
    made, left_out = derive(Dialogues(view="dialogues", before=1, after=1), POST, POST, turns)
    shown = {item.parents[0].item_id: ([t["text"] for t in item.dialogue], item.turn) for item in made}
    assert shown == {
        "a": (["says a", "says b"], 0),
        "b": (["says a", "says b", "says c"], 1),
        "c": (["says b", "says c"], 1),
    }
    assert left_out == []
    by_item = {item.parents[0].item_id: item for item in made}
    assert by_item["a"].answers[0].values == {"emotion": "anger"}
    assert {parent.item_id for parent in by_item["b"].parents} == {"a", "b", "c"}
    assert by_item["a"].text == "says a"


def test_columns_name_the_dialogue_and_the_order_and_keep_it_together():
    def row(item_id: str, dialogue: str | None, number: str):
        columns = [{"name": "D", "value": dialogue}, {"name": "U", "value": number}]
        return make_parent(item_id, text=item_id, group=f"g-{item_id}", source={"columns": columns})

    items = [row("a", "7", "2"), row("b", "7", "10"), row("c", "7", "x"), row("d", None, "1"), row("e", "8", "1")]
    made, left_out = derive(Dialogues(view="dialogues", by="D", order="U"), POST, POST, items)
    shown = {item.parents[0].item_id: [t["text"] for t in item.dialogue] for item in made}
    assert shown == {"a": ["a"], "b": ["a", "b"], "e": ["e"]}, "10 comes after 2"
    assert {(out.item_id, out.reason) for out in left_out} == {("c", "filtered"), ("d", "filtered")}
    group = {item.parents[0].item_id: item.group for item in made}
    assert group["a"] == group["b"] != group["e"]


def test_turns_at_the_same_place_are_left_out():
    made, left_out = derive(
        Dialogues(view="dialogues"), POST, POST, [turn("a", "A", 1.0), turn("b", "B", 1.0), turn("c", "B", 3.0)]
    )
    assert [item.parents[0].item_id for item in made] == ["c"]
    assert sorted((out.item_id, out.reason) for out in left_out) == [("a", "tied"), ("b", "tied")]


@given(st.permutations(range(6)), st.integers(0, 5), st.integers(0, 5))
def test_context_is_as_long_as_asked_whatever_the_order_of_rows(order, before, after):
    turns = [turn(str(n), "A", float(n)) for n in range(6)]
    view = Dialogues(view="dialogues", before=before, after=after)
    made, _ = derive(view, POST, POST, [turns[n] for n in order])
    for item in made:
        number = int(item.parents[0].item_id)
        expected = [f"says {n}" for n in range(max(0, number - before), min(6, number + after + 1))]
        assert [t["text"] for t in item.dialogue] == expected
        assert item.dialogue[item.turn]["text"] == f"says {number}"


# Conflicts


def judged(item_id: str, face: list[str], voice: list[str], both: list[str] = []):  # noqa: B006
    arms = {"face": face, "voice": voice, "audiovisual": both}
    answers = [
        make_answer(f"{arm}{n}", arm, emotion=label) for arm, names in arms.items() for n, label in enumerate(names)
    ]
    return make_parent(item_id, *answers, unit="clip")


CONFLICT = {"view": "conflict", "field": "emotion", "between": ("face", "voice")}


def test_items_are_kept_whose_arms_differ_with_shares_and_distance():
    items = [
        judged("a", ["anger", "anger", "fear"], ["fear", "fear", "fear"], ["fear"]),
        judged("b", ["anger"], ["anger"]),
        judged("c", ["anger"], []),
        judged("d", ["anger", "fear"], ["fear"]),
    ]
    view = Conflict.model_validate({**CONFLICT, "reference": "audiovisual"})
    (item,), left_out = derive(view, CLIP, CLIP, items)
    assert dict(item.facts) == {
        "conflict": "yes",
        "distance": f"{2 / 3:.6f}",
        "label_face": "anger",
        "label_voice": "fear",
        "shares_face": item.facts["shares_face"],
        "shares_voice": '{"fear": 1.0}',
        "aligned_with": "voice",
    }
    assert json.loads(item.facts["shares_face"]) == {
        "anger": pytest.approx(2 / 3, abs=1e-6),
        "fear": pytest.approx(1 / 3, abs=1e-6),
    }
    assert len(item.answers) == 7, "the judgements of all arms pass on"
    assert {(out.item_id, out.reason) for out in left_out} == {("b", "filtered"), ("c", "unlabelled"), ("d", "tied")}


def test_agreements_or_all_can_be_kept_and_near_conflicts_left_out():
    items = [judged("a", ["anger"], ["fear"]), judged("b", ["anger"], ["anger"])]

    def kept(**settings):
        made, _ = derive(Conflict.model_validate({**CONFLICT, **settings}), CLIP, CLIP, items)
        return {item.parents[0].item_id: item.facts["conflict"] for item in made}

    assert kept() == {"a": "yes"}
    assert kept(keep="agreements") == {"b": "no"}
    assert kept(keep="all") == {"a": "yes", "b": "no"}
    near = [judged("a", ["anger", "anger", "fear"], ["fear", "fear", "anger"])]
    made, left_out = derive(Conflict.model_validate({**CONFLICT, "min_distance": 0.5}), CLIP, CLIP, near)
    assert (made, [out.sentence for out in left_out]) == ([], ["its arms are nearer than 0.5"])


SHARES = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1).map(
    lambda counts: {name: count / sum(counts.values()) for name, count in counts.items()}
)


@given(SHARES, SHARES, st.sampled_from(["total_variation", "jensen_shannon"]))
def test_distances_are_symmetric_within_0_and_1_and_0_only_for_equals(first, second, kind):
    apart = distance_of(first, second, kind)
    assert math.isclose(apart, distance_of(second, first, kind), abs_tol=1e-12)
    assert -1e-12 <= apart <= 1 + 1e-12
    assert distance_of(first, first, kind) == pytest.approx(0, abs=1e-12)
    if not set(first) & set(second):
        assert apart == pytest.approx(1)


# Compounds

EXPRESSION = make_schema("post", compound={"type": "category", "taxonomy": "cexpr7.v1"})
DYADS = make_schema("post", dyad={"type": "category", "taxonomy": "plutchik_dyads24.v1"})
BASIC = make_schema("post", feeling={"type": "category", "taxonomy": "plutchik8.v1"})


def named(item_id: str, *labels: str, field: str = "emotion"):
    return make_parent(item_id, *(make_answer(f"r{n}", **{field: label}) for n, label in enumerate(labels)), text="x")


def test_the_compound_is_the_pair_with_the_largest_sum():
    items = [
        named("a", "sadness", "sadness", "anger", "fear"),
        named("b", "happiness"),
        named("c", "sadness", "anger", "fear"),
        make_parent("d", text="x"),
    ]
    view = Compound(view="compound", field="emotion", into="compound", at_least=0.1)
    made, left_out = derive(view, EXPRESSION, POST, items)
    assert made == []
    assert {(out.item_id, out.reason) for out in left_out} == {
        ("a", "tied"),
        ("b", "unlabelled"),
        ("c", "tied"),
        ("d", "unlabelled"),
    }
    first = view.model_copy(update={"ties": "first"})
    made, _ = derive(first, EXPRESSION, POST, items)
    values = {item.parents[0].item_id: item.answers[0].values["compound"] for item in made}
    assert values == {"a": "Sadly Fearful", "c": "Sadly Fearful"}
    assert made[0].facts == {"score": "0.750000", "parts": "sadness and fear"}
    assert made[0].answers[0].evidence == ("act-r0", "act-r1", "act-r2", "act-r3")


def test_sum_and_product_can_differ_and_dyads_are_of_plutchiks_emotions():
    # joy .6 trust .1 -> sum .7, product .06; fear .3 with joy: guilt, sum .9, product .18
    item = named("a", *["joy"] * 6, "trust", *["fear"] * 3, field="feeling")
    for rule, score in (("sum", "0.900000"), ("product", "0.180000")):
        view = Compound(view="compound", field="feeling", into="dyad", rule=rule)
        (made,), _ = derive(view, DYADS, BASIC, [item])
        assert made.answers[0].values == {"dyad": "guilt"}
        assert made.facts["score"] == score


def test_the_labels_of_a_model_count_where_nobody_judged():
    label = {"soft": {"emotion": {"sadness": 0.5, "anger": 0.4, "happiness": 0.1}}, "emotion": "sadness"}
    view = Compound(view="compound", field="emotion", into="compound")
    (made,), _ = derive(view, EXPRESSION, POST, [make_parent("a", text="x", label=label)])
    assert made.answers[0].values == {"compound": "Sadly Angry"}


def test_taxonomies_that_do_not_fit_are_named():
    view = Compound(view="compound", field="valence", into="compound")
    assert sentences(view, EXPRESSION, POST) == ["valence of test_post.v1 is a field of type scale; category is needed"]
    view = Compound(view="compound", field="emotion", into="emotion")
    assert "is not composed of two emotions of emotion" in sentences(view, POST, POST)[0]


# Differences

GAP = make_schema("post", gap={"type": "scale", "minimum": -4, "maximum": 4, "step": 0.01})


def test_the_writer_minus_the_mean_of_readers():
    answers = [make_answer("w", "writer", valence=4.0), *(
        make_answer(f"r{n}", "reader", valence=value) for n, value in enumerate((1.0, 2.0, 3.0)))]  # fmt: skip
    items = [make_parent("a", *answers, text="x"), make_parent("b", answers[0], text="y")]
    view = Difference(view="difference", of="writer", minus="reader", into={"gap": "valence"})
    (made,), left_out = derive(view, GAP, POST, items)
    (answer,) = made.answers
    assert answer.values == {"gap": 2.0}
    assert len(answer.evidence) == 4
    assert [(out.item_id, out.reason) for out in left_out] == [("b", "unlabelled")]


@given(st.lists(st.floats(1, 5), min_size=1, max_size=4), st.lists(st.floats(1, 5), min_size=1, max_size=4))
def test_turning_the_arms_round_turns_the_sign(first, second):
    answers = [
        make_answer(f"{arm}{n}", arm, valence=v) for arm, vs in (("a", first), ("b", second)) for n, v in enumerate(vs)
    ]
    item = make_parent("i", *answers, text="x")
    gaps = []
    for of, minus in (("a", "b"), ("b", "a")):
        view = Difference(view="difference", of=of, minus=minus, into={"gap": "valence"})
        (made,), _ = derive(view, GAP, POST, [item])
        gaps.append(made.answers[0].values["gap"])
    assert gaps[0] == pytest.approx(-gaps[1], abs=0.011), "both move to the nearest step of 0.01"


def test_a_scale_that_is_too_short_is_named():
    short = make_schema("post", gap={"type": "scale", "minimum": -1, "maximum": 1})
    view = Difference(view="difference", of="w", minus="r", into={"gap": "valence"})
    assert sentences(view, short, POST) == ["gap must reach from -4 to 4 to hold differences of valence"]


# Shifts

CHANGE = make_schema("post", holds={"type": "category", "taxonomy": "statement_truth.v1"})


def test_a_speakers_next_turn_is_compared_by_the_same_rater():
    turns = [
        turn("a", "A", 0.0, make_answer("r1", emotion="anger"), make_answer("r2", emotion="fear")),
        turn("b", "B", 2.0, make_answer("r1", emotion="happiness")),
        turn("c", "A", 4.0, make_answer("r1", emotion="neutral"), make_answer("r2", emotion="fear")),
        turn("d", "A", 6.0, make_answer("r3", emotion="neutral")),
        turn("e", None, 8.0),
    ]
    view = Shift(view="shift", field="emotion", into="holds", changed="True", same="False")
    (made,), left_out = derive(view, CHANGE, POST, turns)
    assert made.parents[0].item_id == "c"
    assert {answer.rater: answer.values["holds"] for answer in made.answers} == {"r1": "True", "r2": "False"}
    assert [t["text"] for t in made.dialogue] == ["says a", "says b", "says c"]
    assert made.facts == {"from": "anger; fear"}
    assert {(out.item_id, out.reason) for out in left_out} == {
        ("a", "filtered"),
        ("b", "filtered"),
        ("d", "unlabelled"),
        ("e", "filtered"),
    }


def test_a_scale_becomes_the_difference_to_the_turn_before():
    turns = [turn("a", "A", 0.0, make_answer("r", valence=2.0)), turn("b", "A", 2.0, make_answer("r", valence=5.0))]
    (made,), _ = derive(Shift(view="shift", field="valence", into="gap"), GAP, POST, turns)
    assert made.answers[0].values == {"gap": 3.0}
    view = Shift(view="shift", field="emotion", into="holds")
    assert "'changed' is not a label of holds" in sentences(view, CHANGE, POST)[0]


# What all of them share


def test_a_viewing_copy_that_is_missing_and_a_unit_that_is_not_judged_are_said():
    film = make_parent("a", *judged("a", ["anger"], ["fear"]).answers, unit="clip", layout="video", audio="aa/a.flac")
    _, left_out = derive(Conflict.model_validate(CONFLICT), CLIP, CLIP, [film])
    assert [out.reason for out in left_out] == ["unavailable"]
    (made,), _ = derive(Conflict.model_validate({**CONFLICT, "media": False}), CLIP, CLIP, [film])
    assert (made.layout, dict(made.media)) == ("text", {})
    shown = make_parent("a", *film.answers, unit="clip", layout="video", audio="aa/a.flac", video="aa/a.mp4")
    (made,), _ = derive(Conflict.model_validate(CONFLICT), CLIP, CLIP, [shown])
    assert (made.layout, dict(made.media)) == ("video", {"audio": "aa/a.flac", "video": "aa/a.mp4"})
    post = make_parent("p", *film.answers, unit="post")
    _, left_out = derive(Conflict.model_validate(CONFLICT), CLIP, CLIP, [post])
    assert [out.reason for out in left_out] == ["no_unit"]


def test_fields_pass_on_under_other_names_only_where_they_fit():
    view = Dialogues(view="dialogues", fields={"emotion": "valence"})
    assert sentences(view, POST, POST) == [
        "emotion cannot hold every value of valence: their types, labels or scales differ"
    ]
    view = Dialogues(view="dialogues", fields={"emotion": "emotio"})
    assert "emotio is not a field of test_post.v1; did you mean emotion?" in sentences(view, POST, POST)[0]


# Open vocabulary

WORDS = make_schema("post", words={"type": "open_set"}, valence={"type": "scale", "minimum": 1, "maximum": 5})
GROUPED = make_schema(
    "post",
    emotion={"type": "category", "taxonomy": "parrott.v1", "multiple": True},
    valence={"type": "scale", "minimum": 1, "maximum": 5},
)


def test_free_words_become_the_labels_of_a_wheel_rater_by_rater():
    items = [
        make_parent(
            "a", make_answer("r1", words=["Fury", "rage", "blorp"], valence=2.0), make_answer("r2", words=["sad"])
        ),
        make_parent("b", make_answer("r1", words=["blorp"])),
    ]
    view = OpenVocabulary(view="open_vocabulary", field="words", into="emotion", level=1)
    (made,), left_out = derive(view, GROUPED, WORDS, items)
    assert [(answer.rater, answer.values) for answer in made.answers] == [
        ("r1", {"emotion": ["anger"], "valence": 2.0}),
        ("r2", {"emotion": ["sadness"]}),
    ]
    assert made.facts == {"unknown_words": "blorp"}
    assert [(out.item_id, out.reason) for out in left_out] == [("b", "unlabelled")]
    whole = view.model_copy(update={"level": None})
    (made,), _ = derive(whole, GROUPED, WORDS, items)
    assert made.answers[0].values["emotion"] == ["rage", "fury"]


def test_one_label_cannot_hold_several_words():
    one = make_schema("post", emotion={"type": "category", "taxonomy": "parrott.v1"})
    view = OpenVocabulary(view="open_vocabulary", field="words", into="emotion")
    assert "emotion must have `multiple: true`" in sentences(view, one, WORDS)[0]
