"""The quick check never lets through what the JSON schema refuses."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from curate.assets import list_assets
from curate.labels import load_labels
from curate.labels.validate import compile_check
from tests.support.chat_rules import value_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.sampled_from(["a", "b", "", "abc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
LEAVES = st.one_of(
    st.just({"type": "string", "enum": ["a", "b"]}),
    st.just({"enum": ["a", 1]}),
    st.just({"type": "integer", "enum": [0, 1]}),
    st.just({"type": "string", "enum": ["a", 1]}),
    st.just({"type": "boolean", "description": "yes or no"}),
    st.just({"type": "null"}),
    st.builds(lambda low: {"type": "integer", "minimum": low, "maximum": 2}, st.integers(-2, 2)),
    st.builds(lambda low: {"type": "number", "minimum": low}, st.floats(-2, 2)),
    st.just({"type": "string", "minLength": 1, "maxLength": 2}),
    st.just({"type": "string", "pattern": "^a"}),
    st.just({"type": ["string", "null"]}),
)


def closed(members):
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda choices: {"anyOf": choices}),
        st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(0, 3)),
        st.dictionaries(st.sampled_from("xyz"), inner, max_size=3).map(closed),
        st.dictionaries(st.sampled_from("xyz"), inner, max_size=2).map(lambda m: {"type": "object", "properties": m}),
    ),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, VALUES)
def test_what_it_lets_through_fits(schema, value):
    if compile_check(schema)(value):
        assert Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize("name", sorted(list_assets("schemas/labels", suffix=".yaml")))
def test_it_lets_good_answers_to_every_shipped_schema_through(name):
    import random

    schema = load_labels(name).json_schema()
    fits, validator = compile_check(schema), Draft202012Validator(schema)
    for seed in range(20):
        answer = json.loads(json.dumps(value_of(schema, random.Random(seed), schema)))
        assert fits(answer) == validator.is_valid(answer)
    assert not fits({})
    assert not fits({**answer, "more": 1})
