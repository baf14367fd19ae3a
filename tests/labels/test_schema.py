"""Taxonomies, label schemas, and the three directions of every field type."""

import json
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InvalidInput
from curate.labels import ItemContext, arrow_type, compile_config, load_labels, load_taxonomy, parse_layout
from curate.labels.fields import Category, Scale, Text
from curate.labels.fields.text import without_controls
from curate.labels.taxonomy import Taxonomy
from tests.support.label_files import write_asset

ITEM = ItemContext(text="Words")
LAYOUT = '<View><Text name="utt" value="$text"/><Fields toName="utt"/></View>'
SHOWN = parse_layout(LAYOUT)

names = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=12)
folded_unique = st.lists(names, min_size=1, max_size=8, unique_by=lambda s: " ".join(s.casefold().split()))


@st.composite
def fields_and_values(draw):
    kind = draw(st.sampled_from(["single", "multiple", "ordinal", "interval", "text"]))
    if kind in ("single", "multiple"):
        labels = draw(folded_unique)
        taxonomy = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": labels})
        field = Category(name="f", type="category", taxonomy=taxonomy, multiple=kind == "multiple")
        if kind == "single":
            return field, draw(st.sampled_from(labels))
        chosen = draw(st.sets(st.sampled_from(labels), min_size=1))
        return field, [label for label in labels if label in chosen]
    if kind == "ordinal":
        low = draw(st.integers(-5, 5))
        high = low + draw(st.integers(1, 12))
        field = Scale(name="f", type="scale", minimum=low, maximum=high, level="ordinal")
        return field, float(draw(st.integers(low, high)))
    if kind == "interval":
        low = draw(st.floats(-10, 10, allow_nan=False))
        high = low + draw(st.floats(0.01, 20))
        field = Scale(name="f", type="scale", minimum=low, maximum=high)
        return field, field.check(draw(st.floats(low, high)))
    field = Text(name="f", type="text", max_chars=50)
    return field, draw(st.text(min_size=1, max_size=50).map(without_controls).map(str.strip).filter(bool))


@given(fields_and_values())
def test_value_to_prediction_and_back(case):
    field, value = case
    results = json.loads(json.dumps(field.to_prediction(value, SHOWN, ITEM)))
    assert field.from_result(results, ITEM) == value


@given(fields_and_values())
def test_value_to_arrow_and_back(case):
    field, value = case
    assert pa.array([value, None], field.arrow_type).to_pylist() == [value, None]
    released = pa.array([field.to_release(value), None], arrow_type(field.feature))
    assert released.to_pylist()[1] is None


@given(fields_and_values())
def test_one_rater_settles_it_and_agrees_with_themselves(case):
    field, value = case
    assert field.aggregate([value]).value == value
    assert field.aggregate([value, value]).value == value
    assert field.distance(value, value) in (0, None)


@given(fields_and_values())
def test_control_is_valid_xml_and_names_every_label(case):
    field, _ = case
    control, *_ = [ET.fromstring(ET.tostring(made, encoding="unicode")) for made in field.inputs(SHOWN, "en")]
    assert control.get("name") == "f"
    offered = [choice.get("alias") or choice.get("value") for choice in control.iter("Choice")]
    assert offered == list(field.labels) or field.type == "scale"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        (
            Scale(name="f", type="scale", minimum=1, maximum=5, level="ordinal"),
            [6.0, 0, 2.5, float("nan"), True, "3", None],
        ),
        (Scale(name="f", type="scale", minimum=-1, maximum=1), [1.001, float("inf"), 1e308, []]),
        (Text(name="f", type="text", max_chars=3), ["", "   ", "four", 3]),
    ],
)
def test_wrong_values_are_refused(field, wrong):
    for value in wrong:
        with pytest.raises(ValueError):  # noqa: PT011
            field.check(value)


def test_unknown_label_from_the_server_is_named():
    field = load_labels("utterance_emotion.v1").fields["emotion"]
    result = {"from_name": "emotion", "type": "choices", "value": {"choices": ["anger", "rage"]}}
    with pytest.raises(ValueError, match=r"'rage' is not a label of ekman7\.v1"):
        field.from_result([result], ITEM)
    with pytest.raises(ValueError, match="without 'choices'"):
        field.from_result([{"value": {"rating": 3}}], ITEM)


