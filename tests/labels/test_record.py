"""Whole records of random schemas, in a form and in a model's answer."""

import json

import jsonschema
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.labels import ItemContext, compile_arrow, compile_card, compile_config, load_labels
from curate.labels.record import parse_json
from tests.support.field_strategies import records, schemas
from tests.support.label_strategies import LAYOUT, items, layout_for


@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_records_survive_every_direction(data):
    schema, item = data.draw(schemas()), data.draw(items(video=True))
    record = data.draw(records(schema, item))
    assert schema.check_record(record, item) == record
    answer = schema.to_answer(record, item)
    jsonschema.validate(answer, schema.json_schema())
    assert schema.from_answer(parse_json(json.dumps(answer)), item) == record
    table = pa.Table.from_pylist([record], schema=compile_arrow(schema))
    assert table.to_pylist() == [record]
    assert all(f"**{name}**" in compile_card(schema) for name in schema.fields)
    with pytest.raises(ValueError, match="not a field"):
        schema.check_record({**record, "unasked": 1}, item)


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_forms_pass_the_servers_own_check(data):
    from label_studio_sdk.label_interface import LabelInterface

    schema, item = data.draw(schemas()), data.draw(items(video=True))
    record = data.draw(records(schema, item))
    interface = LabelInterface(compile_config(schema, LAYOUT, language=data.draw(st.sampled_from(["en", "de", "fr"]))))
    interface.validate()
    results = [
        result
        for name, field in schema.fields.items()
        if record[name] is not None
        for result in field.to_prediction(record[name], layout_for(item), item)
    ]
    assert interface.validate_prediction({"result": results, "model_version": "m"}, return_errors=True) == []


def test_a_label_of_absence_goes_with_no_other():
    fields = load_labels("utterance_emotion.v1").fields | load_labels("au_image.v1").fields
    emotion, units = fields["emotion"], next(f for f in fields.values() if getattr(f, "intensity", None))
    graded = [{"label": name, "intensity": "B"} for name in units.labels]
    absent = next(entry for entry in graded if units.taxonomy.require(entry["label"]).absence)
    for field, value in ((emotion, ["neutral", "sadness"]), (units, [absent, *graded[-1:]])):
        with pytest.raises(ValueError, match="goes with no other label"):
            field.check(value)
        assert field.check(value[:1])
        repaired, (sentence,) = field.repair_answer(value, ItemContext())
        assert field.check(repaired) == value[1:]
        assert "which goes with no other label" in sentence
        for rule in ("majority", "union", "intersection"):
            for votes in ([value] * 3, [value, value[:1]], [value[:1], value[1:]]):
                settled = field.aggregate(votes, rule).value
                assert settled is None or field.check(settled)
    assert emotion.aggregate([["neutral", "sadness"], ["neutral"], ["neutral", "fear"]]).value == ["neutral"]
    assert emotion.from_labels(["neutral", "sadness"]) == ["neutral"]
    assert emotion.from_labels(["sadness", "neutral"]) == ["sadness"]
