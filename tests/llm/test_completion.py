"""Replies of any shape: read as one of the outcomes or refused with a sentence, and nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.llm.completion import TokenUsage, read_completion
from curate.llm.transport.faults import classify_status, make_mask

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def loosely(**members):
    """An object with these members, any of them of another type or missing."""
    return st.fixed_dictionaries({}, optional={name: ANY | good for name, good in members.items()}) | ANY


MESSAGE = loosely(content=st.text(), refusal=st.text())
CHOICE = loosely(message=MESSAGE, finish_reason=st.sampled_from(["stop", "length", "content_filter"]))
USAGE = loosely(
    prompt_tokens=st.integers(), completion_tokens=st.integers(), prompt_tokens_details=loosely(cached_tokens=ANY)
)
REPLY = loosely(choices=st.lists(CHOICE, max_size=2), usage=USAGE, model=st.text())
ERROR = loosely(error=loosely(message=st.text(), code=st.text(), type=ANY, innererror=ANY), message=ANY, detail=ANY)


@settings(max_examples=150, deadline=None)
@given(REPLY)
def test_any_reply_is_an_outcome_or_a_sentence(reply):
    try:
        read = read_completion(json.dumps(reply))
    except ValueError as error:
        assert str(error).startswith("the reply")  # noqa: PT017 - either is right
        return
    assert read.outcome in ("ok", "refused", "filtered", "truncated", "invalid")
    assert isinstance(read.text, str)
    assert read.model is None or isinstance(read.model, str)
    if read.usage is not None:
        assert 0 <= read.usage.cached <= read.usage.tokens_in
        assert read.usage.tokens_out >= 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    with pytest.raises(ValueError, match="the reply"):
        read_completion(body)


@settings(max_examples=150, deadline=None)
@given(st.integers(100, 599), ERROR.map(json.dumps).map(str.encode) | st.binary(max_size=100))
def test_any_error_page_is_judged_in_one_line(status, body):
    verdict = classify_status(status, {}, body, make_mask())
    assert verdict.action in ("retry", "invalid", "filtered", "key", "quota", "model")
    assert len(verdict.detail.splitlines()) == 1
    assert len(verdict.detail) < 400


def make_reply(**message) -> dict:
    about = {"finish_reason": message.pop("finish_reason", "stop")}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 99}}
    return {"choices": [{"message": {"content": "{}", **message}, **about}], "model": "m", "usage": usage}


@pytest.mark.parametrize(
    ("reply", "outcome", "text"),
    [
        (make_reply(), "ok", "{}"),
        (make_reply(content=""), "ok", ""),
        (make_reply(content=None, refusal="no"), "refused", "no"),
        (make_reply(finish_reason="length"), "truncated", "{}"),
        (make_reply(finish_reason="length", content=None), "truncated", ""),
        (make_reply(finish_reason="content_filter", content=None), "filtered", ""),
        (make_reply(finish_reason=["odd"]), "ok", "{}"),
    ],
)
def test_what_a_reply_comes_to(reply, outcome, text):
    read = read_completion(json.dumps(reply))
    assert (read.outcome, read.text, read.usage) == (outcome, text, TokenUsage(9, 2, 9))
    assert bool(read.detail) == (outcome != "ok")


@pytest.mark.parametrize("tokens", [10**400, -(10**400), float("nan"), float("inf"), 1e300, True, "5", None])
def test_usage_of_nonsense_is_none(tokens):
    body = {"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": tokens, "completion_tokens": 1}}
    assert read_completion(json.dumps(body)).usage is None


def test_names_and_refusals_can_be_stored():
    message = {"content": None, "refusal": "no \ud800"}
    read = read_completion(json.dumps({"choices": [{"message": message}], "model": "gpt\ud800"}))
    assert (read.model, read.detail) == ("gpt\ufffd", "the model refused: no \ufffd")
