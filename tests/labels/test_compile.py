"""A schema file in all its forms: conditions, languages, layouts, replies, own configs, own field types."""

import json
import re
import time
from xml.etree import ElementTree as ET

import jsonschema
import pyarrow as pa
import pytest

from curate.errors import InvalidInput
from curate.labels import (
    FIELD_TYPES,
    Aggregate,
    Field,
    ItemContext,
    LabelSchema,
    Taxonomy,
    Turn,
    check_config,
    compile_arrow,
    compile_card,
    compile_config,
    config_problems,
    load_labels,
    parse_layout,
    strict_problems,
)
from curate.labels.cannot_judge import REASONS
from curate.labels.fields import Category, Scale, Spans
from curate.labels.fields.results import PartlyRead
from curate.labels.record import parse_json
from tests.support.label_files import write_asset
from tests.support.label_strategies import LAYOUT

FEELINGS = {"taxonomy": "feelings.v1", "title": "Feelings", "labels": ["joy", "Jealousy, Envy", "other"]}
ITEM = ItemContext(
    text="I lost it 😀, I lost it!",
    dialogue=(Turn("A", "You are late 😀."), Turn("B", "I lost it 😀, I lost it!")),
    duration_s=3.0,
    fps=25.0,
)
EVERYTHING = """name: mine.v1
title: Mine & yours
unit: utterance
fields:
  emotion: {type: category, taxonomy: feelings.v1, multiple: true, required: true,
            question: {en: "Which emotions?", de: "Welche Gefühle?"}}
  other: {type: text, required: true, when: {emotion: other}}
  envy: {type: scale, minimum: 1, maximum: 5, level: ordinal, when: {emotion: ["Jealousy, Envy"]}}
  valence: {type: scale, minimum: -1, maximum: 1, required: true, low: unpleasant, high: {en: pleasant, de: angenehm}}
  causes: {type: spans, over: dialogue, taxonomy: feelings.v1, relations: [caused_by]}
  segments: {type: timeline, taxonomy: feelings.v1, overlap: false}
  words: {type: open_set, taxonomy: feelings.v1, help: {de: "Frei"}}
"""


@pytest.fixture
def load_own(tmp_path):
    """Return a function that loads a label schema written next to the taxonomy of feelings."""
    write_asset(tmp_path, "taxonomies", "feelings.v1", json.dumps(FEELINGS))

    def load(text: str = EVERYTHING) -> LabelSchema:
        write_asset(tmp_path, "labels", "mine.v1", text)
        return load_labels("mine.v1", tmp_path)

    return load


ANSWER = {
    "emotion": ["joy", "other"],
    "other": "wistful",
    "envy": None,
    "valence": 0.5,
    "causes": {
        "spans": [
            {"id": "x", "turn": 1, "text": "I lost it", "occurrence": 2, "label": "joy"},
            {"id": "y", "turn": 0, "text": "late 😀", "occurrence": 1, "label": "other"},
        ],
        "relations": [{"from": "x", "to": "y", "label": "caused_by"}],
    },
    "segments": [{"start_s": 0.5, "end_s": 1.01, "label": "joy"}],
    "words": ["Joy", "rueful"],
}


