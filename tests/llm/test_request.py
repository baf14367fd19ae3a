"""What names a request, and what is sent for it."""

import base64
import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from curate.llm.request import MediaPart, Message, Request

BLOB = "ab/" + "ab" * 32 + ".jpg"


def make_request(**about) -> Request:
    messages = (Message("system", ("Be kind.",)), Message("user", ("Look: ", MediaPart(BLOB, "image", "low", 512))))
    return Request(**{"model": "m", "messages": messages, "schema": {"type": "object"}, **about})


def test_the_key_of_a_request_stays_for_ever():
    # A change here throws away every reply that was ever paid for.
    request = make_request(parameters={"temperature": 0, "seed": 1})
    assert request.key == "498cf34662c1af1c5442a4b985e5da98c36a4d639eac4a388a5770afaa1d0b1b"


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"messages": (Message("user", ("Be kind.",)),)},
        {
            "messages": (
                Message("system", ("Be kind.", "Look: ")),
                Message("user", (MediaPart(BLOB, "image", "low", 512),)),
            )
        },
        {
            "messages": (
                Message("system", ("Be kind.",)),
                Message("user", ("Look: ", MediaPart(BLOB, "image", "high", 512))),
            )
        },
        {
            "messages": (
                Message("system", ("Be kind.",)),
                Message("user", ("Look: ", MediaPart(BLOB, "image", "low", 256))),
            )
        },
        {"messages": (Message("system", ("Be kind.",)), Message("user", ("Look: ", BLOB)))},
        {"schema": {"type": "object", "properties": {}}},
        {"schema": None},
        {"schema_name": "other"},
        {"parameters": {"temperature": 0}},
        {"parameters": {"temperature": None}},
        {"sample": 1},
    ],
)
def test_everything_that_decides_the_reply_is_in_the_key(change):
    assert make_request(**change).key != make_request().key


def test_what_does_not_decide_the_reply_is_not_in_the_key():
    one = make_request(parameters={"a": 1, "b": 2})
    assert one.key == make_request(parameters={"b": 2, "a": 1}).key
    assert one.content_key == replace(one, model="n").content_key
    timed = MediaPart(BLOB, "audio", seconds=3.0)
    assert make_request(messages=(Message("user", (timed,)),)).key == (
        make_request(messages=(Message("user", (timed._replace(seconds=None),)),)).key
    )


def test_the_order_of_a_schema_is_the_order_of_the_reply():
    forth = {"properties": {"why": {}, "label": {}}}
    back = {"properties": {"label": {}, "why": {}}}
    assert make_request(schema=forth).key != make_request(schema=back).key


def test_two_mappings_at_one_place_in_memory_are_told_apart():
    keys = {make_request(schema={"type": "object", "title": str(n)}).key for n in range(200)}
    assert len(keys) == 200


def test_lone_surrogates_and_control_characters_can_be_asked_about():
    request = make_request(messages=(Message("user", ("\ud800 \x00 👩🏽",)),), parameters={"stop": "\udfff"})
    assert len(request.key) == 64
    assert json.loads(request.payload(bytes))["messages"][0]["content"] == "? \x00 👩🏽"


def test_text_goes_as_a_string_and_media_as_parts():
    picture = io.BytesIO()
    Image.new("RGBA", (1024, 300), "red").save(picture, "PNG")
    body = make_request(parameters={"top_p": 0.5}).body(lambda name: picture.getvalue())
    assert body["messages"][0] == {"role": "system", "content": "Be kind."}
    url = body["messages"][1]["content"][1]["image_url"]["url"]
    head, _, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (512, 150)
    assert body["response_format"]["json_schema"] == {"name": "labels", "strict": True, "schema": {"type": "object"}}
    assert (body["model"], body["top_p"]) == ("m", 0.5)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xe0broken"])
def test_a_picture_that_is_none_is_said_to_be(data):
    with pytest.raises(ValueError, match="picture cannot be read"):
        make_request().body(lambda name: data)


def test_more_room_and_a_correction():
    request = make_request(parameters={"max_tokens": 10})
    assert (request.max_tokens_out, request.with_limit(20).parameters) == (10, {"max_tokens": 20})
    assert make_request().with_limit(20).parameters == {"max_completion_tokens": 20}
    *before, shown, told = request.with_correction("{}", "emotion is missing").messages
    assert tuple(before) == request.messages
    assert (shown.role, shown.parts, told.role) == ("assistant", ("{}",), "user")
    assert "emotion is missing" in told.parts[0]