def test_majority_of_three_and_a_tie():
    field = load_labels("utterance_emotion.v1").fields["emotion"]
    settled = field.aggregate([["anger"], ["anger", "fear"], ["fear", "anger"]])
    assert settled.value == ["anger", "fear"]
    assert settled.soft == {"anger": 1.0, "fear": pytest.approx(2 / 3)}
    assert field.aggregate([["anger"], ["fear"]]).value is None


def test_compiled_config_passes_the_servers_own_check():
    from label_studio_sdk.label_interface import LabelInterface

    schema = load_labels("utterance_emotion.v1")
    config = LabelInterface(compile_config(schema, LAYOUT))
    config.validate()
    assert {control.name for control in config.controls} == {*schema.fields, "cannot_judge", "valence-other"}


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ("<View>", "not valid XML"),
        ("<View/>", "has 0 <Fields"),
        ('<View><Fields toName="a"/><Fields toName="a"/></View>', "has 2 <Fields"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View><Fields toName="a"/></View>', "document type"),
    ],
)
def test_broken_layouts(layout, says):
    with pytest.raises(InvalidInput, match=says):
        compile_config(load_labels("utterance_emotion.v1"), layout)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("[joy, Joy]", "'joy' and 'Joy' are the same"),
        ("[joy, ' joy']", "begins or ends with a space"),
        ("['so sad', 'so  sad']", "are the same but for case or spaces"),
        ("[]", "at least 1 entry"),
        ("[{name: joy, colour: red}]", "colour is not a setting of labels; did you mean color?"),
        ("[3]", "labels|valid dictionary"),
    ],
)
def test_broken_taxonomies_are_told_with_their_line(tmp_path, labels, says):
    write_asset(tmp_path, "taxonomies", "mine.v1", f"taxonomy: mine.v1\ntitle: Mine\nlabels: {labels}\n")
    with pytest.raises(InvalidInput) as caught:
        load_taxonomy("mine.v1", tmp_path)
    problem = "\n".join(caught.value.problems)
    assert "mine.v1.yaml:" in problem
    pytest.importorskip("re").search(says, problem) or pytest.fail(problem)


def test_broken_schema_tells_everything_at_once(tmp_path):
    text = """name: mine.v1
unit: utterance
fields:
  feeling: {type: category, taxonomy: ekman8.v1}
  size: {type: scale, minimum: 5, maximum: 1}
  other: {type: slider}
  Bad: {type: text}
  words: {type: text, max_char: 3}
"""
    write_asset(tmp_path, "labels", "mine.v1", text)
    with pytest.raises(InvalidInput) as caught:
        load_labels("mine.v1", tmp_path)
    problems = caught.value.problems
    assert len(problems) == 5
    for line, says in [
        (4, "did you mean ekman7.v1?"),
        (5, "minimum 5 must be below maximum 1"),
        (6, "'slider' is not a field type"),
        (7, "name is 'Bad'"),
        (8, "did you mean max_chars?"),
    ]:
        assert any(f"mine.v1.yaml:{line}: " in p and says in p for p in problems), (line, problems)


def test_own_schema_wins_over_the_shipped_one(tmp_path):
    write_asset(
        tmp_path,
        "labels",
        "utterance_emotion.v1",
        "name: utterance_emotion.v1\nunit: post\nfields:\n  a: {type: text}\n",
    )
    assert list(load_labels("utterance_emotion.v1", tmp_path).fields) == ["a"]
    assert load_labels("utterance_emotion.v1").sha256 != load_labels("utterance_emotion.v1", tmp_path).sha256


def test_hostile_labels_survive(tmp_path):
    hostile = ['A & B <x> "y"', "怒り", "${x}", "a'b", "--"]
    write_asset(tmp_path, "taxonomies", "odd.v1", json.dumps({"taxonomy": "odd.v1", "title": "Odd", "labels": hostile}))
    taxonomy = load_taxonomy("odd.v1", tmp_path)
    field = Category(name="f", type="category", taxonomy=taxonomy, multiple=True)
    (control,) = [ET.fromstring(ET.tostring(made)) for made in field.inputs(SHOWN, "en")]
    assert [choice.get("alias") or choice.get("value") for choice in control.iter("Choice")] == hostile
    assert "${" not in "".join(choice.get("value") for choice in control.iter("Choice"))
    assert field.from_result(field.to_prediction(hostile, SHOWN, ITEM), ITEM) == hostile