def test_a_reply_becomes_a_checked_record(load_own):
    record = load_own().from_answer(parse_json(json.dumps(ANSWER)), ITEM)
    assert [(s["id"], s["turn"], s["start"], s["end"]) for s in record["causes"]["spans"]] == [
        ("s1", 0, 8, 14),
        ("s2", 1, 13, 22),
    ]
    assert record["causes"]["relations"] == [{"from": "s2", "to": "s1", "label": "caused_by"}]
    assert record["segments"] == [{"start_s": 0.48, "end_s": 1.0, "label": "joy"}]
    assert record["envy"] is None
    assert load_own().check_record(record, ITEM) == record
    assert strict_problems(load_own().json_schema()) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"emotion": ["rage"]}, "emotion.0: 'rage' is not one of its 3 labels"),
        ({"emotion": []}, "emotion"),
        ({"emotion": None}, "emotion"),
        ({"valence": 1e308}, "valence"),
        ({"valence": "high"}, "valence"),
        ({"other": None}, "other: a value is required"),
        ({"envy": 3}, "envy: is asked only when emotion is Jealousy, Envy"),
        ({"other": "x" * 601}, "other.*maxLength is 600"),
        ({"words": ["joy, fear"]}, "words: .*contains ','"),
        ({"words": ["a"] * 9}, "words.*maxItems is 8"),
        ({"unasked": 1}, "unasked"),
        ({"segments": [{"start_s": 2, "end_s": 1, "label": "joy"}]}, "ends at 1 s, before it starts"),
        ({"segments": [{"start_s": 1, "end_s": 9, "label": "joy"}]}, "after the end of the item at 3 s"),
        ({"segments": [{"start_s": a, "end_s": 2, "label": "joy"} for a in (0, 1)]}, "overlap at 1 s"),
        (
            {"causes": {"spans": [{**ANSWER["causes"]["spans"][0], "text": "found it"}], "relations": []}},
            "does not occur",
        ),
        ({"causes": {"spans": [{**ANSWER["causes"]["spans"][0], "occurrence": 3}], "relations": []}}, "only 2 times"),
        ({"causes": {"spans": [{**ANSWER["causes"]["spans"][0], "turn": 7}], "relations": []}}, "turn 7 is not one"),
        ({"causes": {**ANSWER["causes"], "relations": [{"from": "x", "to": "q", "label": "caused_by"}]}}, "'q'"),
    ],
)
def test_wrong_replies_are_explained(load_own, changed, says):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load_own().from_answer(parse_json(json.dumps({**ANSWER, **changed})), ITEM)
    assert re.search(says, str(caught.value)), str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Sure! {}", "not JSON"),
        ("", "not JSON"),
        ("[]", "the reply"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5_000, "digits"),
        (json.dumps({k: v for k, v in ANSWER.items() if k != "valence"}), "'valence' is a required property"),
        (json.dumps(ANSWER).replace("0.5,", "1e999,", 1), "valence"),
        ("x" * 3_000_000, "3000000 characters"),
    ],
)
def test_replies_that_are_not_an_answer(load_own, text, says):
    with pytest.raises(ValueError, match=says):
        load_own().from_answer(parse_json(text), ITEM)


def test_nothing_found_is_no_value(load_own):
    answer = {**ANSWER, "causes": {"spans": [], "relations": []}, "segments": [], "words": None}
    record = load_own().from_answer(parse_json(json.dumps(answer)), ITEM)
    assert (record["causes"], record["segments"], record["words"]) == (None, None, None)


def test_form_hides_what_is_not_asked_and_speaks_the_language(load_own):
    config = ET.fromstring(compile_config(load_own(), LAYOUT, language="de"))
    headers = [tag.get("value") for tag in config.iter("Header")]
    assert "Welche Gefühle?" in headers
    assert "Frei" in headers
    assert "Valence · -1 = unpleasant bis 1 = angenehm" in headers
    hidden = {tag.get("whenChoiceValue") for tag in config.iter("View")} - {None}
    choices = {tag.get("alias") or tag.get("value"): tag.get("value") for tag in config.iter("Choice")}
    assert hidden == {"other", choices["Jealousy, Envy"], "andere"}
    assert not any("," in each for each in hidden)
    keys = [tag.get("hotkey") for tag in config.iter() if tag.get("hotkey")]
    assert len(keys) == len(set(keys)) > 0
    assert all(tag.get("defaultValue") is None for tag in config.iter("Number"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("when: {emotion: [rage]}", "'rage' is not a label of emotion"),
        ("when: {emotio: [joy]}", "no field emotio; did you mean emotion"),
        ("when: {note: [joy]}", "cannot depend on itself"),
        ("when: {later: [joy]}", "later must come before note"),
        ("when: {size: [joy]}", "size is a field of type scale, which cannot be a condition"),
        ("when: {}", None),
        ("when: {emotion: []}", "name at least one label of emotion; valid: joy"),
        ("question: {en: ''}", "at least 1 character"),
        ("question: {english please: x}", "english"),
    ],
)
def test_conditions_are_checked_at_their_line(load_own, line, says):
    text = f"""name: mine.v1
unit: utterance
fields:
  emotion: {{type: category, taxonomy: feelings.v1}}
  size: {{type: scale, minimum: 1, maximum: 2}}
  note: {{type: text, {line}}}
  later: {{type: category, taxonomy: feelings.v1}}
"""
    if says is None:
        assert load_own(text).fields["note"].when == {}
        return
    with pytest.raises(InvalidInput) as caught:
        load_own(text)
    problem = "\n".join(caught.value.problems)
    assert says in problem
    assert "mine.v1.yaml:6: " in problem


