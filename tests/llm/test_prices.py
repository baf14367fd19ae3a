"""What requests cost and how many tokens they take."""

from pathlib import Path

import pytest

from curate.errors import InvalidInput
from curate.llm.completion import TokenUsage
from curate.llm.estimate import estimate
from curate.llm.money.prices import estimate_tokens_in, load_prices
from curate.llm.replies import ReplyStore, put_reply
from curate.llm.request import MediaPart, Message, Request
from tests.llm.engine_builders import make_request
from tests.support.replies import make_reply

BLOB = "ab/" + "ab" * 32


def test_the_shipped_table_tells_the_models_apart():
    prices = load_prices(None)
    assert prices.of("gpt-5-mini-2025-08-07").input == 0.25
    assert prices.of("gpt-5").input == 1.25
    assert prices.of("gpt-4o-mini").output == 0.6
    assert prices.of("gpt-4o-audio-preview").input == 40
    assert prices.of("llama") is None
    assert prices.as_of
    assert prices.source


def test_cached_input_and_batches_cost_less():
    price = load_prices(None).of("gpt-5-mini")
    usage = TokenUsage(1_000_000, 100_000, cached=400_000)
    assert price.usd(usage) == pytest.approx(0.6 * 0.25 + 0.4 * 0.025 + 0.1 * 2)
    assert price.usd(usage, batch=True) == pytest.approx(price.usd(usage) / 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models:\n- {model: a, input: -1, output: 0}", ":2: input must be at least 0, not -1"),
        ("models:\n- {model: a, input: .nan, output: 0}", ":2: input must be a finite number, not nan"),
        ("as_of: 2025-12-01\nmodels:\n- {model: a, output: 0}", ":3: input is missing"),
        ("models:\n- model: a\n  inputs: 1\n  output: 0", ":3: inputs is not a setting of models; did you mean input?"),
        ("[]", ":1: expected `name: value` lines"),
        ("models:\n{", ":2: not valid YAML"),
        ("", " is empty"),
    ],
)
def test_a_table_with_a_mistake_is_told_with_its_line(tmp_path, text, said):
    own = tmp_path / "prices.yaml"
    own.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load_prices(tmp_path)
    told = [caught.value.message, *caught.value.problems]
    assert any(one.startswith(f"{own}{said}") for one in told), told
    assert Path(caught.value.hint.rpartition(" ")[2]).is_file(), "the shipped one"


def make_media_request(*media: MediaPart, model="gpt-4o") -> Request:
    return Request(model, (Message("user", media),))


def test_text_pictures_and_sound_take_tokens():
    price = load_prices(None)
    text = estimate_tokens_in(make_request("word " * 720), price.of("gpt-5-mini"))
    assert 1000 < text < 1200
    assert estimate_tokens_in(make_request("чувство " * 100), None) > estimate_tokens_in(
        make_request("feeling " * 100), None
    )
    low, high = (MediaPart(f"{BLOB}.jpg", "image", detail, 1024) for detail in ("low", "high"))
    plain = estimate_tokens_in(make_media_request(), None)
    assert estimate_tokens_in(make_media_request(low), price.of("gpt-4o")) - plain == 85
    assert estimate_tokens_in(make_media_request(high), price.of("gpt-4o")) - plain == 85 + 4 * 170
    mini = make_media_request(high, model="gpt-5-mini")
    assert estimate_tokens_in(mini, price.of("gpt-5-mini")) - plain == round(1024 * 1.62 + 0.5)
    assert estimate_tokens_in(make_media_request(MediaPart(f"{BLOB}.wav", "audio", seconds=4.0)), None) - plain == 80


def test_an_estimate_leaves_out_what_is_stored_and_learns_from_it(tmp_path):
    prices = load_prices(None)
    sample = [make_request(f"item {n}") for n in range(4)]
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        blind = estimate(sample, 400, prices, answers)
        assert (blind.requests, blind.cached) == (400, 0)
        assert blind.tokens_out == 400 * 100
        half = estimate_tokens_in(sample[0], prices.of("gpt-5-mini")) // 2
        known = make_reply(sample[0].key, model="gpt-5-mini", tokens_in=half, tokens_out=20)
        answers.commit_now([put_reply(known)])
        told = estimate(sample, 400, prices, answers)
    assert (told.cached, told.tokens_out) == (100, 300 * 20)
    assert told.tokens_in == pytest.approx(blind.tokens_in * 3 / 8, rel=0.05)
    price = prices.of("gpt-5-mini")
    assert told.usd == pytest.approx(price.usd(TokenUsage(told.tokens_in, told.tokens_out)), rel=0.05)
    assert estimate(sample, 400, prices, batch=True).usd == pytest.approx(blind.usd / 2)
    assert estimate([make_request(model="llama")], 10, prices).usd is None
    assert estimate([], 10, prices) == (10, 0, 0, 0, 0.0, 0, 0.0, 0)
