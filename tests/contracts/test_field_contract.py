"""What every field type must do, in every direction, on random fields and values."""

import copy
import json
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from curate.corpus.spec import open_table
from curate.labels import FIELD_TYPES, LabelSchema, arrow_type, compile_config, control_field, strict_problems
from curate.labels.strict import strict_object
from curate.release.features import arrow_schema
from curate.storage.workspace import Workspace
from tests.support.field_strategies import STRATEGIES, fields, values
from tests.support.label_strategies import LAYOUT, items, layout_for

kinds = pytest.mark.parametrize("kind", sorted(FIELD_TYPES))
slow = settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
few = settings(max_examples=4, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
RULES = ("majority", "union", "intersection", "mean")
LABEL = {"label_source": "human", "raters": 1, "agreement": [], "soft": [], "method": "majority", "evidence": []}
JUNK = [None, True, -1e6, 10**400, 1e308, float("nan"), "", "no such label \ud800", [], {}, [None], [[]], {"spans": 3}]


def draw_case(data, kind):
    """A field, an item and a value of the field for it."""
    field = data.draw(fields(kind))
    item = data.draw(items(video=getattr(field, "over", "") == "video"))
    return field, item, data.draw(values(field, item))


@kinds
@given(data=st.data())
@settings(max_examples=1, deadline=None)
def test_its_strategies_vary_every_limit(kind, data):
    limits = {name for name in FIELD_TYPES[kind].model_fields if name.startswith("max_")}
    assert limits <= data.draw(STRATEGIES[kind].settings).keys()


@kinds
@slow
@given(data=st.data())
def test_check_returns_canonical_values_unchanged(kind, data):
    field, item, value = draw_case(data, kind)
    assert field.check(value, item) == value
    assert field.check(value) == value
    assert set(field.labels_of(value)) <= set(field.labels)
    number = field.number_of(value)
    assert number is None or float(number) == number


# Stored


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
def test_value_is_carried_over_to_other_labels_and_ends(kind, data):
    field, _, value = draw_case(data, kind)
    if field.labels:
        assert field.relabelled(value, {}) == value
        assert field.relabelled(value, dict.fromkeys(field.labels)) is None
        names = {label: f"new {label}" for label in field.labels}
        assert field.relabelled(field.relabelled(value, names), {new: old for old, new in names.items()}) == value
    if field.ends:
        assert field.check(field.rescaled(value, field.ends, rounded=False)) == value
    else:
        with pytest.raises(ValueError, match="has no scale"):
            field.rescaled(value, (0, 1), rounded=False)


@kinds
@few
@given(data=st.data())
def test_value_survives_a_table(kind, data):
    field, _, value = draw_case(data, kind)
    labels = LabelSchema.model_validate({"name": "it.v1", "unit": min(field.units), "fields": {"f": field}})
    with tempfile.TemporaryDirectory() as folder:
        table = open_table(Workspace(Path(folder)), "labels", labels)
        table.commit([{**LABEL, "item_id": "a", "f": value}, {**LABEL, "item_id": "b", "f": None}], metadata={})
        assert {row["item_id"]: row["f"] for row in table.read().to_pylist()} == {"a": value, "b": None}


@kinds
@few
@given(data=st.data())
def test_value_survives_a_released_file(kind, data):
    import datasets

    field, _, value = draw_case(data, kind)
    schema = arrow_schema({"f": field.feature})
    rows = [{"f": field.to_release(value)}, {"f": None}]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/data.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        loaded = datasets.Dataset.from_parquet(path, cache_dir=folder, keep_in_memory=True)
        assert field.from_release(loaded[0]["f"]) == value
        assert loaded[1]["f"] is None


# Answered


@kinds
@slow
@given(data=st.data())
def test_value_survives_a_models_answer(kind, data):
    field, item, value = draw_case(data, kind)
    answer = json.loads(json.dumps(field.to_answer(value, item)))
    jsonschema.Draft202012Validator.check_schema(field.json_schema())
    jsonschema.validate(answer, field.json_schema())
    assert strict_problems(strict_object({"f": field.json_schema()})) == []
    assert field.from_answer(answer, item) == value
    assert field.repair_answer(answer, item) == (answer, [])
    assert all(line.strip() for line in field.instructions())


@kinds
@settings(max_examples=5, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_mutated_answers_are_refused(kind, data):
    field, item, value = draw_case(data, kind)
    checker = jsonschema.Draft202012Validator(field.json_schema())
    answer = json.loads(json.dumps(field.to_answer(value, item)))
    for mutated in mutations(answer):
        if mutated != [] and kind != "trace":
            assert not checker.is_valid(mutated), mutated


def mutations(answer):
    """The answer with one part of it replaced, dropped or doubled into nonsense."""
    if isinstance(answer, dict):
        for key, part in answer.items():
            yield {k: v for k, v in answer.items() if k != key}
            for changed in mutations(part):
                yield {**answer, key: changed}
        yield {**answer, "unasked": 1}
    elif isinstance(answer, list):
        for index, part in enumerate(answer[:2]):
            for changed in mutations(part):
                yield [*answer[:index], changed, *answer[index + 1 :]]
    elif isinstance(answer, str):
        yield "\u2603 no such label" + "!" * 20_000
        yield 7
    elif answer is not None and not isinstance(answer, bool):
        yield from (1e308, -1e308, "one")


@kinds
@slow
@given(data=st.data())
def test_labels_and_shares_decide_the_fields_that_say_so(kind, data):
    field = data.draw(fields(kind))
    if field.scored_taxonomy is None:
        with pytest.raises(ValueError, match=kind):
            field.from_labels(["a"])
    else:
        ranked = data.draw(st.permutations(field.labels))
        labels = field.labels_of(field.from_labels(ranked))
        assert sorted(labels) == sorted(ranked if field.is_multiple else ranked[:1])
    for end in field.interval or ():
        assert field.check(end) == end


# Asked on screen


@kinds
@slow
@given(data=st.data())
def test_value_survives_the_form(kind, data):
    field, item, value = draw_case(data, kind)
    layout = layout_for(item)
    results = json.loads(json.dumps(field.to_prediction(value, layout, item)))
    for result in results:
        assert "from_name" not in result or control_field(result["from_name"]) == field.name
    assert field.from_result(results, item) == value


@kinds
@slow
@given(data=st.data())
def test_its_controls_belong_to_it_and_offer_every_label(kind, data):
    from label_studio_sdk.label_interface import LabelInterface

    field, item, value = draw_case(data, kind)
    video = getattr(field, "over", "") == "video"
    assume(not video or item.fps)
    schema = LabelSchema.model_validate({"name": "it.v1", "unit": min(field.units), "fields": {"f": field}})
    config = compile_config(schema, LAYOUT)
    controls = [tag for tag in ET.fromstring(config).iter() if tag.get("name") and tag.get("toName")]
    assert {control_field(tag.get("name")) for tag in controls} == {"f", "cannot_judge"}
    assert field.hotkey_control in ("", *(tag.get("name") for tag in controls))
    offered = [
        tag.get("alias") or tag.get("value")
        for control in controls
        if control.get("name") in ("f", "f-label")
        for tag in control.iter()
        if tag.tag in ("Choice", "Label")
    ]
    assert not field.labels or sorted(offered) == sorted(field.labels)
    if item.fps:
        results = field.to_prediction(value, layout_for(item), item)
        interface = LabelInterface(config)
        interface.validate()
        assert interface.validate_prediction({"result": results, "model_version": "m"}, return_errors=True) == []


@kinds
@slow
@given(data=st.data())
def test_junk_is_refused_in_words(kind, data):
    field, item, value = draw_case(data, kind)
    takes_booleans = jsonschema.Draft202012Validator(field.json_schema()).is_valid(True)
    for junk in JUNK:
        if junk is True and takes_booleans:
            continue
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            field.check(junk, item)
        assert 0 < len(str(caught.value)) < 2_000
    results = json.loads(json.dumps(field.to_prediction(value, layout_for(item), item)))
    index = data.draw(st.integers(0, len(results) - 1))
    assume(results[index].get("type") != "relation")
    for junk in (None, 3, "x", [], {}, {"choices": ["no such label"]}, {"labels": ["x"], "start": "a", "end": None}):
        broken = copy.deepcopy(results)
        broken[index]["value"] = junk
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            field.from_result(broken, item)
        assert str(caught.value)


# Compared


@kinds
@slow
@given(data=st.data(), rule=st.sampled_from(RULES), raters=st.integers(1, 3))
def test_raters_who_agree_settle_a_value(kind, data, rule, raters):
    field, _, value = draw_case(data, kind)
    assert field.aggregate([value] * raters, rule).value == value
    assert field.distance(value, value) in (None, pytest.approx(0, abs=1e-9))
    agreement = field.pairwise_agreement([value] * raters)
    assert agreement is None or (raters > 1 and agreement == pytest.approx(1))


@kinds
@settings(max_examples=50, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data(), rule=st.sampled_from(RULES))
def test_whatever_raters_say_aggregates_to_a_valid_value_or_none(kind, data, rule):
    field, item, _ = draw_case(data, kind)
    votes = [data.draw(values(field, item)) for _ in range(data.draw(st.integers(2, 5)))]
    value, soft = field.aggregate(votes, rule)
    if value is not None:
        field.check(value)
        pa.array([value], field.arrow_type)
    assert all(0 < share <= 1 for share in soft.values())
    assert set(soft) <= set(field.soft_labels)
    distance = field.distance(votes[0], votes[1])
    assert distance is None or -1e-9 <= distance <= 1 + 1e-9
    assert distance == pytest.approx(field.distance(votes[1], votes[0]))


# Described


@kinds
@slow
@given(data=st.data())
def test_people_can_read_what_it_is_and_says(kind, data):
    field, _, value = draw_case(data, kind)
    assert f"**{field.name}**" in field.describe()
    parts = field.show(value)
    assert parts
    assert all(isinstance(part, str) and part.strip() for part in parts)