@pytest.mark.parametrize(
    ("unit", "line", "says"),
    [
        ("image", "{type: spans, over: utterance, taxonomy: feelings.v1}", "spans cannot be about unit image"),
        ("post", "{type: spans, over: dialogue, taxonomy: feelings.v1}", "spans cannot be about unit post"),
        ("image", "{type: timeline, taxonomy: feelings.v1}", "timeline cannot be about unit image"),
        ("post", "{type: trace, minimum: -1, maximum: 1}", "trace cannot be about unit post"),
        ("utterance", "{type: boxes, taxonomy: feelings.v1}", "boxes cannot be about unit utterance"),
        ("image", "{type: boxes, over: video, taxonomy: feelings.v1}", "boxes cannot be about unit image"),
        ("clip", "{type: preference}", "preference cannot be about unit clip"),
        ("post", "{type: category, taxonomy: feelings.v1, intensity: [A, B]}", "needs `multiple: true`"),
        ("post", "{type: category, taxonomy: feelings.v1, multiple: true, intensity: [A, A]}", "each of them once"),
        (
            "post",
            "{type: category, taxonomy: feelings.v1, multiple: true, intensity: {minimum: 3, maximum: 1}}",
            "below",
        ),
        ("post", "{type: scale, minimum: 0, maximum: 1, step: 0.3}", "steps of 0.3 do not lead from 0 to 1"),
        ("post", "{type: scale, minimum: 0, maximum: .nan}", "below maximum"),
        ("post", "{type: scale, minimum: 1.0e+300, maximum: 1.1e+300}", ""),
        ("clip", "{type: trace, minimum: 1, maximum: 1}", "minimum 1 must be below maximum 1"),
        (
            "utterance",
            "{type: spans, over: utterance, taxonomy: feelings.v1, relations: [a, A]}",
            "must differ by more than case",
        ),
    ],
)
def test_invalid_fields_are_reported_with_their_line(load_own, unit, line, says):
    text = f"name: mine.v1\nunit: {unit}\nfields:\n  it: {line}\n"
    if "e+300" in line:
        assert load_own(text).fields["it"].check(1.05e300) == pytest.approx(1.05e300)
        return
    with pytest.raises(InvalidInput) as caught:
        load_own(text)
    problem = "\n".join(caught.value.problems)
    assert re.search(re.escape(says), problem), problem
    assert "mine.v1.yaml:4: " in problem


def test_only_one_field_may_have_relations(load_own):
    spans = "{type: spans, over: utterance, taxonomy: feelings.v1, relations: [a]}"
    with pytest.raises(InvalidInput) as caught:
        load_own(f"name: mine.v1\nunit: post\nfields:\n  one: {spans}\n  two: {spans}\n")
    assert "mine.v1.yaml:5: only one field may have relations" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ('<Text name="t" value="$t"/><Fields toName="t"/>', "causes is about what a <Paragraphs>"),
        ('<Paragraphs name="t" value="$t"/><Fields toName="t"/>', "segments is about what a <Video> or <Audio>"),
        (
            '<Paragraphs name="t" value="$t"/><Video name="v" value="$video"/><Fields toName="t"/>',
            "frame rate of video v",
        ),
        ('<Text name="t" value="$t"/><Fields toName="x"/>', 'toName="x" is not an object here; valid: t'),
        ('<Chat name="c" value="$c"/><Text name="t" value="$t"/><Fields toName="t"/>', ":2: <Chat> is not a tag"),
        ('<Text name="t" value="$t"/><Image name="t" value="$t"/><Fields toName="t"/>', 'two objects are named "t"'),
        ('<Text name="t" value="$t"/><Fields/>', "needs toName"),
    ],
)
def test_layouts_that_lack_something(load_own, layout, says):
    with pytest.raises(InvalidInput) as caught:
        compile_config(load_own(), f"<View>\n{layout}</View>", name="own.xml")
    assert "own.xml" in caught.value.message
    assert says in "\n".join([caught.value.message, *caught.value.problems])


