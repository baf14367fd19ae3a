"""The double of a chat server, seen through an unmodified client."""

import asyncio
import json

import openai
import pytest

from tests.support.chat_double import BatchPlan, ChatDouble
from tests.support.chat_faults import cut, drop, expired_key, half_json, hang, html, length, no_choices, refusal, status

SCHEMA = {
    "type": "object",
    "properties": {
        "emotion": {"type": "array", "items": {"enum": ["joy", "anger"]}},
        "valence": {"type": "number", "minimum": -1, "maximum": 1},
        "why": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["emotion", "valence", "why"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "labels", "strict": True, "schema": SCHEMA}}


@pytest.fixture(scope="module")
def shared():
    with ChatDouble() as double:
        yield double


def make_client(double: ChatDouble, **options) -> openai.OpenAI:
    return openai.OpenAI(base_url=double.url, api_key="sk-double", max_retries=0, **options)


def ask(double: ChatDouble, text: str, *, form=FORMAT, **options):
    messages = [{"role": "user", "content": text}]
    client = make_client(double, **options)
    return client.chat.completions.create(model="gpt-5-mini", messages=messages, response_format=form)


def test_it_answers_what_the_schema_asks_for_and_counts_it(shared):
    first, second = ask(shared, "item 1"), ask(shared, "item 1")
    value = json.loads(first.choices[0].message.content)
    assert set(value) == {"emotion", "valence", "why"}
    assert -1 <= value["valence"] <= 1
    assert first.choices[0].message.content == second.choices[0].message.content
    assert shared.answered["item 1"] == shared.sent["item 1"] == 2
    assert first.usage.prompt_tokens > 0


def test_an_open_schema_is_refused(shared):
    loose = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "object"}}}
    with pytest.raises(openai.BadRequestError, match="additionalProperties"):
        ask(shared, "item 2", form=loose)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (status(429, retry_after="0"), openai.RateLimitError),
        (status(500), openai.InternalServerError),
        (expired_key(), openai.AuthenticationError),
        (cut(), openai.APIConnectionError),
        (drop(), openai.APIConnectionError),
        (hang(), openai.APITimeoutError),
        (half_json(), json.JSONDecodeError),
        (html(), AttributeError),
    ],
)
def test_a_fault_happens_once_to_the_request_it_is_meant_for(shared, fault, error):
    text = f"fault {hash(fault.body)} {fault.cut_after} {fault.hang}"
    shared.on(text, fault)
    with pytest.raises(error):
        print(ask(shared, text, timeout=0.3).choices)
    assert ask(shared, "another").choices
    assert ask(shared, text).choices
    assert shared.sent[text] == 2


def test_faulty_answers(shared):
    shared.then(refusal(), length(), no_choices())
    assert ask(shared, "a").choices[0].message.refusal
    assert ask(shared, "b").choices[0].finish_reason == "length"
    assert ask(shared, "c").choices == []


def test_only_its_key_is_taken_and_too_many_at_once_are_sent_away():
    with ChatDouble(key="sk-right", capacity=2, latency_s=0.2) as double:
        with pytest.raises(openai.AuthenticationError, match="sk-double"):
            ask(double, "x")

        async def many():
            client = openai.AsyncOpenAI(base_url=double.url, api_key="sk-right", max_retries=0)
            asks = [
                client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": str(i)}])
                for i in range(5)
            ]
            return await asyncio.gather(*asks, return_exceptions=True)

        found = asyncio.run(many())
        assert sum(isinstance(one, openai.RateLimitError) for one in found) == 3
        assert double.most_in_flight > 2


def test_a_batch_is_answered_by_name_in_any_order(shared):
    client = make_client(shared)
    lines = [
        {
            "custom_id": f"key-{i}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "gpt-5-mini", "messages": [{"role": "user", "content": f"batched {i}"}]},
        }
        for i in range(10)
    ]
    data = "\n".join(json.dumps(line) for line in lines).encode()
    shared.plan(BatchPlan(state="expired", share=0.6, polls=2))
    sent = client.files.create(file=("b.jsonl", data), purpose="batch")
    batch = client.batches.create(
        input_file_id=sent.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"mine": "7"}
    )
    assert client.batches.retrieve(batch.id).status == "in_progress"
    assert client.batches.retrieve(batch.id).status == "expired"
    done = client.batches.retrieve(batch.id)
    out = [json.loads(line) for line in client.files.content(done.output_file_id).content.splitlines()]
    failed = [json.loads(line) for line in client.files.content(done.error_file_id).content.splitlines()]
    assert len(out) == 6
    assert {line["custom_id"] for line in out + failed} == {line["custom_id"] for line in lines}
    assert {line["error"]["code"] for line in failed} == {"batch_expired"}
    assert next(b for b in client.batches.list() if b.metadata == {"mine": "7"}).id == batch.id


def test_texts_that_share_words_have_near_embeddings(shared):
    made = make_client(shared).embeddings.create(
        model="text-embedding-3-small", input=["I am so glad today", "so glad I am", "the train is late"]
    )
    a, b, c = (one.embedding for one in made.data)
    assert sum(x * y for x, y in zip(a, b, strict=True)) > 0.8 > sum(x * y for x, y in zip(a, c, strict=True))
