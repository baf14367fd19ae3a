"""Every field type in every direction, on random schemas and values."""

import copy
import json
from xml.etree import ElementTree as ET

import jsonschema
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from curate.labels import FIELD_TYPES, arrow_type, compile_arrow, compile_card, compile_config
from curate.labels.record import parse_json
from tests.labels import strategies as make

kinds = pytest.mark.parametrize("kind", sorted(FIELD_TYPES))
slow = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def draw_case(data, kind):
    field = data.draw(make.fields(kind))
    item = data.draw(make.items(video=getattr(field, "over", "") == "video"))
    return field, item, data.draw(make.values(field, item))


@kinds
@slow
@given(data=st.data())
def test_value_survives_the_form(kind, data):
    field, item, value = draw_case(data, kind)
    results = json.loads(json.dumps(field.to_prediction(value, make.layout_for(item), item)))
    for name in {result["from_name"] for result in results if "from_name" in result}:
        assert name.partition("-")[0] == field.name
    assert field.from_result(results, item) == value


@kinds
@slow
@given(data=st.data())
def test_value_survives_arrow_and_release(kind, data):
    field, _, value = draw_case(data, kind)
    assert pa.array([value, None], field.arrow_type).to_pylist() == [value, None]
    released = pa.array([field.to_release(value), None], arrow_type(field.feature)).to_pylist()
    assert released[1] is None
    assert field.from_release(released[0]) == value


@kinds
@slow
@given(data=st.data())
def test_value_survives_a_models_answer(kind, data):
    field, item, value = draw_case(data, kind)
    answer = json.loads(json.dumps(field.to_answer(value, item)))
    jsonschema.Draft202012Validator.check_schema(field.json_schema())
    jsonschema.validate(answer, field.json_schema())
    assert field.from_answer(answer, item) == value


@kinds
@slow
@given(data=st.data())
def test_check_is_stable_and_raters_who_agree_settle_it(kind, data):
    field, item, value = draw_case(data, kind)
    assert field.check(value, item) == value
    assert field.check(value) == value
    for count in (1, 2, 3):
        assert field.aggregate([value] * count).value == value
    assert field.distance(value, value) in (None, pytest.approx(0, abs=1e-9))
    assert set(field.labels_of(value)) <= set(field.labels)


@kinds
@slow
@given(data=st.data())
def test_raters_who_differ_give_a_value_of_the_field(kind, data):
    field, item, _ = draw_case(data, kind)
    votes = [data.draw(make.values(field, item)) for _ in range(data.draw(st.integers(2, 4)))]
    settled, soft = field.aggregate(votes)
    if settled is not None:
        field.check(settled)
        pa.array([settled], field.arrow_type)
    assert all(0 < share <= 1 for share in soft.values())
    assert set(soft) <= set(field.soft_labels)
    gap = field.distance(votes[0], votes[1])
    assert gap is None or -1e-9 <= gap <= 1 + 1e-9
    assert gap == pytest.approx(field.distance(votes[1], votes[0]))


JUNK = [None, True, -1e6, 10**400, 1e308, float("nan"), "", "no such label \ud800", [], {}, [None], [[]], {"spans": 3}]


def mutations(answer):
    """The answer with one part of it replaced, dropped or doubled into nonsense."""
    if isinstance(answer, dict):
        for key, part in answer.items():
            yield {k: v for k, v in answer.items() if k != key}
            for changed in mutations(part):
                yield {**answer, key: changed}
        yield {**answer, "unasked": 1}
    elif isinstance(answer, list):
        for at, part in enumerate(answer[:2]):
            for changed in mutations(part):
                yield [*answer[:at], changed, *answer[at + 1 :]]
    elif isinstance(answer, str):
        yield "\u2603 no such label" + "!" * 20_000
        yield 7
    elif answer is not None and not isinstance(answer, bool):
        yield from (1e308, -1e308, "one")


@kinds
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_answers_are_refused(kind, data):
    field, item, value = draw_case(data, kind)
    checker = jsonschema.Draft202012Validator(field.json_schema())
    answer = json.loads(json.dumps(field.to_answer(value, item)))
    for wrong in mutations(answer):
        if wrong != [] and kind != "trace":
            assert not checker.is_valid(wrong), wrong


@kinds
@slow
@given(data=st.data())
def test_junk_is_refused_in_words(kind, data):
    field, item, value = draw_case(data, kind)
    for junk in JUNK:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            field.check(junk, item)
        assert 0 < len(str(caught.value)) < 2_000
    results = json.loads(json.dumps(field.to_prediction(value, make.layout_for(item), item)))
    at = data.draw(st.integers(0, len(results) - 1))
    for junk in (None, 3, "x", [], {}, {"choices": ["no such label"]}, {"labels": ["x"], "start": "a", "end": None}):
        broken = copy.deepcopy(results)
        assume(broken[at].get("type") != "relation")
        broken[at]["value"] = junk
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            field.from_result(broken, item)
        assert str(caught.value)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_compiled_forms_pass_the_servers_own_check(data):
    from label_studio_sdk.label_interface import LabelInterface

    schema, item = data.draw(make.schemas()), data.draw(make.items(video=True))
    record = data.draw(make.records(schema, item))
    config = compile_config(schema, make.LAYOUT, language=data.draw(st.sampled_from(["en", "de", "fr"])))
    interface = LabelInterface(config)
    interface.validate()
    results = [
        result
        for name, field in schema.fields.items()
        if record[name] is not None
        for result in field.to_prediction(record[name], make.layout_for(item), item)
    ]
    assert interface.validate_prediction({"result": results, "model_version": "m"}, return_errors=True) == []
    shown = ET.fromstring(config)
    for name, field in schema.fields.items():
        block = next(tag for tag in shown.iter() if tag.get("name") in (name, f"{name}-label"))
        told = [tag.get("alias") or tag.get("value") for tag in block.iter() if tag.tag in ("Choice", "Label")]
        if field.labels:
            assert sorted(told) == sorted(field.labels)


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whole_records(data):
    schema, item = data.draw(make.schemas()), data.draw(make.items(video=True))
    record = data.draw(make.records(schema, item))
    assert schema.check_record(record, item) == record
    answer = schema.to_answer(record, item)
    jsonschema.validate(answer, schema.json_schema())
    assert schema.from_answer(parse_json(json.dumps(answer)), item) == record
    table = pa.Table.from_pylist([record], schema=compile_arrow(schema))
    assert table.to_pylist() == [record]
    assert all(f"**{name}**" in compile_card(schema) for name in schema.fields)
    with pytest.raises(ValueError, match="no field"):
        schema.check_record({**record, "unasked": 1}, item)