def test_pair_needs_its_two_objects():
    schema = LabelSchema.model_validate(
        {
            "name": "p.v1",
            "unit": "pair",
            "fields": {"better": FIELD_TYPES["preference"](name="better", type="preference")},
        }
    )
    with pytest.raises(InvalidInput, match='no tag has name="B"'):
        compile_config(schema, '<View><Text name="A" value="$a"/><Fields toName="A"/></View>')


def test_own_config_that_asks_the_same_is_accepted_whatever_it_looks_like(load_own):
    config = ET.fromstring(compile_config(load_own(), LAYOUT))
    for header in config.iter("Header"):
        header.set("value", "Another wording")
    for choice in config.iter("Choice"):
        choice.attrib.pop("hotkey", None)
    config.insert(0, ET.Element("Style"))
    text = ET.tostring(config, encoding="unicode")
    assert config_problems(load_own(), text) == []
    check_config(load_own(), text)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('value="joy"', 'value="Joy"', "emotion: lacks label 'joy'"),
        ('name="valence"', 'name="valenz"', "nothing asks for valence"),
        ('name="valence"', 'name="valenz"', "'valenz', which is not a field"),
        ('min="-1.0"', 'min="0"', 'min is "0" and should be "-1.0"'),
        ('choice="multiple"', 'choice="single"', 'choice is "single" and should be "multiple"'),
        ("<Number ", '<Number defaultValue="0" ', "submitted untouched"),
        ('whenTagName="emotion"', 'whenTagName="valence"', "must be shown when emotion is"),
        ("<Relation value=", '<Relation alias="x" value=', "causes: lacks label 'caused_by'"),
        ("TimelineLabels", "BrushLabels", "is a <BrushLabels> where a <TimelineLabels> is needed"),
        ('toName="Words"', 'toName="Wort"', 'toName="Wort" is not an object here'),
        ("<View>", "<View><ReactCode/>", "<ReactCode> is not a tag"),
        ('required="true"', "", 'required is not given and should be "true"'),
    ],
)
def test_own_config_that_asks_something_else(load_own, old, new, says):
    config = compile_config(load_own(), LAYOUT)
    assert old in config
    problems = config_problems(load_own(), config.replace(old, new), name="own.xml")
    assert says in "\n".join(problems)
    assert any(re.search(r"own\.xml:\d+: ", problem) for problem in problems) or "nothing asks" in says
    with pytest.raises(InvalidInput, match=r"own\.xml does not ask"):
        check_config(load_own(), config.replace(old, new), name="own.xml")


def test_a_thousand_labels(tmp_path):
    from label_studio_sdk.label_interface import LabelInterface

    labels = [f"label <{n}> & more" for n in range(1000)]
    taxonomy = Taxonomy.model_validate({"taxonomy": "big.v1", "title": "Big", "labels": labels})
    settings = {"name": "it", "type": "category", "taxonomy": taxonomy, "multiple": True, "intensity": ["A", "B"]}
    field = FIELD_TYPES["category"].model_validate(settings)
    schema = LabelSchema.model_validate({"name": "big.v1", "unit": "utterance", "fields": {"it": field}})
    began = time.perf_counter()
    config = compile_config(schema, LAYOUT)
    assert config_problems(schema, config) == []
    assert strict_problems(schema.json_schema()) == []
    value = field.check([{"label": label, "intensity": "B"} for label in reversed(labels)])
    results = field.to_prediction(value, parse_layout(LAYOUT), ITEM)
    assert field.from_result(results, ITEM) == value
    assert time.perf_counter() - began < 20
    LabelInterface(config).validate()


