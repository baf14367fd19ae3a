"""Several proposals as one, for every field type and every way to combine."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.labels import LabelSchema, load_labels
from curate.llm.combine import combine
from tests.support.field_strategies import records, schemas
from tests.support.label_strategies import items

HOW = ("majority", "union", "intersection", "mean")
AFFECT = load_labels("utterance_emotion.v1")
slow = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def make_record(emotion, valence=0.0, **more):
    return {"emotion": emotion, "valence": valence, "intensity": None, "description": None, **more}


@slow
@given(data=st.data(), how=st.sampled_from(HOW))
def test_whatever_is_combined_is_a_record_of_the_schema(data, how):
    schema, item = data.draw(schemas()), data.draw(items(video=True))
    proposals = [data.draw(records(schema, item)) for _ in range(data.draw(st.integers(1, 4)))]
    made = combine(schema, proposals, how)
    assert schema.check_record(made.values) == made.values
    assert combine(schema, proposals, how) == made
    assert made.confidence is None or 0 <= made.confidence <= 1 + 1e-9
    for name, scores in made.scores.items():
        assert set(scores) <= set(schema.fields[name].soft_labels)
        assert all(0 < score <= 1 for score in scores.values())


@slow
@given(data=st.data(), how=st.sampled_from(HOW), count=st.integers(1, 3))
def test_equal_proposals_give_that_proposal(data, how, count):
    schema, item = data.draw(schemas()), data.draw(items(video=True))
    record = data.draw(records(schema, item))
    made = combine(schema, [record] * count, how)
    assert made.values == record
    if count == 1:
        assert made.confidence is None
    elif made.confidence is not None:
        assert made.confidence == pytest.approx(1)


@pytest.mark.parametrize(
    ("how", "emotion", "valence"),
    [
        ("majority", ["anger", "sadness"], pytest.approx(-0.4)),
        ("mean", ["anger", "sadness"], pytest.approx(-0.4)),
        ("union", ["anger", "fear", "sadness"], pytest.approx(-0.4)),
        ("intersection", ["anger"], pytest.approx(-0.4)),
    ],
)
def test_labels_and_numbers(how, emotion, valence):
    given = [
        make_record(["anger", "sadness"], -0.8),
        make_record(["anger", "fear"], -0.4),
        make_record(["anger", "sadness"], 0.0),
    ]
    made = combine(AFFECT, given, how)
    assert made.values["emotion"] == emotion
    assert made.values["valence"] == valence
    assert made.scores == {"emotion": {"anger": 1.0, "fear": pytest.approx(1 / 3), "sadness": pytest.approx(2 / 3)}}


def test_label_of_absence_stands_alone_in_a_union():
    assert combine(AFFECT, [make_record(["neutral"]), make_record(["fear"])], "union").values["emotion"] == ["fear"]
    assert combine(AFFECT, [make_record(["neutral"])] * 2, "union").values["emotion"] == ["neutral"]


def test_required_field_without_agreement_gets_the_proposal_nearest_to_the_others():
    given = [make_record(["anger"]), make_record(["fear", "sadness"]), make_record(["fear", "surprise"])]
    assert combine(AFFECT, given, "intersection").values["emotion"] == ["fear", "sadness"]
    two = [make_record(["anger"]), make_record(["fear"])]
    assert combine(AFFECT, two, "majority").values["emotion"] == ["anger"]


def test_what_some_leave_open():
    given = [make_record(["anger"], description="A shout."), make_record(["anger"]), make_record(["anger"])]
    told = {how: combine(AFFECT, given, how).values["description"] for how in HOW}
    assert told == {"majority": None, "mean": None, "union": "A shout.", "intersection": None}


def test_confidence_falls_with_disagreement():
    same = combine(AFFECT, [make_record(["anger"], -0.5)] * 2, "majority").confidence
    near = combine(AFFECT, [make_record(["anger"], -0.5), make_record(["anger"], -0.3)], "majority").confidence
    apart = combine(AFFECT, [make_record(["anger"], -1.0), make_record(["happiness"], 1.0)], "majority").confidence
    opened = combine(AFFECT, [make_record(["anger"], intensity=3.0), make_record(["anger"])], "majority").confidence
    assert same == pytest.approx(1)
    assert near == pytest.approx((1 + 0.9) / 2)
    assert apart == pytest.approx(0)
    assert opened == pytest.approx(2 / 3)


def test_scores_of_a_labeller_count_in_place_of_its_vote():
    given = [make_record(["anger"]), make_record(["anger"])]
    scores = [{"emotion": {"anger": 0.6, "fear": 0.2}}, {}]
    made = combine(AFFECT, given, "majority", scores=scores)
    assert made.scores["emotion"] == {"anger": pytest.approx(0.8), "fear": pytest.approx(0.1)}


def test_what_is_not_asked_of_the_settled_label_is_left_out():
    schema = load_labels("utterance_affect.v1")
    rest = {"valence": 0.0, "arousal": 0.0, "dominance": 0.0, "description": None}
    angry, calm = {"emotion": ["anger"], "intensity": 4.0, **rest}, {"emotion": ["neutral"], "intensity": None, **rest}
    assert combine(schema, [calm, calm, angry], "majority").values["intensity"] is None
    assert combine(schema, [calm, angry, angry], "majority").values["intensity"] == 4.0
    assert combine(schema, [calm, angry], "union").values == angry


def test_condition_that_only_the_settled_labels_meet_takes_a_whole_proposal():
    schema = load_labels("text_quality.v1")
    unsure = {"usable": "doubtful", "problems": ["garbled"], "expressiveness": 2.0}
    bad = {"usable": "unusable", "problems": ["copied"], "expressiveness": 2.0}
    made = combine(schema, [unsure, bad], "majority").values
    assert made["problems"] == ["garbled"]
    assert schema.check_record(made) == made


def test_spans_are_joined_cut_and_voted_by_their_characters():
    schema = load_labels("emotion_causes.v1")

    def spans(*places):
        text = "You lied to me again"
        found = [
            {"id": f"s{at}", "turn": 0, "start": a, "end": b, "text": text[a:b], "label": "cause"}
            for at, (a, b) in enumerate(places)
        ]
        return {"causes": {"spans": found, "relations": []}}

    given = [spans((0, 8)), spans((4, 14)), spans((4, 20))]
    told = {}
    for how in ("union", "intersection", "majority"):
        told[how] = [each["text"] for each in combine(schema, given, how).values["causes"]["spans"]]
    assert told == {"union": ["You lied to me again"], "intersection": ["lied"], "majority": ["lied to me"]}


def test_union_that_would_be_more_than_a_value_may_hold():
    schema = load_labels("open_emotion.v1")
    given = [{"emotions": [f"word {k}{n}" for n in range(8)], "description": "x"} for k in "abc"]
    made = combine(schema, given, "union").values["emotions"]
    assert len(made) == 8
    crowded = LabelSchema.model_validate(
        {
            "name": "crowded.v1",
            "unit": "post",
            "fields": {"f": schema_field("spans", over="utterance", max_spans=1)},
        }
    )
    span = {"turn": None, "label": "a"}
    one = {"f": {"spans": [{**span, "start": 0, "end": 1, "text": "x"}], "relations": []}}
    other = {"f": {"spans": [{**span, "start": 5, "end": 6, "text": "y"}], "relations": []}}
    assert len(combine(crowded, [one, other], "union").values["f"]["spans"]) == 1


def schema_field(kind, **more):
    from curate.labels import FIELD_TYPES, Taxonomy

    taxonomy = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": ["a", "b"]})
    return FIELD_TYPES[kind].model_validate({"name": "f", "type": kind, "taxonomy": taxonomy, "required": True, **more})


def test_timelines_that_may_not_overlap():
    def at(start, end, label):
        return {"f": [{"start_s": start, "end_s": end, "label": label}]}

    for overlap in (True, False):
        fields = {"f": schema_field("timeline", overlap=overlap)}
        schema = LabelSchema.model_validate({"name": "t.v1", "unit": "clip", "fields": fields})
        made = combine(schema, [at(0, 2, "a"), at(1, 3, "b")], "union").values["f"]
        assert len(made) == (2 if overlap else 1)


def test_nothing_to_combine():
    with pytest.raises(ValueError, match="no proposal"):
        combine(AFFECT, [], "majority")
    with pytest.raises(ValueError, match="'joy' is not a label"):
        combine(AFFECT, [make_record(["joy"])], "majority")