def test_strict_mode_limits():
    closed = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert strict_problems(closed) == []
    assert strict_problems({"anyOf": [closed]}) == ["the whole is not an object"]
    assert "additionalProperties" in strict_problems({**closed, "additionalProperties": True})[0]
    assert "required" in strict_problems({**closed, "properties": {"a": {"type": "null"}}})[0]
    assert "uniqueItems" in strict_problems({**closed, "uniqueItems": True})[0]
    many = {"type": "string", "enum": [str(n) for n in range(1001)]}
    assert "1001 enum values" in strict_problems({**closed, "properties": {"a": many}, "required": ["a"]})[0]


@pytest.mark.parametrize(
    ("scale", "buttons"),
    [
        ({"minimum": 1, "maximum": 5, "level": "ordinal"}, [1, 2, 3, 4, 5]),
        ({"minimum": 0, "maximum": 10, "level": "ordinal"}, list(range(11))),
        ({"minimum": -2, "maximum": 2, "step": 0.5}, [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2]),
        ({"minimum": -1, "maximum": 1, "step": 0.05}, [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1]),
        ({"minimum": 0, "maximum": 100, "step": 1}, list(range(0, 101, 10))),
        ({"minimum": 0, "maximum": 13, "level": "ordinal"}, []),
    ],
)
def test_every_value_of_a_scale_can_be_given_and_none_comes_from_resting(scale, buttons):
    layout = parse_layout(LAYOUT)
    field = Scale(name="a", type="scale", required=True, **scale)
    assert field.buttons == buttons
    controls = [tag for root in field.inputs(layout, "en") for tag in root.iter()]
    assert not any(tag.get("slider") or tag.get("defaultValue") for tag in controls)
    step = field.step or 1
    count = round((field.maximum - field.minimum) / step)
    for value in (field.check(field.minimum + index * step) for index in range(count + 1)):
        results = field.to_prediction(value, layout, ItemContext())
        labels = {tag.get("alias") or tag.get("value") for tag in controls if tag.tag == "Choice"}
        names = {tag.get("name") for tag in controls if tag.get("name")}
        assert {result["from_name"] for result in results} <= names
        assert all(label in labels for result in results for label in result["value"].get("choices", ()))
        assert field.from_result(results, ItemContext()) == value
    for earlier in ({"type": "number", "value": {"number": 1}}, {"type": "rating", "value": {"rating": 1}}):
        assert field.from_result([{"from_name": "a", **earlier}], ItemContext()) == 1
    if any(tag.get("alias") == "other" or tag.get("value") == "other" for tag in controls):
        with pytest.raises(ValueError, match="none is given"):
            field.from_result([{"from_name": "a", "type": "choices", "value": {"choices": ["other"]}}], ItemContext())


def keys_of(schema, layout, language="en"):
    """The keys of each control of a form, by its name, in order."""
    config = ET.fromstring(compile_config(load_labels(schema), layout, language=language))
    controls = (tag for tag in config.iter() if tag.tag in ("Choices", "Labels", "TimelineLabels"))
    return {
        control.get("name"): {tag.get("alias") or tag.get("value"): tag.get("hotkey") for tag in control.iter("Choice")}
        for control in controls
    }


def test_keys_count_with_the_labels_and_exist_for_all_of_them():
    video = '<View><Video name="V" value="$video" frameRate="$fps"/><Fields toName="V"/></View>'
    keys = keys_of("utterance_affect.v1", video)
    assert list(keys["emotion"].values()) == list("1234567")
    assert list(keys["intensity"].values()) == list("qwert")
    assert list(keys["valence"].values())[:9] == list("asdfghjkl")
    everything = [key for control in keys.values() for key in control.values()]
    assert all(everything)
    assert len(everything) == len(set(everything))
    picture = '<View><Image name="I" value="$image"/><Fields toName="I"/></View>'
    units = keys_of("au_image.v1", picture)["action_units"]
    assert [units[f"AU{number}"] for number in (0, 1, 2, 4, 5, 6, 7, 8, 9)] == list("012456789")
    assert len(set(units.values())) == len(units) == 42
    degrees = keys_of("post_reader.v1", '<View><Text name="T" value="$text"/><Fields toName="T"/></View>')
    assert degrees["emotion-1"] == {"weak": "q", "medium": "a", "strong": "shift+1"}


def test_every_form_has_a_way_to_say_that_it_cannot_be_judged(load_own):
    config = ET.fromstring(compile_config(load_own(), LAYOUT, language="de"))
    (control,) = (tag for tag in config.iter("Choices") if tag.get("name") == "cannot_judge")
    assert [tag.get("alias") for tag in control] == list(REASONS)
    assert all(tag.get("hotkey") for tag in control)
    (questions,) = (tag for tag in config.iter("View") if tag.get("className") == "questions")
    assert (questions.get("visibleWhen"), questions.get("whenTagName")) == ("choice-unselected", "cannot_judge")
    asked = {tag.get("name") for tag in questions.iter() if tag.get("toName")}
    assert {name.partition("-")[0] for name in asked} == set(load_own().fields)


def test_warnings_name_the_question_as_it_is_asked():
    layout = '<View><Text name="T" value="$text"/><Fields toName="T"/></View>'
    config = ET.fromstring(compile_config(load_labels("text_quality.v1"), layout, language="de"))
    required = [tag for tag in config.iter() if tag.get("required") == "true"]
    assert required
    assert all(tag.get("requiredMessage", "").startswith("Bitte beantworten: ") for tag in required)
    assert any("Was stimmt nicht damit?" in tag.get("requiredMessage") for tag in required)


def test_labels_of_a_tree_are_shown_in_their_groups():
    names = [
        {"name": "joy"},
        {"name": "love", "parent": "joy"},
        {"name": "anger"},
        {"name": "rage", "parent": "anger"},
        {"name": "pride", "parent": "joy"},
    ]
    taxonomy = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": names})
    field = Category(name="c", type="category", taxonomy=taxonomy, multiple=True)
    (control,) = field.inputs(parse_layout(LAYOUT), "en")
    groups = [[tag.get("value") for tag in view.iter("Choice")] for view in control.iter("View")]
    assert groups == [["joy", "love", "pride"], ["anger", "rage"]]
    earlier = [{"from_name": "c", "type": "taxonomy", "value": {"taxonomy": [["joy", "love"]]}}]
    assert field.from_result(earlier, ItemContext()) == ["love"]
    assert field.from_result(field.to_prediction(["rage"], parse_layout(LAYOUT), ItemContext()), ItemContext()) == [
        "rage"
    ]


def test_values_move_to_the_grid_of_the_scale():
    assert Scale(name="a", type="scale", minimum=1, maximum=9).check(4.996) == 5.0


def test_relations_drawn_in_all_ways():
    taxonomy = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": ["a"]})
    field = Spans(name="s", type="spans", over="utterance", taxonomy=taxonomy, relations=("because",))

    def region(name, start, end):
        content = {"start": start, "end": end, "labels": ["a"]}
        return {"id": name, "from_name": "s", "type": "labels", "value": content}

    def drawn(**attributes):
        link = {"type": "relation", "from_id": "p", "to_id": "q", **attributes}
        links = field.from_result([region("p", 0, 1), region("q", 2, 6), link], ITEM)["relations"]
        return [(each["from"], each["to"]) for each in links]

    assert drawn(direction="right", labels=["because"]) == [("s1", "s2")]
    assert drawn(direction="right") == [("s1", "s2")]
    assert drawn(direction="left", labels=["because"]) == [("s2", "s1")]
    assert drawn(direction="bi", labels=[]) == [("s1", "s2"), ("s2", "s1")]
    named = Spans(name="s", type="spans", over="utterance", taxonomy=taxonomy, relations=("because", "then"))
    spans = [region("p", 0, 1), region("q", 2, 6)]
    line = {"type": "relation", "from_id": "p", "to_id": "q"}
    value = named.from_result([*spans, line], ITEM)
    assert value["relations"] == [{"from": "s1", "to": "s2", "label": None}]
    assert named.from_release(named.to_release(value)) == named.check(value, ITEM) == value
    assert named.aggregate([value, value]).value == value
    for slip in ({"labels": ["since"]}, {"to_id": "p"}, {"to_id": "gone"}):
        with pytest.raises(PartlyRead) as told:
            named.from_result([*spans, line | slip], ITEM)
        assert [span["text"] for span in told.value.value["spans"]] == ["I", "lost"]
    with pytest.raises(ValueError, match="text there is now"):
        field.from_result([{**region("p", 0, 1), "value": {**region("p", 0, 1)["value"], "text": "X"}}], ITEM)


class Yes(Field):
    """A value is true or false: a field type as a team would add it."""

    type: str

    @property
    def arrow_type(self):
        return pa.bool_()

    @property
    def feature(self):
        return {"dtype": "bool", "_type": "Value"}

    def json_schema(self):
        return {"type": "boolean"}

    def check(self, value, item=None):
        if value in (True, False):
            return value
        raise ValueError("neither true nor false")

    def inputs(self, layout, language):
        return [ET.Element("Rating", {"name": self.name, "toName": layout.default, "maxRating": "1"})]

    def to_prediction(self, value, layout, item):
        return [self.result("rating", {"rating": int(value)}, layout.default)]

    def from_result(self, results, item):
        return bool(results[0]["value"]["rating"])

    def aggregate(self, values, rule="majority"):
        return Aggregate(sum(values) * 2 > len(values), {})

    def describe(self):
        return f"**{self.name}**: yes or no"


def test_a_new_field_type_is_one_class(load_own, monkeypatch):
    monkeypatch.setitem(FIELD_TYPES, "yes", Yes)
    schema = load_own(
        "name: mine.v1\nunit: post\nfields:\n  sure: {type: yes, required: true}\n".replace("yes,", "'yes',")
    )
    layout = parse_layout(LAYOUT)
    assert compile_arrow(schema) == pa.schema([("sure", pa.bool_())])
    assert schema.from_answer({"sure": True}) == {"sure": True}
    assert 'name="sure"' in compile_config(schema, LAYOUT)
    field = schema.fields["sure"]
    assert field.from_result(field.to_prediction(True, layout, ITEM), ITEM) is True
    assert "yes or no" in compile_card(schema)
    assert config_problems(schema, compile_config(schema, LAYOUT)) == []
    jsonschema.validate({"sure": False}, schema.json_schema())
    assert schema.sha256 != load_own("name: mine.v1\nunit: post\nfields:\n  sure: {type: 'yes'}\n").sha256


def test_what_is_not_asked_of_the_settled_label_is_not_settled(load_own):
    from curate.consensus.aggregate import aggregate
    from curate.corpus.spec import table_spec

    schema = load_own()
    when = {"acted_at": None, "action": "created", "item_id": "i"}

    def act(who, emotion, other):
        empty = dict.fromkeys(schema.fields)
        name = {"annotation_id": who, "judgement_id": who, "annotator": who}
        return {**empty, **when, **name, "emotion": emotion, "other": other, "valence": 0.0}

    acts = [act("a", ["joy"], None), act("b", ["joy"], None), act("c", ["joy", "other"], "wistful")]
    tables = [
        pa.Table.from_pylist(rows, schema=table_spec(name, schema).schema)
        for name, rows in (("annotations", acts), ("prelabels", []))
    ]
    (row,) = aggregate(schema, *tables).to_pylist()
    assert (row["emotion"], row["other"], row["valence"]) == (["joy"], None, 0.0)


def test_offline_labeller_proposes_only_what_is_asked(load_own):
    from curate.llm.labellers import open_offline

    text = """name: mine.v1
unit: post
fields:
  emotion: {type: category, taxonomy: feelings.v1}
  again: {type: category, taxonomy: feelings.v1, when: {emotion: other}}
  graded: {type: category, taxonomy: feelings.v1, multiple: true, intensity: [A, B]}
"""
    proposal = open_offline("lexicon").propose({"text": "What a joy!"}, load_own(text))
    assert proposal.values == {"emotion": "joy"}
    assert list(proposal.scores) == ["emotion"]


def test_only_one_field_may_have_boxes_over_a_video(load_own):
    boxes = "{type: boxes, over: video, taxonomy: feelings.v1}"
    with pytest.raises(InvalidInput) as caught:
        load_own(f"name: mine.v1\nunit: clip\nfields:\n  one: {boxes}\n  two: {boxes}\n")
    assert "mine.v1.yaml:5: only one field may have boxes over a video" in caught.value.problems[0]
